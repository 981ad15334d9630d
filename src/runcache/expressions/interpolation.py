"""Text that holds `${{ … }}` (management §5.4)."""

import re
from collections.abc import Collection, Iterator
from itertools import count
from typing import Final, NamedTuple

from runcache.errors import ExpressionError
from runcache.expressions import nodes
from runcache.expressions.lexer import MAX_LENGTH, utf16_units
from runcache.expressions.numbers import WHITE_SPACE
from runcache.expressions.parser import MAX_DEPTH, parse
from runcache.expressions.signatures import FUNCTIONS, MAX_ARGUMENTS, Signatures

OPENING: Final = "${{"

# Up to the first two braces outside of quotes; a quote in a string is doubled, and ends no string.
_INNER: Final = re.compile(r"((?:[^'}]++|'[^']*+'|\}(?!\}))*+)\}\}")


class Literal(NamedTuple):
    """A part of the text that stands for itself, and where it begins."""

    text: str
    position: int


class Expression(NamedTuple):
    """What stands between braces, without blanks around it, and where that begins."""

    text: str
    position: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.position + len(self.text)


def segments(text: str) -> tuple[Literal | Expression, ...]:
    """Split a text at its expressions; nothing is empty, and an empty text has no segments.

    Raises:
        ExpressionError: braces are not closed, or hold nothing.
    """
    return tuple(_segments(text))


def tree(
    text: str, *, names: Collection[str] | None, functions: Signatures = FUNCTIONS
) -> nodes.Node:
    """Return the tree of what a text with expressions is: a literal, an expression or a `format`.

    Positions are those in the text.

    Raises:
        ExpressionError: an expression in it cannot be parsed, or all together exceed a limit.
    """
    parts = segments(text)
    expressions = [part for part in parts if isinstance(part, Expression)]
    if not expressions:
        return nodes.Literal(text)
    if len(parts) > 1:
        _check_size(text, parts, expressions)
    trees = [
        parse(text, names=names, functions=functions, begin=part.position, end=part.end)
        for part in expressions
    ]
    if len(parts) == 1:
        return trees[0]
    joined = nodes.Call("format", (nodes.Literal(_format_of(parts)), *trees), 0)
    if nodes.depth_of(joined) > MAX_DEPTH:
        raise _error(f"an expression in a text can be nested {MAX_DEPTH - 1} deep", 0, text)
    return joined


def _format_of(parts: tuple[Literal | Expression, ...]) -> str:
    numbers = count()
    return "".join(
        part.text.replace("{", "{{").replace("}", "}}")
        if isinstance(part, Literal)
        else f"{{{next(numbers)}}}"
        for part in parts
    )


def _check_size(
    text: str, parts: tuple[Literal | Expression, ...], expressions: list[Expression]
) -> None:
    """Refuse what is too large once it is written as one call of `format`, as GitHub does."""
    quoted = _format_of(parts).replace("'", "''")
    arguments = "".join(f", {part.text}" for part in expressions)
    units = utf16_units(f"format('{quoted}'{arguments})")
    if units > MAX_LENGTH:
        reason = f"text and expressions have {units} characters, and {MAX_LENGTH} are the limit"
        raise _error(reason, 0, text)
    if len(expressions) >= MAX_ARGUMENTS:
        raise _error(f"a text can hold at most {MAX_ARGUMENTS - 1} expressions", 0, text)


def _segments(text: str) -> Iterator[Literal | Expression]:
    position = 0
    while (opening := text.find(OPENING, position)) >= 0:
        if opening > position:
            yield Literal(text[position:opening], position)
        begin = opening + len(OPENING)
        found = _INNER.match(text, begin)
        if found is None:
            raise _error(f"`{OPENING}` is not closed", opening, text)
        inner = found[1]
        expression = inner.strip(WHITE_SPACE)
        if not expression:
            raise _error("an expression is expected between the braces", opening, text)
        yield Expression(expression, begin + inner.index(expression))
        position = found.end()
    if position < len(text):
        yield Literal(text[position:], position)


def _error(reason: str, position: int, text: str) -> ExpressionError:
    return ExpressionError(reason, kind="parsing", position=position, expression=text)
