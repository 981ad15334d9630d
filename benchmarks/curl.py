"""A fast client that nobody can suspect of favouring us: curl, one process a measurement.

The seconds are curl's own `time_total`, from the start of a transfer (connecting included) to its
end, without the start of the process.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WRITE_OUT: Final = r"%{http_code} %{size_download} %{size_upload} %{time_total}\n"


@dataclass(frozen=True, slots=True)
class _Transfer:
    status: int
    downloaded_bytes: int
    uploaded_bytes: int
    seconds: float


def get(url: str, *, size_bytes: int) -> float:
    """Return the seconds that downloading `size_bytes` takes."""
    return _seconds(_run([_section(url, 'output = "/dev/null"')]), downloaded_bytes=size_bytes)


def get_ranges(url: str, *, size_bytes: int, count: int) -> float:
    """Return the seconds that `count` equal ranges take, all at once, until the last one ends."""
    step = size_bytes // count
    sections = [
        _section(url, 'output = "/dev/null"', f'range = "{start}-{start + step - 1}"')
        for start in range(0, step * count, step)
    ]
    parallel = f"parallel\nparallel-immediate\nparallel-max = {count}\n"
    return _seconds(_run(sections, parallel), downloaded_bytes=step * count)


def get_all(urls: Sequence[str], *, size_bytes: int) -> float:
    """Return the seconds that downloads of `size_bytes` in all take, one after the other."""
    transfers = _run([_section(url, 'output = "/dev/null"') for url in urls])
    _seconds(transfers, downloaded_bytes=size_bytes)
    return sum(transfer.seconds for transfer in transfers)


def put(url: str, file: Path, *headers: str) -> float:
    """Return the seconds that uploading a file takes."""
    # Clients of caches do not ask for leave first.
    lines = [f'header = "{header}"' for header in ("Expect:", *headers)]
    transfers = _run([_section(url, f'upload-file = "{file}"', *lines)])
    return _seconds(transfers, uploaded_bytes=file.stat().st_size)


def _section(url: str, *lines: str) -> str:
    return "\n".join((f'url = "{url}"', "silent", f'write-out = "{_WRITE_OUT}"', *lines)) + "\n"


def _run(sections: Sequence[str], head: str = "") -> list[_Transfer]:
    ran = subprocess.run(
        ["curl", "--disable", "--config", "-"],
        input=head + "next\n".join(sections),
        capture_output=True,
        text=True,
        check=True,
    )
    rows = (line.split() for line in ran.stdout.splitlines() if line.strip())
    return [_Transfer(int(row[0]), int(row[1]), int(row[2]), float(row[3])) for row in rows]


def _seconds(
    transfers: Sequence[_Transfer], *, downloaded_bytes: int = 0, uploaded_bytes: int = 0
) -> float:
    moved = (
        sum(transfer.downloaded_bytes for transfer in transfers),
        sum(transfer.uploaded_bytes for transfer in transfers),
    )
    if moved[0] < downloaded_bytes or moved[1] < uploaded_bytes:
        message = f"curl moved less than it should have: {transfers}"
        raise RuntimeError(message)
    if any(transfer.status not in {200, 201, 204, 206} for transfer in transfers):
        message = f"curl got an error: {transfers}"
        raise RuntimeError(message)
    return max(transfer.seconds for transfer in transfers)
