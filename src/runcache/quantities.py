"""Sizes and durations as people write them: `10GB`, `512MiB`, `7d`.

KB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB are powers of 1024. Whatever cannot be
read raises `ValueError` with a message that says what would do; the caller adds what it was for.
"""

import re
from datetime import timedelta
from typing import Final

SIZE_UNITS: Final = {
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
DURATION_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
AGES: Final = (
    ("year", 365 * 86_400),
    ("month", 30 * 86_400),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
)
MAX_SIZE_BYTES: Final = 2**63 - 1  # what the catalog's columns hold
MAX_DURATION: Final = timedelta(days=36_500)  # so that no sum with a date leaves the calendar

_NUMBER_AND_UNIT: Final = re.compile(r"([0-9]{1,20}) ?([A-Za-z]*)")
_UNITS_BY_LOWER_CASE: Final = {unit.lower(): factor for unit, factor in SIZE_UNITS.items()}


def parse_size(text: str) -> int:
    """Return the bytes that `text` names; a plain number is bytes already.

    Units may be written in any case, since `kb` can mean nothing else here.

    Raises:
        ValueError: it is not a size, or more than 8 EiB.
    """
    found = _NUMBER_AND_UNIT.fullmatch(text.strip())
    unit = found[2].lower() if found else "?"
    factor = 1 if unit in {"", "b"} else _UNITS_BY_LOWER_CASE.get(unit)
    if found is None or factor is None:
        raise ValueError(f"`{text}` is not a size such as `10GB`, `512MiB` or `1048576`")
    size_bytes = int(found[1]) * factor
    if size_bytes > MAX_SIZE_BYTES:
        raise ValueError(f"`{text}` is more than any disk holds")
    return size_bytes


def print_size(size_bytes: int) -> str:
    """Return the shortest text that `parse_size` reads as exactly `size_bytes`."""
    exact = [
        f"{size_bytes // factor}{unit}"
        for unit, factor in SIZE_UNITS.items()
        if size_bytes >= factor and size_bytes % factor == 0
    ]
    return min(exact, key=len, default=str(size_bytes))


def print_about(size_bytes: int) -> str:
    """Return `size_bytes` for a person: three digits and a decimal unit, such as `1.26 GB`."""
    for unit in ("TB", "GB", "MB", "KB"):
        amount = size_bytes / SIZE_UNITS[unit]
        # 999 950 bytes are 1.00 MB: the unit is chosen after rounding.
        if amount >= 0.9995:  # noqa: PLR2004  -- three digits
            decimals = 2 if amount < 9.995 else 1 if amount < 99.95 else 0  # noqa: PLR2004
            return f"{amount:.{decimals}f} {unit}"
    return f"{size_bytes} B"


def parse_duration(text: str) -> timedelta:
    """Return the time span that `text` names, such as `30s`, `5m`, `1h` or `7d`.

    Raises:
        ValueError: it is not a duration, or longer than 100 years.
    """
    found = _NUMBER_AND_UNIT.fullmatch(text.strip())
    unit = DURATION_UNITS.get(found[2]) if found else None
    if found is None or unit is None:
        raise ValueError(f"`{text}` is not a duration such as `30s`, `5m`, `1h` or `7d`")
    count = int(found[1])
    if count > MAX_DURATION // unit:
        raise ValueError(f"`{text}` is more than 100 years")
    return count * unit


def print_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads as `duration`, whole seconds of it."""
    seconds = duration // DURATION_UNITS["s"]
    exact = [
        f"{seconds // factor}{unit}"
        for unit, factor in ((u, d // DURATION_UNITS["s"]) for u, d in DURATION_UNITS.items())
        if seconds % factor == 0 and (seconds >= factor or unit == "s")
    ]
    return min(exact, key=len)


def print_age(seconds: int) -> str:
    """Return how long ago something was, for a person: `3 days ago`, or `just now`."""
    for unit, length in AGES:
        count = seconds // length
        if count > 0:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
