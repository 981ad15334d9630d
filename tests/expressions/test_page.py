"""What docs/expressions.md says is so."""

import doctest
import json
from typing import Any

import pytest

from runcache import ExpressionError, evaluate
from runcache.expressions.signatures import FUNCTIONS, STATUS_FUNCTIONS
from tests.documentation import code, example_of, only_code, table
from tests.expressions.differences import End, Outcome, compared
from tests.expressions.generator import Case

PAGE = "expressions.md"


def test_the_table_of_functions_has_every_function_with_its_arguments() -> None:
    rows = [row for row in table(PAGE, "function", "arguments") if row["function"]]

    documented = {only_code(row["function"]): row["arguments"] for row in rows}

    actual = {}
    for signature in FUNCTIONS.values():
        most = f" to {signature.maximum}" if signature.maximum > signature.minimum else ""
        odd = ", odd" if signature.is_odd else ""
        actual[signature.name] = f"{signature.minimum}{most}{odd}"
    assert documented == actual


@pytest.mark.parametrize(
    "row", table(PAGE, "function", "arguments"), ids=lambda row: only_code(row["example"])
)
def test_an_example_of_a_function_gives_what_is_said(row: dict[str, str]) -> None:
    assert evaluate(only_code(row["example"])) == json.loads(only_code(row["gives"]))


def test_status_functions_are_no_functions_in_a_key() -> None:
    for name in STATUS_FUNCTIONS:
        with pytest.raises(ExpressionError, match="unknown function"):
            evaluate(f"{name}()")


def test_the_examples_in_python_are_right() -> None:
    text = example_of(PAGE, "python")

    examples = doctest.DocTestParser().get_doctest(text, {}, PAGE, None, None)
    outcome = doctest.DocTestRunner().run(examples)

    assert outcome.attempted > 4
    assert outcome.failed == 0


def test_the_table_of_differences_says_what_both_sides_do() -> None:
    rows = table(PAGE, "expression", "here, and in the runner")
    cases = [Case(code(row["expression"])[0], {}) for row in rows]

    for row, case in zip(rows, compared(cases), strict=True):
        assert said_of(case.ours) == row["here, and in the runner"], case
        assert said_of(case.theirs) == row["in the library"], case


def said_of(outcome: Outcome) -> str:
    """Return how the page writes it."""
    if outcome.end is not End.VALUE:
        return "error"
    value: Any = outcome.what
    if isinstance(value, dict) and "number" in value:
        value = float(value["number"])
    return f"`{json.dumps(shortest(value), separators=(',', ':'), ensure_ascii=False)}`"


def shortest(value: Any) -> Any:  # noqa: ANN401  -- it is JSON
    if isinstance(value, list):
        return [shortest(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
