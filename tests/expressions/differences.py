"""Runs expressions here and in GitHub's JavaScript library, and knows where the two may differ.

The runner decides what is right (management §5.4). Each row of `DIFFERENCES` is a place where the
library does otherwise: what is no row is a mistake, here or there.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from runcache import ExpressionError, evaluate
from runcache.expressions.casing import fold
from runcache.expressions.values import Value
from tests.expressions.generator import Case
from tests.node_batches import answers


class End(Enum):
    """How an expression ends: with a value, or refused before or during its evaluation."""

    VALUE = "value"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended, and the value or the message."""

    end: End
    what: Any


@dataclass(frozen=True, slots=True)
class Compared:
    """A case and its two outcomes."""

    case: Case
    ours: Outcome
    theirs: Outcome

    def ends(self, ours: End, theirs: End) -> bool:
        return (self.ours.end, self.theirs.end) == (ours, theirs)

    def agrees(self) -> bool:
        if not self.ends(self.theirs.end, self.ours.end):
            return False
        return self.ours.end is not End.VALUE or _same(self.ours.what, self.theirs.what)

    def reason(self) -> str | None:
        """Return why the two differ, or None if nothing in the table explains it."""
        return next((row.reason for row in DIFFERENCES if row.applies(self)), None)

    def __str__(self) -> str:
        text = self.case.expression
        return f"{text!r}\n    here:  {self.ours.what!r}\n    there: {self.theirs.what!r}"


def compared(cases: Iterable[Case]) -> Iterator[Compared]:
    """Evaluate cases on both sides; there in one process of Node."""
    kept = list(cases)
    questions = [{"expression": case.expression, "contexts": case.contexts} for case in kept]
    for case, answer in zip(kept, answers("expressions.mjs", questions), strict=True):
        ((end, what),) = answer.items()
        yield Compared(case, outcome_of(case), Outcome(End(end), what))


def outcome_of(case: Case) -> Outcome:
    """Evaluate a case here."""
    try:
        return Outcome(End.VALUE, evaluate(case.expression, case.contexts))
    except ExpressionError as exc:
        return Outcome(End.FAILED if exc.kind == "evaluation" else End.REFUSED, exc.reason)


def _same(ours: Value, theirs: Any) -> bool:  # noqa: ANN401  -- it is JSON
    match ours:
        case bool() | str() | None:
            return type(ours) is type(theirs) and ours == theirs
        case int() | float():
            if not isinstance(theirs, dict) or "number" not in theirs:
                return False
            number = float(theirs["number"])
            return ours == number or (math.isnan(ours) and math.isnan(number))
        case list():
            return (
                isinstance(theirs, list)
                and len(ours) == len(theirs)
                and all(map(_same, ours, theirs))
            )
        case dict():
            if not isinstance(theirs, dict) or "object" not in theirs:
                return False
            keys = [key for key, _ in theirs["object"]]
            values = [value for _, value in theirs["object"]]
            return list(ours) == keys and all(map(_same, ours.values(), values))
    raise TypeError(ours)


def _has(pattern: str) -> Callable[[Compared], bool]:
    """Return a test of whether the text of a case has a match."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda compared: compiled.search(compared.case.expression) is not None


def _folds_a_letter(compared: Compared) -> bool:
    return any(
        fold(char) != char.upper() or len(char.lower()) > 1 or char in "\u212a\u03a3\u03c2\u03c3"
        for char in compared.case.expression
    )


def _takes_json(compared: Compared) -> bool:
    return compared.theirs.end is End.FAILED and "JSON" in compared.theirs.what


def _evaluates_less(compared: Compared) -> bool:
    return compared.ends(End.VALUE, End.FAILED) and _calls_or_indexes(compared)


_ENDS: Final = "[\x85\u2028\u2029]|\\\\u2028"
_calls_or_indexes: Final = _has(r"(?i)case|contains|format|join|(?:starts|ends)with|\[")


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where GitHub's library differs from its runner.

    `applies` says whether the difference of a case may be due to it, and `example` has it.
    """

    reason: str
    example: str
    applies: Callable[[Compared], bool]


DIFFERENCES: Final = (
    Difference(
        "Json.NET escapes three line ends of Unicode",
        "toJSON('\u2028')",
        lambda compared: compared.ends(End.VALUE, End.VALUE) and _has(_ENDS)(compared),
    ),
    Difference(
        "blanks are those of .NET, not those of JavaScript",
        "1\xa0== 1",
        _has("[^\\S \t\r\n]|\ufeff"),
    ),
    Difference(
        "the library takes a comma after the last argument",
        "format('x',)",
        lambda compared: compared.ours.end is End.REFUSED and _has(r",\s*\)")(compared),
    ),
    Difference(
        "the library un-escapes only the first quote of a literal",
        "'a''b''c'",
        _has(r"'[^']*''[^']*''"),
    ),
    Difference(
        "the library takes anything behind the number in `{0abc}`",
        "format('{0abc}', 1)",
        lambda compared: compared.ours.end is End.FAILED and _has(r"\{[0-9]+[^0-9}]")(compared),
    ),
    Difference(
        "numbers of base 2, with a capital, or of 32 bits",
        "0xFFFFFFFF",
        _has(r"0[bBXO]|0x0*[89a-fA-F][0-9a-fA-F]{7}|0o0*[2-7][0-7]{10}"),
    ),
    Difference(
        "`infinity` is a number to .NET in any case of letters",
        "'infinity' == Infinity",
        _has("infinity"),
    ),
    Difference(
        "large, long and tiny numbers become other strings",
        "format('{0}', 1e21)",
        _has(r"(?i)[0-9]e[+-]?[0-9]|[0-9]{15}"),
    ),
    Difference(
        "`toJSON` of NaN and Infinity is null in the library",
        "toJSON(NaN)",
        _has(r"(?i)tojson.*(?:nan|infinity)"),
    ),
    Difference("the library reads JSON only, Json.NET more", "fromJSON('[1,]')", _takes_json),
    Difference(
        "half a surrogate pair in JSON is replaced by Json.NET",
        "fromJSON('\"\\ud800\"')",
        _has("\\\\ud8|\ud800"),
    ),
    Difference(
        "the library puts members first whose names are numbers",
        'fromJSON(\'{"b": 1, "1": 2}\')',
        _has(r'"[0-9]+":'),
    ),
    Difference(
        "the library loses members that all objects of JavaScript have",
        "fromJSON('{\"constructor\": 1}')",
        _has("constructor"),
    ),
    Difference(
        "the library folds a letter to several, and for some functions to small ones",
        "'ß' == 'SS'",
        _folds_a_letter,
    ),
    Difference(
        "the library evaluates arguments that decide nothing",
        "format('x', fromJSON(''))",
        _evaluates_less,
    ),
    Difference(
        "brackets add to the depth in the library, and comparisons do not",
        "(" * 50 + "1" + ")" * 50,
        lambda compared: "depth" in str(compared.theirs.what) or "deep" in str(compared.ours.what),
    ),
    Difference(
        "the library counts no memory",
        "format('" + "{0}" * 2000 + "', format('" + "{0}" * 500 + "', 'x')) != ''",
        lambda compared: "MiB" in str(compared.ours.what),
    ),
)
