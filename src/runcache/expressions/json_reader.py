"""JSON text → values, with all that the runner's Json.NET takes beyond JSON (management §5.4).

That is: comments, single quotes, names without quotes, a comma before a closing bracket, NaN and
Infinity, hexadecimal and octal numbers, and any text behind the first value. What it reads from an
empty place between commas, `undefined` and constructors is refused.
"""

import math
import re
from typing import Final, NoReturn

from runcache.expressions.casing import fold
from runcache.expressions.memory import Counter, size_of
from runcache.expressions.numbers import WHITE_SPACE
from runcache.expressions.values import Value

MAX_DEPTH: Final = 64  # of Json.NET
MAX_INTEGER_DIGITS: Final = 380  # of Json.NET

_BLANKS: Final = re.compile(f"[{WHITE_SPACE}]*")
_IGNORED: Final = re.compile(
    rf"[{WHITE_SPACE}]*+(?:(?:/\*.*?\*/|//[^\r\n]*+)[{WHITE_SPACE}]*+)*+", re.DOTALL
)
_STRING: Final = re.compile(
    r"""
    "([^"\\]*+(?:\\.[^"\\]*+)*+)" |
    '([^'\\]*+(?:\\.[^'\\]*+)*+)'
    """,
    re.DOTALL | re.VERBOSE,
)
_NAME: Final = re.compile(r"[\w$]+")
_WORD: Final = re.compile(rf"[^,\]}}/{WHITE_SPACE}]*")
_DECIMAL: Final = re.compile(
    r"(?!0[^.eE])-?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
)
_OTHER_BASE: Final = re.compile("0(?:[xX]([0-9a-fA-F]{1,15})|([0-7]{1,20}))")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)

_WORDS: Final[dict[str, bool | float | None]] = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}
_ESCAPES: Final = dict(zip("\"'\\/bfnrt", "\"'\\/\b\f\n\r\t", strict=True))


def read(text: str, counter: Counter) -> Value:
    """Return the first value in `text`.

    Raises:
        ValueError: there is none, it is not closed, is nested more than 64 deep, or takes more
            than the counter allows.
    """
    return _Reader(text, counter).value(MAX_DEPTH)


class _Reader:
    def __init__(self, text: str, counter: Counter) -> None:
        self._text = text
        self._counter = counter
        self._position = 0

    def value(self, depth: int) -> Value:
        """Read a value in which brackets may be nested `depth` deep."""
        self._skip(_IGNORED)
        char = self._peek()
        if char in {"[", "{"}:
            if depth == 0:
                raise ValueError(f"JSON is nested more than {MAX_DEPTH} deep")
            self._position += 1
            return self._array(depth - 1) if char == "[" else self._object(depth - 1)
        value = self._string() if char in {'"', "'"} else self._atom()
        self._counter.add(size_of(value))
        return value

    def _array(self, depth: int) -> list[Value]:
        items: list[Value] = []
        while not self._is_closed("]"):
            items.append(self.value(depth))
            self._separator("]")
        return items

    def _object(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        spellings: dict[str, str] = {}
        while not self._is_closed("}"):
            name = self._name()
            value = self.value(depth)
            # Of names that differ in case the first one counts, of equal ones the last value.
            if spellings.setdefault(fold(name), name) == name:
                found[name] = value
            self._separator("}")
        return found

    def _name(self) -> str:
        if self._peek() in {'"', "'"}:
            name = self._string()
        elif found := _NAME.match(self._text, self._position):
            name = found[0]
            self._position = found.end()
        else:
            self._fail()
        self._counter.add(size_of(name))
        self._skip(_BLANKS)
        if self._peek() != ":":
            self._fail()
        self._position += 1
        return name

    def _string(self) -> str:
        found = _STRING.match(self._text, self._position)
        if found is None:
            self._fail()
        self._position = found.end()
        raw = found[1] if found[2] is None else found[2]
        return self._unescaped(raw) if "\\" in raw else raw

    def _unescaped(self, raw: str) -> str:
        text = _ESCAPE.sub(self._escape, raw)
        # Two escapes may make one character, and half of one is replaced.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _escape(self, found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 16))
        if found[2] not in _ESCAPES:
            raise ValueError(f"`{found[0]}` is no escape in JSON")
        return _ESCAPES[found[2]]

    def _atom(self) -> bool | float | None:
        found = _WORD.match(self._text, self._position)
        word = found[0] if found else ""
        if word in _WORDS:
            value = _WORDS[word]
        elif other := _OTHER_BASE.fullmatch(word):
            value = float(int(other[1], 16) if other[1] else int(other[2], 8))
        elif _DECIMAL.fullmatch(word) and not (word.isdigit() and len(word) > MAX_INTEGER_DIGITS):
            value = float(word)
        else:
            self._fail()
        self._position += len(word)
        return value

    def _is_closed(self, bracket: str) -> bool:
        self._skip(_IGNORED)
        if self._peek() != bracket:
            return False
        self._position += 1
        self._counter.add(size_of([]))
        return True

    def _separator(self, bracket: str) -> None:
        """Skip a comma; the closing bracket is left for who looks for it."""
        self._skip(_IGNORED)
        if self._peek() == ",":
            self._position += 1
        elif self._peek() != bracket:
            self._fail()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self._text, self._position):
            self._position = found.end()

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _fail(self) -> NoReturn:
        char = self._peek()
        what = f"`{char}` at offset {self._position} is unexpected" if char else "it ends early"
        raise ValueError(f"JSON cannot be read: {what}")
