"""Values → JSON text, as `toJSON` of the runner writes it (management §5.4)."""

import re
from collections.abc import Iterator
from typing import Final

from runcache.expressions.memory import Counter, Text
from runcache.expressions.values import Kind, Value, kind_of, members, to_string

_INDENT: Final = "  "

# What Json.NET escapes, three line ends of Unicode among it.
_ESCAPED: Final = re.compile('[\x00-\x1f"\\\\\x85\u2028\u2029]')
_SHORT_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}

_Open = tuple[str, Iterator[tuple[str, Value]]]
"""An array or object that is being written: its closing bracket, and what is to come."""


def write(value: Value, counter: Counter) -> str:
    """Return a value as JSON, indented by two spaces; NaN and Infinity are written as words.

    Raises:
        ValueError: it takes more than the counter allows.
    """
    text = Text(counter)
    waiting: list[_Open] = []
    _begin(value, text, waiting)
    while waiting:
        bracket, rest = waiting[-1]
        following = next(rest, None)
        if following is None:
            waiting.pop()
            text.add(f"\n{_INDENT * len(waiting)}{bracket}")
            continue
        separator_and_key, item = following
        text.add(separator_and_key)
        _begin(item, text, waiting)
    return str(text)


def _begin(value: Value, text: Text, waiting: list[_Open]) -> None:
    """Write a value that is none to be entered, or the opening bracket of one that is."""
    indent = f"\n{_INDENT * (len(waiting) + 1)}"
    if isinstance(value, list) and value:
        text.add("[")
        waiting.append(("]", _items(value, indent)))
    elif isinstance(value, dict) and value:
        text.add("{")
        waiting.append(("}", _pairs(value, indent)))
    else:
        text.add(_atom(value))


def _items(array: list[Value], indent: str) -> Iterator[tuple[str, Value]]:
    separator = ""
    for item in array:
        yield f"{separator}{indent}", item
        separator = ","


def _pairs(mapping: dict[str, Value], indent: str) -> Iterator[tuple[str, Value]]:
    separator = ""
    for key, value in members(mapping).values():
        yield f"{separator}{indent}{_quoted(key)}: ", value
        separator = ","


def _atom(value: Value) -> str:
    match kind_of(value):
        case Kind.NULL:
            return "null"
        case Kind.ARRAY:
            return "[]"
        case Kind.OBJECT:
            return "{}"
        case Kind.STRING:
            return _quoted(to_string(value))
    return to_string(value)


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    return _SHORT_ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}"
