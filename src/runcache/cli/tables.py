"""Lists: aligned and with relative times on a terminal, elsewhere for programs to read.

Off a terminal they are as `gh cache list` prints them: a line each, columns apart by tabs, times in
UTC, and no heading.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click

from runcache.quantities import print_about, print_age

_UNITS: Final = ("KiB", "MiB", "GiB")
_KIBI: Final = 1024
_GAP: Final = 2
_NARROWEST: Final = 8


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in milliseconds since 1970 (UTC)."""

    at_ms: int

    def __str__(self) -> str:
        return instant(self.at_ms)


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes."""

    size_bytes: int

    def __str__(self) -> str:
        return _as_gh_has_it(self.size_bytes)


Cell = str | int | Moment | Size
Row = Sequence[Cell]


def is_terminal() -> bool:
    """Say whether somebody reads what is printed."""
    return sys.stdout.isatty()


def show_lines(rows: Iterable[Row]) -> None:
    """Print rows as they come, for programs."""
    for row in rows:
        click.echo("\t".join(printable(str(cell)) for cell in row))


def show_table(headings: Sequence[str], rows: Iterable[Row]) -> None:
    """Print a table, for a person. The second column is cut where there is no room for all."""
    from rich.cells import cell_len  # noqa: PLC0415  -- late: it is slow
    from rich.console import Console  # noqa: PLC0415  -- as above
    from rich.table import Table  # noqa: PLC0415  -- as above

    cells = list(rows)
    lines = [list(map(_for_a_person, row)) for row in cells]
    widths = [max(map(cell_len, column)) for column in zip(headings, *lines, strict=True)]
    console = Console(highlight=False, markup=False, emoji=False)
    # Left to itself, rich would cut every column.
    room = console.width - sum(widths) - _GAP * (len(widths) - 1) + widths[1]
    widths[1] = min(widths[1], max(room, _NARROWEST))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for number, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        is_number = any(isinstance(row[number], int | Size) for row in cells)
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            width=width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for line in lines:
        table.add_row(*line)
    console.print(table)


def instant(at_ms: int) -> str:
    """Return a time as `2026-11-22T09:30:00Z`."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def exact_instant(at_ms: int) -> str:
    """Return a time as `2026-11-22T09:30:00.250Z`."""
    return f"{instant(at_ms)[:-1]}.{at_ms % 1000:03}Z"


def age(at_ms: int) -> str:
    """Return how long ago a time was."""
    return print_age(int(time.time()) - at_ms // 1000)


def printable(text: str) -> str:
    """Return text in which nothing acts upon a terminal, or ends a column or a line."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _for_a_person(cell: Cell) -> str:
    match cell:
        case Moment(at_ms):
            return age(at_ms)
        case Size(size_bytes):
            return print_about(size_bytes)
        case _:
            return printable(str(cell))


def _as_gh_has_it(size_bytes: int) -> str:
    # Two digits behind the point, and never rounded up (management §2.1).
    if size_bytes < _KIBI:
        return f"{size_bytes} B"
    amount, unit = size_bytes * 100 // _KIBI, _UNITS[0]
    for larger in _UNITS[1:]:
        if amount < 100 * _KIBI:
            break
        amount, unit = amount // _KIBI, larger
    return f"{amount // 100}.{amount % 100:02} {unit}"
