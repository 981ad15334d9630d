"""The functions of the language, as the runner computes them (management §5.4)."""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from runcache.expressions.casing import fold
from runcache.expressions.lexer import shortened
from runcache.expressions.memory import Counter, Memory, Text, size_of
from runcache.expressions.values import (
    Value,
    are_equal,
    is_primitive,
    kind_of,
    to_string,
)

MAX_FORMAT_INDEX: Final = 255

# A run of text, a doubled brace, or `{number}`, which may have an empty format behind a colon.
_FORMAT_PIECE: Final = re.compile(r"[^{}]+|\{\{|\}\}|\{0*([0-9]{1,3})(?:\}|:\}(?!\}))")


class Arguments:
    """The arguments of a call, each of which is evaluated when it is asked for.

    The runner does so too: what decides nothing cannot fail. `counter` counts what the call makes.
    """

    def __init__(
        self, evaluate: Callable[[int], Value], count: int, memory: Memory, counter: Counter
    ) -> None:
        self._evaluate = evaluate
        self._count = count
        self.memory = memory
        self.counter = counter

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Value:
        return self._evaluate(number)


Function: TypeAlias = Callable[[Arguments], Value]
"""Returns the result of a call, or raises `ValueError` with the reason why it has none."""


def contains(arguments: Arguments) -> bool:
    """Look for an item in an array, or for a string in another whatever their case."""
    searched = arguments[0]
    if isinstance(searched, list) and searched:
        item = arguments[1]
        for candidate in searched:
            arguments.memory.spend(size_of(item) + size_of(candidate))
            if are_equal(item, candidate):
                return True
    elif is_primitive(searched) and is_primitive(item := arguments[1]):
        return fold(to_string(item)) in fold(to_string(searched))
    return False


def starts_with(arguments: Arguments) -> bool:
    """Compare the beginning of a string, whatever its case."""
    if is_primitive(text := arguments[0]) and is_primitive(begin := arguments[1]):
        return fold(to_string(text)).startswith(fold(to_string(begin)))
    return False


def ends_with(arguments: Arguments) -> bool:
    """Compare the end of a string, whatever its case."""
    if is_primitive(text := arguments[0]) and is_primitive(end := arguments[1]):
        return fold(to_string(text)).endswith(fold(to_string(end)))
    return False


def format_text(arguments: Arguments) -> str:
    """Replace each `{N}` by an argument; only those that are used are evaluated, and once."""
    pieces = _pieces_of(to_string(arguments[0]), len(arguments) - 1)
    known: dict[int, str] = {}
    text = Text(arguments.counter)
    for piece in pieces:
        if isinstance(piece, int) and piece not in known:
            known[piece] = to_string(arguments[1 + piece])
        text.add(known[piece] if isinstance(piece, int) else piece)
    return str(text)


def join(arguments: Arguments) -> str:
    """Join the items of an array as strings; the separator is needed for two of them."""
    items = arguments[0]
    if not isinstance(items, list):
        return to_string(items) if is_primitive(items) else ""
    separator = ","
    if len(arguments) > 1 and len(items) > 1 and is_primitive(given := arguments[1]):
        separator = to_string(given)
    text = Text(arguments.counter)
    for number, item in enumerate(items):
        if number > 0:
            text.add(separator)
        text.add(to_string(item))
    return str(text)


def to_json(arguments: Arguments) -> str:
    """Write a value as JSON."""
    from runcache.expressions import json_writer  # noqa: PLC0415  -- few keys need it

    return json_writer.write(arguments[0], arguments.counter)


def from_json(arguments: Arguments) -> Value:
    """Read a value from JSON."""
    from runcache.expressions import json_reader  # noqa: PLC0415  -- few keys need it

    return json_reader.read(to_string(arguments[0]), arguments.counter)


def case(arguments: Arguments) -> Value:
    """Return what follows the first condition that is true, or the last argument."""
    for number in range(0, len(arguments) - 1, 2):
        condition = arguments[number]
        if condition is True:
            return arguments[number + 1]
        if condition is not False:
            kind = kind_of(condition)
            reason = f"argument {number + 1} of `case` must be a boolean, not of kind {kind}"
            raise ValueError(reason)
    return arguments[len(arguments) - 1]


FUNCTIONS: Final[Mapping[str, Function]] = {
    "contains": contains,
    "startswith": starts_with,
    "endswith": ends_with,
    "format": format_text,
    "join": join,
    "tojson": to_json,
    "fromjson": from_json,
    "case": case,
}


def _pieces_of(text: str, count: int) -> list[str | int]:
    """Split a format into texts and the numbers of arguments, of which there are `count`."""
    pieces: list[str | int] = []
    position = 0
    while position < len(text):
        found = _FORMAT_PIECE.match(text, position)
        if found is None or (found[1] and int(found[1]) > MAX_FORMAT_INDEX):
            raise ValueError(
                f"`{shortened(text)}` is no format: a brace is neither `{{N}}` nor double"
            )
        position = found.end()
        if found[1] is None:
            pieces.append(found[0][0] if found[0] in {"{{", "}}"} else found[0])
        elif int(found[1]) >= count:
            raise ValueError(f"the format `{shortened(text)}` names an argument that is not there")
        else:
            pieces.append(int(found[1]))
    return pieces
