"""The tables of docs/sizing.md: costs side by side, and what they make of so many jobs an hour."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.shapes import PARTS, SHAPES, ShapeName

# What a job does, on average: see docs/sizing.md.
LOOKUPS_A_JOB: Final = 2.0
SAVES_A_JOB: Final = 0.2
GB_DOWN_A_JOB: Final = 0.4
GB_UP_A_JOB: Final = 0.04
JOBS_AN_HOUR: Final = (10, 1_000, 100_000)
_HOUR: Final = 3600
_BITS: Final = 8


@dataclass(frozen=True, slots=True)
class Costs:
    """What a shape was found to cost.

    Attributes:
        seconds: processor time of a request or of a gigabyte, by its name and then by the part.
        idle_bytes: what the server holds in memory before the first request.
        peak_bytes: the most that it held.
        catalog_bytes: by how much an entry makes the catalog grow, its records included.
        catalog_rows: the same in rows.
    """

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    idle_bytes: int = 0
    peak_bytes: int = 0
    catalog_bytes: float = 0
    catalog_rows: float = 0


def tables(found: Mapping[ShapeName, Costs]) -> Iterator[str]:
    """Make the tables of docs/sizing.md."""
    parts = [
        (shape, part) for shape, cost in found.items() for part in next(iter(cost.seconds.values()))
    ]
    heads = [f"{SHAPES[shape]}: {part}" for shape, part in parts]
    names = next(iter(found.values())).seconds
    for head, unit, chosen in (
        ("a request, ms", 1000, [name for name in names if not name.startswith("GB")]),
        ("a gigabyte, s", 1, [name for name in names if name.startswith("GB")]),
    ):
        rows = (
            [name, *(_shown(found[shape].seconds[name][part] * unit) for shape, part in parts)]
            for name in chosen
        )
        yield _table([head, *heads], rows)
    yield _table(
        ["", *(SHAPES[shape] for shape in found)],
        [
            ["server's memory at rest", *(_megabytes(cost.idle_bytes) for cost in found.values())],
            ["the most it took", *(_megabytes(cost.peak_bytes) for cost in found.values())],
            ["catalog, bytes an entry", *(f"{cost.catalog_bytes:.0f}" for cost in found.values())],
            ["catalog, rows an entry", *(f"{cost.catalog_rows:.1f}" for cost in found.values())],
        ],
    )
    yield _table(
        ["jobs an hour", "shape", "cores: server", "database", "store", "Gbit/s through servers"],
        _of_jobs(found),
    )


def _of_jobs(found: Mapping[ShapeName, Costs]) -> Iterator[list[str]]:
    for jobs in JOBS_AN_HOUR:
        for shape, cost in found.items():
            cores = {
                part: _seconds_of_a_job(cost, part) * jobs / _HOUR
                for part in cost.seconds["lookup"]
            }
            moved_gb = 0.0 if shape == "direct" else GB_DOWN_A_JOB
            gigabits = (moved_gb + GB_UP_A_JOB) * _BITS * jobs / _HOUR
            shown = [_shown(cores[part]) if part in cores else "" for part in PARTS]
            yield [f"{jobs:,}".replace(",", " "), SHAPES[shape], *shown, _shown(gigabits)]


def _seconds_of_a_job(cost: Costs, part: str) -> float:
    used = {name: parts[part] for name, parts in cost.seconds.items()}
    return (
        LOOKUPS_A_JOB * used["lookup"]
        + SAVES_A_JOB * (used["reserve"] + used["commit"])
        + GB_UP_A_JOB * used["GB up, `actions/cache`"]
        + GB_DOWN_A_JOB * used["GB down, `actions/cache`"]
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _shown(value: float) -> str:
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 10**6:.0f} MB"
