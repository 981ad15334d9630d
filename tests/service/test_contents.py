"""What is told of a single entry, and the files that are listed of it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import accumulate
from pathlib import Path

import pytest

from runcache.details import Shares, StoredFile
from runcache.errors import (
    BlobMissing,
    EntryMissing,
    FilesUnlistable,
    InvalidCursor,
    InvalidRepository,
)
from runcache.model import Entry, Inputs
from runcache.records import EventKind
from runcache.service import Records
from runcache.service.contents import LIMITS, EntryContents
from runcache.snapshot.columns import column
from runcache.snapshot.manifest import Chunks, Frames, Manifest
from tests.in_process import REPOSITORY, SNAPSHOT, Cache, open_cache
from tests.snapshot.manifests import FILE, FOLDER, SAMPLE, spoiled


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    async with open_cache(tmp_path) as cache:
        yield cache


def contents_in(cache: Cache) -> EntryContents:
    return EntryContents(cache.catalog, cache.store, Records(cache.catalog, now=cache.clock))


def manifest_of(*names: bytes, roots: int = 1) -> bytes:
    """Return the manifest of empty files; each root has all of them."""
    modes = [FOLDER, *(FILE for _ in names)] * roots
    count = len(modes)
    manifest = Manifest(
        root_starts=list(accumulate([len(names) + 1] * roots, initial=0)),
        names=[b"", *sorted(names)] * roots,
        modes=modes,
        mtimes_ns=[0] * count,
        sizes=[0] * count,
        targets={},
        content_starts=[0] * (count + 1),
        contents=[],
        chunks=Chunks([], lengths=[], frames=[], starts=[]),
        frames=Frames([], starts=[], sizes=[], lengths=[]),
        packs=[],
    )
    return manifest.encode()


async def saved(cache: Cache, manifest: bytes, *paths: str) -> Entry:
    """Save a snapshot of these paths."""
    inputs = Inputs(paths=paths, compression="none", system="Linux", cross_os=False)
    upload, _ = await cache.service.snapshots.reserve(
        cache.default, "k", SNAPSHOT, (), inputs=inputs if paths else None
    )
    await cache.write_manifest(upload, manifest)
    return await cache.service.snapshots.commit(cache.default, upload.id, [])


async def paths_of(cache: Cache, entry: Entry, search: str = "") -> list[str]:
    page = await contents_in(cache).files(REPOSITORY, entry.id, search=search)
    assert page is not None
    assert page.total_count == len(page.files)
    return [file.path for file in page.files]


async def test_an_archive_has_details(cache: Cache) -> None:
    entry = await cache.save("k", b"four")

    details = await contents_in(cache).details(REPOSITORY.upper(), entry.id)

    assert details is not None
    assert details.entry == entry
    assert details.shares == Shares(1, own_bytes=4, shared_bytes=0)
    assert details.origin is not None
    assert details.origin.format == "archive"


async def test_what_others_have_as_well_is_shared(cache: Cache) -> None:
    first = await cache.save_snapshot("one", b"pack-1", b"pack-22", manifest=b"m")
    hit = await cache.service.find_blobs(cache.default, "one", (), [SNAPSHOT])
    assert hit is not None
    shared = hit.blobs[2].pack
    assert shared is not None
    second = await cache.save_snapshot("two", shared=[shared], bases=[first.id], manifest=b"mm")

    one, two = [await contents_in(cache).details(REPOSITORY, e.id) for e in (first, second)]

    assert one is not None
    assert two is not None
    assert one.shares == Shares(3, own_bytes=7, shared_bytes=7)
    assert two.shares == Shares(2, own_bytes=2, shared_bytes=7)


async def test_restores_are_told_with_the_newest_first(cache: Cache) -> None:
    records = Records(cache.catalog, now=cache.clock)
    entry = await cache.save("k")
    hit = await cache.find("k")
    assert hit is not None
    first = cache.clock.now_ms
    for _ in range(2):
        records.restored(hit.blob)
        cache.clock.advance(timedelta(seconds=5))
    await records.write()

    details = await contents_in(cache).details(REPOSITORY, entry.id)

    assert details is not None
    assert details.restored_at == (first + 5_000, first)


async def test_to_look_into_a_snapshot_is_no_restore(cache: Cache) -> None:
    records = Records(cache.catalog, now=cache.clock)
    entry = await saved(cache, SAMPLE.encode())

    await EntryContents(cache.catalog, cache.store, records).files(REPOSITORY, entry.id)
    await records.write()

    assert not await records.events(None, kinds={EventKind.RESTORED}, limit=1)


async def test_an_entry_of_another_repository_is_none(cache: Cache) -> None:
    entry = await saved(cache, SAMPLE.encode())

    assert await contents_in(cache).details("octo/other", entry.id) is None
    with pytest.raises(EntryMissing):
        await contents_in(cache).files("octo/other", entry.id)


async def test_a_repository_that_cannot_be_is_refused(cache: Cache) -> None:
    entry = await saved(cache, SAMPLE.encode())

    with pytest.raises(InvalidRepository):
        await contents_in(cache).files("octo", entry.id)


async def test_files_have_kind_size_permissions_and_target(cache: Cache) -> None:
    entry = await saved(cache, SAMPLE.encode(), "deps", "lock.json")

    page = await contents_in(cache).files(REPOSITORY, entry.id)

    assert page is not None
    assert page.files == (
        StoredFile("deps", "folder", 0, 0o755),
        StoredFile("deps/a", "folder", 0, 0o755),
        StoredFile("deps/a/b", "file", 100, 0o644),
        StoredFile("deps/big", "file", 500, 0o644),
        StoredFile("deps/link", "link", 0, 0o777, "a/b"),
        StoredFile("lock.json", "file", 0, 0o644),
    )
    assert (page.total_count, page.next) == (6, None)


@pytest.mark.parametrize(
    ("roots", "paths", "shown"),
    [
        (1, ["~/.npm/"], ["~/.npm", "~/.npm/f"]),
        (1, ["packages/**/node_modules", "!packages/x"], ["packages", "packages/f"]),
        (1, ["**/target"], [".", "f"]),
        (1, [], [".", "f"]),
        (1, ["a", "a/b"], [".", "f"]),
        (2, [], ["[1]", "[1]/f", "[2]", "[2]/f"]),
    ],
)
async def test_paths_begin_as_they_were_given(
    cache: Cache, roots: int, paths: list[str], shown: list[str]
) -> None:
    entry = await saved(cache, manifest_of(b"f", roots=roots), *paths)

    assert await paths_of(cache, entry) == shown


async def test_names_that_are_no_text_are_shown_with_escapes(cache: Cache) -> None:
    entry = await saved(cache, manifest_of(b"caf\xe9", "café".encode()))

    assert await paths_of(cache, entry) == [".", "café", "caf\\xe9"]


async def test_a_search_finds_parts_of_paths_in_any_case(cache: Cache) -> None:
    entry = await saved(cache, manifest_of(b"React/index.js", b"vue/index.js"), "deps")

    assert await paths_of(cache, entry, "rEACT") == ["deps/React/index.js"]
    assert await paths_of(cache, entry, "none") == []


async def test_pages_follow_each_other(cache: Cache) -> None:
    names = [f"{number:02}".encode() for number in range(10)]
    entry = await saved(cache, manifest_of(*names))
    contents = contents_in(cache)

    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await contents.files(REPOSITORY, entry.id, search="0", after=after or None, limit=3)
        assert page is not None
        assert page.total_count == 10
        seen += [file.path for file in page.files]
        after = page.next

    assert seen == [name.decode() for name in names]


async def test_a_page_of_long_paths_is_shorter(cache: Cache) -> None:
    folder = b"/".join([b"x" * 250] * 16)
    names = [folder + b"%d" % number for number in range(100, 500)]
    entry = await saved(cache, manifest_of(*names))

    page = await contents_in(cache).files(REPOSITORY, entry.id, search="x")

    assert page is not None
    assert page.total_count == len(names) > len(page.files) > 200
    assert page.next is not None


@pytest.mark.parametrize("after", ["x", "-1", "1" * 30, "\N{SUPERSCRIPT TWO}"])
async def test_a_cursor_that_is_none_is_refused(cache: Cache, after: str) -> None:
    entry = await saved(cache, SAMPLE.encode())

    with pytest.raises(InvalidCursor):
        await contents_in(cache).files(REPOSITORY, entry.id, after=after)


async def test_the_files_of_an_archive_are_its_clients_affair(cache: Cache) -> None:
    entry = await cache.save("k")

    assert await contents_in(cache).files(REPOSITORY, entry.id) is None


@pytest.mark.parametrize(
    "manifest",
    [
        b"no manifest at all",
        SAMPLE.encode()[:-1],
        spoiled(names=b"\0../up\0a/b\0big\0link\0\0"),
        spoiled(root_records=column("I", [2**31])),
    ],
    ids=["other", "cut", "leads out", "huge"],
)
async def test_a_manifest_is_not_trusted(cache: Cache, manifest: bytes) -> None:
    entry = await saved(cache, manifest)

    with pytest.raises(FilesUnlistable):
        await contents_in(cache).files(REPOSITORY, entry.id)


async def test_a_manifest_with_more_files_than_are_listed_is_refused(cache: Cache) -> None:
    names = b"\0" + b"".join(b"%07d\0" % number for number in range(LIMITS.records))
    count = LIMITS.records + 1
    manifest = spoiled(
        root_records=column("I", [count]),
        names=names,
        modes=column("H", [FOLDER, *[FILE] * LIMITS.records]),
        mtimes_ns=column("q", [0] * count),
        content_lengths=column("I", [0] * count),
        targets=b"",
    )
    entry = await saved(cache, manifest)

    with pytest.raises(FilesUnlistable, match="too many files"):
        await contents_in(cache).files(REPOSITORY, entry.id)


async def test_a_manifest_whose_bytes_are_gone_is_missing(cache: Cache) -> None:
    entry = await saved(cache, SAMPLE.encode())
    contents = await cache.catalog.entries.contents(entry.id)
    assert contents is not None
    await cache.store.delete(contents.blobs[0].name)

    with pytest.raises(BlobMissing):
        await contents_in(cache).files(REPOSITORY, entry.id)
