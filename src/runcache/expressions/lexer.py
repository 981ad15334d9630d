"""Text → tokens."""

import math
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from runcache.errors import ExpressionError
from runcache.expressions.numbers import WHITE_SPACE, parse_number

MAX_LENGTH: Final = 21_000


class TokenKind(Enum):
    """What a token is; the parser decides whether it may stand where it stands."""

    LITERAL = auto()
    NAME = auto()
    FUNCTION = auto()
    PROPERTY = auto()
    OPERATOR = auto()
    PUNCTUATION = auto()


class Token(NamedTuple):
    """A piece of an expression; only a literal has a value."""

    kind: TokenKind
    text: str
    position: int
    value: bool | float | str | None = None


_BLANKS: Final = re.compile(f"[{WHITE_SPACE}]*")
_WORD: Final = re.compile(rf"[^()\[\],.!<>=&|{WHITE_SPACE}]*")
_NUMBER: Final = re.compile(rf"[^()\[\],!<>=&|{WHITE_SPACE}]*")
_STRING: Final = re.compile("'[^']*+(?:''[^']*+)*+'")
_OPERATOR: Final = re.compile(r"&&|\|\||[=!<>]=|[!<>]")
_LEGAL_NAME: Final = re.compile("[a-zA-Z_][a-zA-Z0-9_-]*")

_LITERALS: Final[dict[str, bool | float | None]] = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": math.nan,
    "Infinity": math.inf,
}
_HINTS: Final = {
    '"': "strings are written in single quotes",
    "$": "an expression is written without its `${{` and `}}`",
}


class Lexer:
    """Yields the tokens of an expression, which is `text` from `begin` to `end`.

    The tokens are read one by one, so that of two mistakes the first one is reported. Positions
    are offsets in the whole text.

    Raises:
        ExpressionError: the next piece cannot be a token, or the expression is too long.
    """

    def __init__(self, text: str, begin: int, end: int) -> None:
        _check_length(text, begin, end)
        self._text = text
        self._begin = begin
        self._end = end

    def __iter__(self) -> Iterator[Token]:
        token = None
        position = self._skip_blanks(self._begin)
        while position < self._end:
            token = self._token(position, token)
            yield token
            position = self._skip_blanks(position + len(token.text))

    def _token(self, position: int, last: Token | None) -> Token:
        char = self._text[position]
        if char in "()[],*":
            return Token(TokenKind.PUNCTUATION, char, position)
        if char == "'":
            return self._string(position)
        if char in "!<>=&|":
            if found := self._match(_OPERATOR, position):
                return Token(TokenKind.OPERATOR, found, position)
            raise self._unexpected(char + self._match(_WORD, position + 1), position)
        if char == "." and not _begins_operand(last):
            return Token(TokenKind.PUNCTUATION, char, position)
        if char in ".+-" or "0" <= char <= "9":
            return self._number(position)
        return self._word(position, last)

    def _string(self, position: int) -> Token:
        raw = self._match(_STRING, position)
        if not raw:
            raise self._unexpected(self._text[position : self._end], position)
        return Token(TokenKind.LITERAL, raw, position, raw[1:-1].replace("''", "'"))

    def _number(self, position: int) -> Token:
        raw = self._match(_NUMBER, position)
        value = parse_number(raw)
        if math.isnan(value):
            raise self._unexpected(raw, position)
        return Token(TokenKind.LITERAL, raw, position, value)

    def _word(self, position: int, last: Token | None) -> Token:
        word = self._match(_WORD, position)
        if not _LEGAL_NAME.fullmatch(word):
            raise self._unexpected(word, position)
        if last is not None and last.text == ".":
            return Token(TokenKind.PROPERTY, word, position)
        if word in _LITERALS:
            return Token(TokenKind.LITERAL, word, position, _LITERALS[word])
        after = self._skip_blanks(position + len(word))
        is_call = self._text.startswith("(", after, self._end)
        return Token(TokenKind.FUNCTION if is_call else TokenKind.NAME, word, position)

    def _skip_blanks(self, position: int) -> int:
        return position + len(self._match(_BLANKS, position))

    def _match(self, pattern: re.Pattern[str], position: int) -> str:
        found = pattern.match(self._text, position, self._end)
        return found[0] if found else ""

    def _unexpected(self, piece: str, position: int) -> ExpressionError:
        return ExpressionError(
            f"unexpected symbol `{shortened(piece)}`",
            kind="lexing",
            position=position,
            expression=self._text,
            hint=_HINTS.get(piece[0]),
        )


def shortened(text: str, limit: int = 40) -> str:
    """Return the beginning of `text`, for a message."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def _begins_operand(last: Token | None) -> bool:
    """Say whether what follows `last` begins an operand, so that a dot begins a number."""
    return last is None or last.kind is TokenKind.OPERATOR or last.text in {"(", "[", ","}


def _check_length(text: str, begin: int, end: int) -> None:
    units = utf16_units(text[begin:end])
    if units > MAX_LENGTH:
        reason = f"the expression has {units} characters, and {MAX_LENGTH} are the limit"
        raise ExpressionError(reason, kind="parsing", position=begin, expression=text)


def utf16_units(text: str) -> int:
    """Return the length of `text` as GitHub counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
