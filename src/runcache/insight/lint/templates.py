"""Texts of a workflow that hold `${{ … }}`, read but not evaluated."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from runcache.errors import ExpressionError
from runcache.expressions import interpolation
from runcache.expressions.interpolation import Expression, segments
from runcache.expressions.nodes import (
    Call,
    Comparison,
    ContextName,
    Index,
    Literal,
    Node,
    children,
)
from runcache.expressions.parser import parse
from runcache.insight.lint.nodes import Scalar
from runcache.insight.lint.source import Place

# What the fields of a step may name (management §5.4).
CONTEXTS: Final = (
    "github",
    "inputs",
    "vars",
    "needs",
    "strategy",
    "matrix",
    "secrets",
    "steps",
    "job",
    "runner",
    "env",
)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text: what stands for itself, or an expression with its tree.

    `position` is the offset in the text where it begins, braces not included; so are positions in
    the tree.
    """

    text: str
    position: int
    tree: Node | None


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and where it was written: from `offset` on in a scalar."""

    value: str
    scalar: Scalar
    offset: int = 0

    def parts(self) -> tuple[Part, ...]:
        """Return what it consists of.

        Raises:
            ExpressionError: an expression in it cannot be read; its position is that in the text.
        """
        parts = _parts_of(self.value)
        if isinstance(parts, ExpressionError):
            raise parts
        return parts

    def place(self, start: int = 0, end: int | None = None) -> Place:
        """Return where its characters from `start` to `end` were written."""
        last = len(self.value) if end is None else end
        return self.scalar.place_of(self.offset + start, self.offset + last)

    def trimmed(self) -> "Text":
        """Return it without blanks around it."""
        begin = len(self.value) - len(self.value.lstrip())
        return Text(self.value.strip(), self.scalar, self.offset + begin)

    def lines(self) -> Iterator["Text"]:
        """Yield its lines that are not blank, trimmed; an expression may go on over several."""
        begin = 0
        for end in [*self._line_ends(), len(self.value)]:
            line = Text(self.value[begin:end], self.scalar, self.offset + begin).trimmed()
            if line.value:
                yield line
            begin = end + 1

    def _line_ends(self) -> Iterator[int]:
        try:
            parts = segments(self.value)
        except ExpressionError:
            parts = (interpolation.Literal(self.value, 0),)
        for part in parts:
            if isinstance(part, interpolation.Literal):
                yield from (part.position + at for at, char in enumerate(part.text) if char == "\n")


def written_in(scalar: Scalar) -> Text:
    """Return the text of a scalar, without blanks around it."""
    return Text(scalar.text, scalar).trimmed()


@lru_cache(maxsize=4096)
def _parts_of(value: str) -> tuple[Part, ...] | ExpressionError:
    try:
        return tuple(
            Part(part.text, part.position, _tree_of(part, value)) for part in segments(value)
        )
    except ExpressionError as exc:
        return exc


def _tree_of(part: interpolation.Literal | Expression, value: str) -> Node | None:
    if isinstance(part, interpolation.Literal):
        return None
    return parse(value, names=CONTEXTS, begin=part.position, end=part.end)


def path_of(node: Node) -> tuple[str, ...]:
    """Return what a node refers to, in small letters: `runner.os` is `("runner", "os")`.

    It is empty for a node that is no chain of names.
    """
    names: list[str] = []
    while isinstance(node, Index) and isinstance(node.index, Literal):
        if not isinstance(node.index.value, str):
            return ()
        names.append(node.index.value.lower())
        node = node.operand
    return (node.name.lower(), *reversed(names)) if isinstance(node, ContextName) else ()


def references(node: Node) -> Iterator[Node]:
    """Yield the chains of names in a tree, each whole, and the calls of `hashFiles`."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if path_of(node) or _is_hash(node):
            yield node
        else:
            waiting.extend(reversed(children(node)))


def hash_calls(node: Node) -> Iterator[Call]:
    """Yield the calls of `hashFiles` in a tree, in order."""
    return (found for found in references(node) if isinstance(found, Call))


def _is_hash(node: Node) -> bool:
    return isinstance(node, Call) and node.name.lower() == "hashfiles"


def canonical(node: Node) -> str:
    """Return the same text for expressions that differ in case of names, or in brackets, only."""
    if path := path_of(node):
        return ".".join(path)
    match node:
        case Literal(value):
            return repr(value)
        case Index(operand, Literal(str(name))):
            return f"{canonical(operand)}.{name.lower()}"
        case Call(name):
            kind = name.lower()
        case Comparison(operator):
            kind = operator
        case _:
            kind = type(node).__name__
    return f"{kind}({', '.join(map(canonical, children(node)))})"
