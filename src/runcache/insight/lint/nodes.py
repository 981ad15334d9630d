"""What YAML consists of, with places: scalars, sequences and mappings.

A node is equal to itself only: an alias is the node that it names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from runcache.insight.lint.scalars import Style, offsets
from runcache.insight.lint.source import Place, Source


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A text as it is meant, the place that it was written at, and how.

    `place` holds quotation marks, and the header of a block.
    """

    text: str
    place: Place
    style: Style
    source: Source

    def place_of(self, start: int, end: int) -> Place:
        """Return where the characters `start` to `end` of the text were written."""
        written = self.source.text[self.place.start : self.place.end]
        found = offsets(written, self.text, self.style)
        last = found[end - 1] + 1 if end > start else found[start]
        begin = self.place.start
        return Place(begin + found[start], begin + max(last, found[start]), within=begin)


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Items in order; `place` is where it begins."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """Values by name, in order; `place` is where it begins. Every name is there once."""

    entries: tuple[tuple[Scalar, "Node"], ...]
    place: Place
    _values: dict[str, "Node"] = field(init=False, repr=False, compare=False)
    _folded: dict[str, "Node"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = {key.text: value for key, value in self.entries}
        object.__setattr__(self, "_values", values)
        folded = {name.lower(): value for name, value in reversed(values.items())}
        object.__setattr__(self, "_folded", folded)

    def get(self, name: str) -> "Node | None":
        """Return the value of `name`, or `None`."""
        return self._values.get(name)

    def find(self, name: str) -> "Node | None":
        """Return the value of `name`, whatever its case, or `None`."""
        return self._folded.get(name.lower())

    def names(self) -> Iterator[Scalar]:
        """Yield the names."""
        return (key for key, _ in self.entries)


Node = Scalar | Sequence | Mapping


def text_of(node: Node | None) -> str | None:
    """Return the text of a scalar, and `None` for all else."""
    return node.text if isinstance(node, Scalar) else None


def mapping_of(node: Node | None) -> Mapping | None:
    """Return a mapping as it is, and `None` for all else."""
    return node if isinstance(node, Mapping) else None


def items_of(node: Node | None) -> tuple[Node, ...]:
    """Return the items of a sequence, and of all else none."""
    return node.items if isinstance(node, Sequence) else ()
