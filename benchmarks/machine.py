"""The machine that is measured on: where files go, which tools there are, what a process uses."""

import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_MIB: Final = 1024 * 1024
RAM_DISK: Final = Path("/dev/shm")  # noqa: S108  -- `tempfile` makes the names in it
# The Debian package of each tool.
PACKAGES: Final = {"curl": "curl", "nginx": "nginx-light", "wrk": "wrk"}

_IDLE_LOOK_SECONDS: Final = 1.0
_LOOK_AT_PROGRAMS_EVERY_SECONDS: Final = 0.02
# Of 100 a second: what the server's timers use, and not more.
_IDLE_TICKS: Final = 3
_IDLE_WITHIN_SECONDS: Final = 300
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder on the RAM disk, or where temporary files go, and remove it afterwards."""
    parent = RAM_DISK if has_ram_disk() else Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="runcache-bench-", dir=parent) as folder:
        yield Path(folder)


def has_ram_disk() -> bool:
    """Say whether there is a RAM disk that this user may write to."""
    return os.access(RAM_DISK, os.W_OK)


def missing(*tools: str) -> list[str]:
    """Return a note on the tools that are not installed, and on how to install them."""
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if not absent:
        return []
    packages = " ".join(PACKAGES[tool] for tool in absent)
    names = ", ".join(f"`{tool}`" for tool in absent)
    return [f"left out for want of {names}: `sudo apt-get install {packages}`"]


def description() -> dict[str, Any]:
    """Return what figures depend on, and how busy the machine is with something else."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
        "files_on": str(RAM_DISK) if has_ram_disk() else f"{tempfile.gettempdir()} (no RAM disk)",
    }


def touch_memory(folder: Path, size_bytes: int) -> None:
    """Write and delete a file, so that a virtual machine has its memory before it is measured.

    What was never used comes from the host a page at a time, which makes the first uploads to a
    RAM disk up to three times slower than all later ones.
    """
    block = bytes(_MIB)
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        for _ in range(size_bytes // len(block)):
            file.write(block)
    ballast.unlink()


def plant_noise(file: Path, size_bytes: int) -> None:
    """Write a file that nothing compresses; its size is a multiple of 1 MiB."""
    with file.open("wb") as writer:
        for _ in range(size_bytes // _MIB):
            writer.write(os.urandom(_MIB))


def resident_bytes(process_id: int) -> int:
    """Return what a process holds in memory now (`VmRSS`)."""
    return _status_bytes(process_id, "VmRSS:")


def peak_resident_bytes(process_id: int) -> int:
    """Return the most that a process ever held in memory (`VmHWM`)."""
    return _status_bytes(process_id, "VmHWM:")


def wait_until_idle(process_ids: Iterable[int]) -> None:
    """Return once processes have stopped working, such as hashing what was committed before.

    Raises:
        TimeoutError: they do not stop within five minutes.
    """
    deadline = time.monotonic() + _IDLE_WITHIN_SECONDS
    for process_id in process_ids:
        used = _used_ticks(process_id)
        while True:
            time.sleep(_IDLE_LOOK_SECONDS)
            former, used = used, _used_ticks(process_id)
            if used - former <= _IDLE_TICKS:
                break
            if time.monotonic() > deadline:
                message = f"process {process_id} does not come to rest"
                raise TimeoutError(message)


def used_seconds(process_ids: Iterable[int]) -> float:
    """Return the processor time that processes and all that they have started used until now."""
    return sum(_used_ticks(process_id) for process_id in _families(process_ids)) / _TICKS_A_SECOND


def _families(process_ids: Iterable[int]) -> Iterator[int]:
    for process_id in process_ids:
        yield process_id
        children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text("ascii")
        yield from _families(map(int, children.split()))


def _status_bytes(process_id: int, name: str) -> int:
    for line in Path(f"/proc/{process_id}/status").read_text("ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _used_ticks(process_id: int) -> int:
    # The name of the program, in parentheses, may hold blanks.
    fields = Path(f"/proc/{process_id}/stat").read_text("ascii").rpartition(")")[2].split()
    user, system = fields[11:13]
    return int(user) + int(system)


@dataclass(slots=True)
class Together:
    """The most that several processes were seen to hold at one time."""

    peak_bytes: int = 0


@contextmanager
def watched_programs(*, but: int) -> Iterator[Together]:
    """Look at all processes below this one, except those of `but`, until the end of the block."""
    seen, is_over = Together(), threading.Event()

    def watch() -> None:
        while not is_over.wait(_LOOK_AT_PROGRAMS_EVERY_SECONDS):
            held = sum(map(_proportional_bytes, _below(os.getpid(), but)))
            seen.peak_bytes = max(seen.peak_bytes, held)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        is_over.set()
        watching.join()


def _below(process_id: int, but: int) -> Iterator[int]:
    for children in Path(f"/proc/{process_id}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                if child != but:
                    yield child
                    yield from _below(child, but)


def _proportional_bytes(process_id: int) -> int:
    """Return what a process holds, of what it shares with others its share; 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
