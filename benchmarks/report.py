"""What a benchmark found: figures, each beside its yardstick and its target."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

HEADINGS: Final = ("figure", "runcache", "yardstick", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at least or at most `bound`."""

    bound: float
    is_upper: bool

    def allows(self, value: float) -> bool:
        """Say whether `value` is what it should be."""
        return value <= self.bound if self.is_upper else value >= self.bound


def at_least(bound: float) -> Target:
    """Return a lower bound."""
    return Target(bound, is_upper=False)


def at_most(bound: float) -> Target:
    """Return an upper bound."""
    return Target(bound, is_upper=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row. The target is for the ratio where there is one, else for the value.

    Attributes:
        name: what was measured.
        value: the median of all rounds.
        unit: of the value and of the yardstick.
        yardstick: the same median of what it is compared with.
        ratio: how it compares: what is better for a reader of the target is written beside it.
        target: what it should be, if anything.
    """

    name: str
    value: float
    unit: str
    yardstick: float | None = None
    ratio: float | None = None
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met, `None` without one."""
        if self.target is None:
            return None
        return self.target.allows(self.value if self.ratio is None else self.ratio)

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        return (
            self.name,
            _shown(self.value, self.unit),
            "" if self.yardstick is None else _shown(self.yardstick, self.unit),
            "" if self.ratio is None else f"{self.ratio:.2f}",
            self._target_text(),
            {None: "", True: "yes", False: "NO"}[self.is_met],
        )

    def _target_text(self) -> str:
        if self.target is None:
            return ""
        sign = "≤" if self.target.is_upper else "≥"
        bound = self.target.bound
        return f"{sign} {_shown(bound, self.unit)}" if self.ratio is None else f"{sign} {bound:.2f}"


def speed(
    name: str, ours: Sequence[float], others: Sequence[float], target: Target | None = None
) -> Figure:
    """Compare the seconds of two servers: a ratio of 2 means that ours is twice as fast."""
    if not others:
        return Figure(name=name, value=median(ours), unit="s")
    return Figure(
        name=name,
        value=median(ours),
        unit="s",
        yardstick=median(others),
        ratio=median(others) / median(ours),
        target=target,
    )


@dataclass(frozen=True, slots=True)
class Section:
    """What one benchmark found. `notes` say how it was measured, and what could not be."""

    title: str
    notes: Sequence[str]
    figures: Sequence[Figure]

    def text(self) -> str:
        """Return notes and table for a terminal."""
        rows = [HEADINGS, *(figure.cells() for figure in self.figures)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"== {self.title}", *(f"   {note}" for note in self.notes), ""]
        for row in rows:
            first, *others = (
                cell.ljust(width) if number == 0 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join((first, *others)).rstrip())
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {
            "title": self.title,
            "notes": list(self.notes),
            "figures": [
                {
                    "name": figure.name,
                    "value": figure.value,
                    "unit": figure.unit,
                    "yardstick": figure.yardstick,
                    "ratio": figure.ratio,
                    "target": figure.cells()[4] or None,
                    "is_met": figure.is_met,
                }
                for figure in self.figures
            ],
        }


def summary(sections: Iterable[Section]) -> str:
    """Return one line that counts the targets."""
    met = [figure.is_met for section in sections for figure in section.figures if figure.target]
    return f"{met.count(True)} of {len(met)} targets met"


def json_text(machine: dict[str, Any], sections: Iterable[Section]) -> str:
    """Return everything as one JSON document."""
    document = {"machine": machine, "sections": [section.as_json() for section in sections]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _shown(value: float, unit: str) -> str:
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    text = f"{value:,.{digits}f}".replace(",", " ")
    return f"{text} {unit}"
