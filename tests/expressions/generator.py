"""Expressions by chance: mostly right ones, some with a mistake in them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias, cast

MAX_DEPTH: Final = 5

# Lists to choose from. On what is in a list of odd things, GitHub's library and its runner may
# differ, see `differences.py`.
VOCABULARY: Final[dict[str, list[str]]] = json.loads(
    (Path(__file__).parent / "vocabulary.json").read_text()
)
CONTEXTS: Final = cast("dict[str, Any]", VOCABULARY["contexts"])
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")

Maker: TypeAlias = Callable[[int], str]
"""Makes an expression of at most the given depth."""


@dataclass(frozen=True, slots=True)
class Case:
    """An expression and the contexts that it may name."""

    expression: str
    contexts: dict[str, Any]


class Generator:
    """Makes cases; the same `random` makes the same ones.

    `oddness` is how likely a choice is one on which GitHub's library is known to differ from its
    runner.
    """

    def __init__(self, random: Random, *, oddness: float = 0.02) -> None:
        self._random = random
        self._oddness = oddness

    def case(self) -> Case:
        """Make a case; one in six has a mistake put into it."""
        expression = self._expression(self._random.randint(0, MAX_DEPTH))
        if self._random.random() < 1 / 6:
            expression = self._broken(expression)
        return Case(expression, CONTEXTS)

    def _expression(self, depth: int) -> str:
        makers: list[Maker] = [self._literal, self._name]
        if depth > 0:
            makers += [self._call, self._call, self._index, self._index, self._comparison]
            makers += [self._logical, self._negation, self._group]
        return self._space() + self._random.choice(makers)(depth) + self._space()

    def _literal(self, _depth: int) -> str:
        if self._random.random() < 0.4:
            return self._pick("numbers")
        if self._random.random() < 0.2:
            return self._random.choice(("true", "false", "null"))
        return _quoted(self._pick("strings"))

    def _name(self, _depth: int) -> str:
        # One that is unknown ends it all, so there are few of them.
        name = "unknown" if self._random.random() < 0.02 else self._one_of("names")
        return self._random.choice((name, name.upper(), name.lower()))

    def _call(self, depth: int) -> str:
        kind = self._random.randrange(9)
        below = depth - 1
        if kind == 0:
            name, arguments = "format", [_quoted(self._pick("formats"))]
            arguments += [self._expression(below) for _ in range(self._random.randint(0, 3))]
        elif kind == 1:
            name, arguments = "fromJSON", [_quoted(self._pick("json_texts"))]
        elif kind == 2:
            name, arguments = "case", self._arguments(below, self._random.choice((3, 3, 3, 5, 4)))
        elif kind == 3:
            name, arguments = "fromJSON", [f"toJSON({self._expression(below)})"]
        elif kind == 4:
            name, arguments = "join", self._arguments(below, self._random.choice((1, 2)))
        elif kind == 5:
            name, arguments = "toJSON", self._arguments(below, 1)
        else:
            name = self._random.choice(("contains", "startsWith", "endsWith"))
            arguments = self._arguments(below, self._random.choice((2, 2, 2, 2, 2, 2, 1, 3)))
        comma = "," if self._random.random() < self._oddness else ""
        return f"{self._cased(name)}{self._space()}({','.join(arguments)}{comma})"

    def _arguments(self, depth: int, count: int) -> list[str]:
        return [self._expression(depth) for _ in range(count)]

    def _index(self, depth: int) -> str:
        makers: list[Maker] = [self._name]
        if depth > 1:
            makers += [self._call, self._index, self._group]
        operand = self._random.choice(makers)(depth - 1)
        for _ in range(self._random.randint(1, 3)):
            operand += self._space() + self._random.choice(
                (
                    f".{self._space()}{self._one_of('properties')}",
                    f".{self._one_of('properties')}",
                    ".*",
                    f"[{self._space()}*]",
                    f"[{self._random.randint(0, 4)}]",
                    f"[{_quoted(self._one_of('properties'))}]",
                    f"[{self._expression(min(depth - 1, 1))}]",
                )
            )
        return operand

    def _comparison(self, depth: int) -> str:
        operator = self._random.choice(COMPARISONS)
        return f"{self._expression(depth - 1)}{operator}{self._expression(depth - 1)}"

    def _logical(self, depth: int) -> str:
        operator = self._random.choice(("&&", "||"))
        count = self._random.randint(2, 4)
        return operator.join(self._arguments(depth - 1, count))

    def _negation(self, depth: int) -> str:
        return f"!{self._expression(depth - 1)}"

    def _group(self, depth: int) -> str:
        return f"({self._expression(depth - 1)})"

    def _broken(self, expression: str) -> str:
        at = self._random.randint(0, len(expression))
        until = at + self._random.choice((0, 0, 1, 3))
        return expression[:at] + self._one_of("debris") + expression[until:]

    def _space(self) -> str:
        return self._pick("spaces", oddness=self._oddness / 10)

    def _cased(self, name: str) -> str:
        return self._random.choice((name, name, name.upper(), name.lower()))

    def _pick(self, kind: str, *, oddness: float | None = None) -> str:
        is_odd = self._random.random() < (self._oddness if oddness is None else oddness)
        return self._one_of(f"odd_{kind}" if is_odd else kind)

    def _one_of(self, kind: str) -> str:
        return self._random.choice(VOCABULARY[kind])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
