"""The format is what its page says, and what version 1 made is read for ever.

`python -m tests.snapshot.test_format` made the sample: a snapshot of `TREES`, with a base that had
more. It is not to be made anew.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from runcache.snapshot import columns
from runcache.snapshot.limits import (
    MAX_CHUNK_BYTES,
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    MAX_PART_BYTES,
    Limits,
)
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.save import save
from tests.documentation import example_of, only_code, read, table
from tests.snapshot.disk import File, Folder, Link, Tree, plant, tree_at
from tests.snapshot.packs_in_memory import MemorySink
from tests.snapshot.saved import Snapshot

SAMPLE: Final = Path(__file__).parent / "version_1"

# 1.2 MB, which is more than a chunk can have, but takes no room here.
LARGE: Final = b"".join((b"block %03d " % number) * 1200 for number in range(100))
TREES: Final[list[Tree]] = [
    {
        b"": Folder(0o750, 1_600_000_000_000_000_001),
        b"a": Folder(0o700, 1_600_000_000_000_000_002),
        b"a-b": File(b"sorts before what is in the folder", 0o644, -1),
        b"a/empty": File(b"", 0o600, 0),
        b"a/large": File(LARGE, 0o644, 1_600_000_000_123_456_789),
        b"a/same": File(b"sorts before what is in the folder", 0o400, 1_600_000_000_000_000_003),
        b"b": Folder(0o555, 4_000_000_000_000_000_000),
        b"b/script": File(b"#!/bin/sh\necho new\n", 0o755, 1_600_000_000_000_000_004),
        b"link": Link(b"a/large", 1_600_000_000_000_000_005),
        b"n\xffo \n utf-8": File(b"odd", 0o644, 1_600_000_000_000_000_006),
        "ünïcode".encode(): Link(b"\xff nowhere", 1_600_000_000_000_000_007),
    },
    {b"": File(b"a root of its own", 0o640, 1_600_000_000_000_000_008)},
    {},
    {b"": Link(b"elsewhere", 1_600_000_000_000_000_009)},
]
BASE: Final[list[Tree]] = [
    {
        **TREES[0],
        b"a/dropped": File(b"in a frame of the base, and in nothing else"),
        b"b/script": File(b"#!/bin/sh\necho old\n", 0o755),
    },
    *TREES[1:],
]


def sample() -> Snapshot:
    sink = MemorySink()
    sink.packs |= {file.name: file.read_bytes() for file in SAMPLE.iterdir()}
    return Snapshot(Manifest.decode(sink.packs.pop("manifest")), sink)


def test_what_version_1_saved_is_restored(tmp_path: Path) -> None:
    roots = [tmp_path / str(number) for number in range(len(TREES))]

    sample().restore(*roots)

    assert [tree_at(root) for root in roots] == TREES


def test_what_version_1_saved_has_all_that_the_format_has() -> None:
    manifest = sample().manifest

    assert len(manifest.packs) == 2
    assert max(manifest.frames.starts) > 0
    assert any(
        size == length
        for size, length in zip(manifest.frames.sizes, manifest.frames.lengths, strict=True)
    )
    used = sum(manifest.chunks.lengths)
    assert used < sum(manifest.frames.lengths)
    assert max(len(manifest.chunks_of(record)) for record in range(len(manifest.names))) == 2


def test_the_reader_of_the_page_restores_it(tmp_path: Path) -> None:
    reader = tmp_path / "reader.py"
    reader.write_text(example_of("snapshot-format.md", "python"))
    roots = [tmp_path / str(number) for number in range(len(TREES))]

    subprocess.run([sys.executable, reader, SAMPLE, *roots], check=True)

    assert [tree_at(root) for root in roots] == TREES


def test_the_reader_of_the_page_restores_what_is_saved_today(tmp_path: Path) -> None:
    reader = tmp_path / "reader.py"
    reader.write_text(example_of("snapshot-format.md", "python"))
    saved_at = tmp_path / "saved"
    make_sample(saved_at)
    roots = [tmp_path / str(number) for number in range(len(TREES))]

    subprocess.run([sys.executable, reader, saved_at, *roots], check=True)

    assert [tree_at(root) for root in roots] == TREES


def test_the_page_has_every_column_in_its_order() -> None:
    rows = table("snapshot-format.md", "column", "one for each")

    documented = [only_code(row["column"]) for row in rows]
    assert documented == list(columns.Columns.__struct_fields__)


def test_the_page_has_the_limits() -> None:
    limits = Limits()
    page = read("snapshot-format.md")

    for said in (
        f"more than {spaced(limits.records)} records",
        f"{spaced(limits.references)} uses of chunks",
        f"nested deeper than {MAX_DEPTH}",
        f"more than {limits.size_bytes >> 40} TiB in files",
        f"more than {limits.expansion_above_bytes >> 30} GiB",
        f"more than {limits.expansion} times",
        f"a manifest of more than {limits.manifest_bytes >> 20} MiB",
        f"up to {MAX_CHUNK_BYTES >> 20} MiB of the contents",
        f"Uncompressed it has up to {MAX_FRAME_BYTES >> 20} MiB",
        f"more than {MAX_PART_BYTES} bytes",
    ):
        assert said in page, said


def spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def make_sample(folder: Path) -> None:
    """Save `TREES` in a folder, as version 1 does."""
    folder.mkdir()
    bases: list[Manifest] = []
    with TemporaryDirectory() as scratch:
        for upload, trees in (("7", BASE), ("12", TREES)):
            below = Path(scratch) / upload
            roots = [plant(below / str(number), tree) for number, tree in enumerate(trees)]
            sink = MemorySink(upload)
            written = save([bytes(root) for root in roots], sink=sink, bases=bases)
            bases = [Manifest.decode(written.manifest)]
            for name, body in sink.packs.items():
                (folder / name).write_bytes(body)
    (folder / "manifest").write_bytes(written.manifest)


if __name__ == "__main__":
    make_sample(SAMPLE)
