"""The files of a read cache, as several processes have them at once."""

import fcntl
import hashlib
import os
import random
from pathlib import Path
from stat import S_IMODE
from typing import Final

from runcache.store.cached_files import CachedFiles, Identity
from tests.faults.forked import FORKING

CATALOG: Final = "c" * 32
BLOBS: Final = 12
BLOB_BYTES: Final = 64 * 1024
LIMIT_BYTES: Final = 5 * BLOB_BYTES
ROUNDS: Final = 150
PROCESSES: Final = 4
DIED: Final = 42


def name_of(number: int) -> str:
    return f"{number:032x}"


def content_of(number: int) -> bytes:
    return hashlib.sha256(name_of(number).encode()).digest() * (BLOB_BYTES // 32)


def files_in(folder: Path) -> CachedFiles:
    return CachedFiles(folder, CATALOG, limit_bytes=LIMIT_BYTES, min_free_bytes=0)


def use(folder: Path, seed: int, *, dies: bool) -> None:
    """Read blobs at random, and fetch those that are not there; end in the middle if asked to."""
    files = files_in(folder)
    files.begin()
    chance = random.Random(seed)
    for done in range(ROUNDS):
        number = chance.randrange(BLOBS)
        found = files.open(name_of(number))
        if found is not None:
            file, identity = found
            with file:
                assert file.read() == content_of(number)
                assert identity.is_untouched
            continue
        filling, _ = files.book(name_of(number), BLOB_BYTES)
        if filling is None:
            continue
        filling.write(content_of(number)[: BLOB_BYTES // 2], hashlib.sha256())
        if dies and done > ROUNDS // 2:
            os._exit(DIED)
        filling.write(content_of(number)[BLOB_BYTES // 2 :], hashlib.sha256())
        if chance.random() < 0.8:
            files.finish(filling, name_of(number))
        filling.leave()


def kept_bytes(folder: Path) -> int:
    """Add up all files while nobody can make room."""
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sizes: dict[int, int] = {}
        for path in (folder / CATALOG).iterdir():
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            sizes[found.st_ino] = found.st_size
        return sum(sizes.values())


def test_processes_share_a_folder_and_its_limit_whoever_of_them_dies(tmp_path: Path) -> None:
    files_in(tmp_path).begin()
    processes = [
        FORKING.Process(target=use, args=(tmp_path, seed), kwargs={"dies": seed == 0})
        for seed in range(PROCESSES)
    ]

    for process in processes:
        process.start()
    most_bytes = 0
    while any(process.is_alive() for process in processes):
        most_bytes = max(most_bytes, kept_bytes(tmp_path))
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [DIED, 0, 0, 0]
    assert 0 < most_bytes <= LIMIT_BYTES
    files = files_in(tmp_path)
    files.begin()
    left = sorted(path.name for path in (tmp_path / CATALOG).iterdir())
    assert left
    assert set(left) <= {name_of(number) for number in range(BLOBS)}
    for name in left:
        assert (tmp_path / CATALOG / name).read_bytes() == content_of(int(name, 16))


def test_nobody_else_may_read_what_is_kept(tmp_path: Path) -> None:
    files_in(tmp_path / "read-cache").begin()

    for folder in (tmp_path / "read-cache", tmp_path / "read-cache" / CATALOG):
        assert S_IMODE(folder.stat().st_mode) == 0o700


def test_whoever_writes_to_a_file_is_noticed(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.begin()
    filling, _ = files.book(name_of(1), 4)
    assert filling is not None
    filling.write(b"data", hashlib.sha256())
    assert filling.is_whole
    finished = files.finish(filling, name_of(1))
    filling.leave()
    (path,) = (tmp_path / CATALOG).iterdir()

    with path.open("r+b") as file:
        file.write(b"rots")

    assert finished.is_untouched
    assert not Identity.of(path.stat()).is_untouched


def test_more_than_was_announced_is_not_whole(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.begin()
    filling, _ = files.book(name_of(1), 4)
    assert filling is not None

    filling.write(b"data and more", hashlib.sha256())
    filling.leave()

    assert not filling.is_whole
    assert files.names() == []
