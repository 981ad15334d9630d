"""What a rule is, and what it finds."""

from dataclasses import dataclass
from enum import Enum

from runcache.insight.lint.source import Place, Position


class Severity(Enum):
    """How bad it is."""

    ERROR = "error"  # it cannot do what it is there for, or gives something away
    WARNING = "warning"  # it works, and worse than it could


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place; `fix` is set where the rule's own is too general."""

    place: Place
    message: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, under the rule that found it, with all that a report says.

    `excerpt` is the line of the file, and below it carets under what is meant.
    """

    rule: str
    severity: Severity
    path: str
    start: Position
    end: Position
    message: str
    why: str
    fix: str
    excerpt: str
