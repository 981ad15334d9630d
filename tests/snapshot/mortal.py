"""Saves and restores in processes that die in the middle, at a given call to the disk.

They end there as if they were killed: nothing is tidied up, in whichever thread it happens.
"""

import os
import secrets
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from runcache.snapshot.index import FileIndex
from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.restore import restore
from runcache.snapshot.save import save
from tests.snapshot.packs_in_memory import MemoryReader
from tests.snapshot.unprivileged import FORKING

KILLED: Final = 99

# What Python tells of, of what the engines do with the disk (`sys.audit`).
_CALLS: Final = frozenset(
    {
        "os.chmod",
        "os.listdir",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "open",
    }
)


class FolderOfPacks:
    """Packs in a folder (`PackSink` and `PackSource` are the contracts)."""

    def __init__(self, folder: Path, upload: str = "") -> None:
        self._folder = folder
        self._upload = upload

    def name(self, number: int) -> str:
        return f"{self._upload}-{number}"

    def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
        del blake3, sha256
        (self._folder / self.name(number)).write_bytes(body)

    def read(self, pack: str, start: int, end: int) -> MemoryReader:
        with (self._folder / pack).open("rb") as file:
            file.seek(start)
            return MemoryReader(file.read(end - start), MIB)


def save_in(folder: Path) -> None:
    """Save `root` of a folder, in which is `manifest`, too: the base of the next save."""
    manifest = folder / "manifest"
    bases = [Manifest.decode(manifest.read_bytes())] if manifest.exists() else []
    upload = secrets.token_hex(8)
    written = save(
        [bytes(folder / "root")],
        sink=FolderOfPacks(folder / "packs", upload),
        bases=bases,
        index=FileIndex(folder / "index"),
    )
    draft = folder / f"manifest-{upload}"
    draft.write_bytes(written.manifest)
    draft.replace(manifest)


def restore_in(folder: Path) -> None:
    """Restore `root` of a folder as its `manifest` says."""
    restore(
        Manifest.decode((folder / "manifest").read_bytes()),
        [bytes(folder / "root")],
        source=FolderOfPacks(folder / "packs"),
        index=FileIndex(folder / "index"),
    )


def run(act: str, folder: Path, *, calls: int | None = None) -> int | None:
    """Save or restore in a process that dies at so many calls, if that is given.

    Return how many calls there were, or `None` if it died.
    """
    here, there = FORKING.Pipe(duplex=False)
    child = FORKING.Process(target=_live, args=(there, act, folder, calls))
    child.start()
    there.close()
    child.join()
    if child.exitcode == KILLED:
        return None
    assert child.exitcode == 0
    counted: int = here.recv()
    return counted


def _live(connection: Connection, act: str, folder: Path, calls: int | None) -> None:
    counted = 0

    def count(event: str, _: tuple[object, ...]) -> None:
        nonlocal counted
        if event in _CALLS:
            counted += 1
            if counted == calls:
                os._exit(KILLED)

    sys.addaudithook(count)
    {"save": save_in, "restore": restore_in}[act](folder)
    connection.send(counted)
