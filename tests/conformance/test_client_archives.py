"""What our client saves as an archive, GitHub's own restores, and the other way round."""

import asyncio
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
import zstandard

from runcache.client.client import Client
from runcache.client.environment import Environment, Given
from runcache.client.results import Hit, Saved
from runcache.library import open_client
from runcache.versions import cache_version
from tests.conformance.jobs import CLIENTS, V4, V6, V6_OVER_V1, Job, Repository
from tests.conformance.jobs import Client as Generation
from tests.conformance.trees import described

each_client = pytest.mark.parametrize("generation", CLIENTS, ids=str)

# Protocol §7.1: what is listed, and what is packed because it is below that.
PATTERNS: Final = (
    ("dir",),
    ("dir/",),
    ("dir/*",),
    ("dir/**",),
    ("dir/**", "!dir/skip/**"),
    ("dir", "!dir/skip"),
    ("dir/*", "!dir/skip"),
    ("**/*.txt",),
    ("dir/sub", "dir"),
    ("dir", "other"),
    ("other/**",),
    ("nothing", "dir"),
    ("br[[]1]k",),
    ("~/cache", "dir/a.txt"),
    (".",),
)


def ours(job: Job) -> Client:
    """Return our client in the place of a job's own."""
    for folder in (job.workspace, job.home):
        folder.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        Given(url=job.url, token=job.token),
        variables={"HOME": str(job.home), "GITHUB_WORKSPACE": str(job.workspace)},
        folder=job.workspace,
    )
    return open_client(environment, warn=pytest.fail)


async def saved(job: Job, key: str, *paths: str) -> Saved:
    def save() -> Saved:
        with ours(job) as client:
            return client.save(paths, key=key, format="archive")

    return await asyncio.to_thread(save)


async def restored(job: Job, key: str, *paths: str) -> Hit | None:
    def restore() -> Hit | None:
        with ours(job) as client:
            return client.restore(paths, key=key)

    return await asyncio.to_thread(restore)


@each_client
async def test_what_the_official_client_saves_is_restored(
    repository: Repository, generation: Generation, small: Path
) -> None:
    saving, restoring = repository.job(generation, workspace=small), repository.job()
    await saving.save("deps-1", "node modules")

    hit = await restored(restoring, "deps-1", "node modules")

    assert hit is not None
    assert (hit.exact, hit.format) == (True, "archive")
    assert described(restoring.workspace) == described(small)


@each_client
async def test_what_is_saved_the_official_client_restores(
    repository: Repository, generation: Generation, small: Path
) -> None:
    saving, restoring = repository.job(workspace=small), repository.job(generation)

    done = await saved(saving, "deps-1", "node modules")
    found = await restoring.restore("deps-1", paths=("node modules",))

    assert done.created
    assert found.result == "deps-1", found.log
    assert described(restoring.workspace) == described(small)


@pytest.mark.parametrize("generation", [V6, V6_OVER_V1, V4], ids=str)
async def test_large_archives_go_in_blocks_and_ranges_both_ways(
    repository: Repository, generation: Generation, large: Path
) -> None:
    first, second = repository.job(workspace=large), repository.job(generation)
    third = repository.job()

    await saved(first, "deps-1", "node modules")
    found = await second.restore("deps-1", paths=("node modules",))
    await second.save("deps-2", "node modules")
    hit = await restored(third, "deps-2", "node modules")

    assert found.result == "deps-1", found.log
    assert hit is not None
    assert described(third.workspace) == described(second.workspace) == described(large)


@pytest.mark.parametrize("patterns", PATTERNS, ids=" ".join)
async def test_the_same_files_are_packed(repository: Repository, patterns: tuple[str, ...]) -> None:
    job = repository.job()
    plant_all_kinds(job)

    theirs = await job.save("theirs", *patterns)
    mine = await saved(job, "ours", *patterns)

    assert theirs.error is None, theirs.log
    assert mine.created
    packed = [await asyncio.to_thread(members, job, key, patterns) for key in ("ours", "theirs")]
    mine_has, theirs_has = packed
    for name in behind_links(theirs_has):
        del theirs_has[name]
    assert mine_has == theirs_has


async def test_paths_at_home_are_restored_at_home(repository: Repository) -> None:
    saving, restoring = repository.job(), repository.job()
    for name in ("caches", "wrapper"):
        (saving.home / ".gradle" / name).mkdir(parents=True)
        (saving.home / ".gradle" / name / "file").write_text(name)
    paths = ("~/.gradle/caches", "~/.gradle/wrapper")

    await saved(saving, "gradle-1", *paths)
    found = await restoring.restore("gradle-1", paths=paths)
    again = repository.job()
    hit = await restored(again, "gradle-1", *paths)

    assert found.result == "gradle-1", found.log
    assert hit is not None
    assert described(restoring.home) == described(again.home) == described(saving.home)


async def test_nothing_at_the_paths_is_an_error_in_both(repository: Repository) -> None:
    job = repository.job()

    theirs = await job.save("theirs", "nothing")

    assert theirs.error is not None
    assert "do(es) not exist" in theirs.error.message


def plant_all_kinds(job: Job) -> None:
    files = (
        "dir/a.txt",
        "dir/skip/s.txt",
        "dir/sub/b.txt",
        "dir/sub/deep/c.md",
        "dir/.hidden",
        "dir/naïve 🎉",
        "other/o.txt",
        "br[1]k/brick",
        "x" * 120 + "/" + "y" * 140,
    )
    for name in files:
        job.write(name, name)
    (job.workspace / "other" / "linkdir").symlink_to("../dir/sub")
    (job.workspace / "other" / "broken").symlink_to("nowhere")
    (job.workspace / "dir" / "hard").hardlink_to(job.workspace / "dir" / "a.txt")
    (job.workspace / "dir" / "empty").mkdir()
    (job.home / "cache").mkdir(parents=True)
    (job.home / "cache" / "file").write_text("at home")


def members(job: Job, key: str, patterns: Iterable[str]) -> dict[str, tuple[bytes, int, str]]:
    """Return what each member of an archive is."""
    with ours(job) as client:
        entry = client._transport.find(  # noqa: SLF001  -- the archive itself is not for clients
            key, (), snapshot="none", archives=[cache_version(patterns)]
        )
        assert entry is not None
        data = bytearray()
        buffer = memoryview(bytearray(1024 * 1024))
        with entry.blobs[0].stream() as reader:
            while count := reader.readinto(buffer):
                data += buffer[:count]
    plain = zstandard.ZstdDecompressor().stream_reader(bytes(data), read_across_frames=True).read()
    found: dict[str, tuple[bytes, int, str]] = {}
    with tarfile.open(fileobj=io.BytesIO(plain), errors="surrogateescape") as tar:
        for info in tar:
            name = os.path.normpath(info.name)
            if info.islnk():
                # A hard link counts as a file: the first one that is met is packed as such. Of two
                # equal names `tar` makes the second one a hard link to itself.
                found.setdefault(name, (tarfile.REGTYPE, info.mode, ""))
            else:
                found[name] = (info.type, info.mode, info.linkname)
    return found


def behind_links(found: dict[str, tuple[bytes, int, str]]) -> set[str]:
    """Return what is packed behind a link of the same archive, as `**` makes the toolkit do it."""
    links = tuple(f"{name}/" for name, (kind, *_) in found.items() if kind == tarfile.SYMTYPE)
    return {name for name in found if name.startswith(links)}
