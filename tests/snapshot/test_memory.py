"""However much is saved or restored, it takes no more memory than a few packs."""

import resource
from pathlib import Path
from random import Random
from typing import Final

from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.restore import restore
from runcache.snapshot.save import save
from tests.snapshot.mortal import FolderOfPacks
from tests.snapshot.unprivileged import FORKING

SPARSE_BYTES: Final = 512 * MIB
# Enough for all packs that can be in memory at a time, and one more.
NOISE_BYTES: Final = 130 * MIB
# Three packs, and the interpreter with what it has loaded.
LIMIT_BYTES: Final = 200 * MIB


def peak_of(act: str, folder: Path) -> int:
    """Return how much memory a process had at most that saves or restores `folder/root`."""
    child = FORKING.Process(target=_measure, args=(act, folder))
    child.start()
    child.join()
    assert child.exitcode == 0
    return int((folder / "peak").read_text())


def _measure(act: str, folder: Path) -> None:
    packs, manifest = FolderOfPacks(folder / "packs", "1"), folder / "manifest"
    if act == "save":
        manifest.write_bytes(save([bytes(folder / "root")], sink=packs).manifest)
    else:
        found = Manifest.decode(manifest.read_bytes())
        restore(found, [bytes(folder / "restored")], source=packs)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (folder / "peak").write_text(str(peak_bytes))


def test_large_files_need_no_large_memory(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "root").mkdir()
    random = Random(1)
    with (tmp_path / "root" / "large").open("wb") as large:
        for at in range(0, SPARSE_BYTES, SPARSE_BYTES // 10):
            large.seek(at)
            large.write(random.randbytes(NOISE_BYTES // 10))
        large.truncate(SPARSE_BYTES)

    peaks = [peak_of(act, tmp_path) for act in ("save", "restore")]

    assert max(peaks) < LIMIT_BYTES
    assert (tmp_path / "restored" / "large").stat().st_size == SPARSE_BYTES
