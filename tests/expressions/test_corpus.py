"""Each rule of the language has a case, and GitHub's own cases pass too (management §5.4, §5.5)."""

import re
from typing import Any

import pytest

from runcache import evaluate
from runcache.expressions.values import Value, kind_of
from tests.expressions.cases import SUITE, corpus, refusal_of, suite

OWN = [
    pytest.param(case, id=f"{file}-{number}-{case['rule'][:60]}")
    for number, (file, case) in enumerate(corpus())
]
GITHUBS = list(suite())


@pytest.mark.parametrize("case", OWN)
def test_a_rule_holds(case: dict[str, Any]) -> None:
    contexts = case.get("contexts", {})

    if "error" in case:
        refused = refusal_of(case["expression"], contexts)
        assert (refused.kind, refused.position) == (case["error"], case["at"])
    else:
        assert_is(evaluate(case["expression"], contexts), case["value"])


def test_githubs_own_cases_pass() -> None:
    if not GITHUBS:
        pytest.skip(f"needs the expression suite, whose folder `{SUITE}` names")

    for file, case in GITHUBS:
        assert_passes(file, case)


def assert_passes(file: str, case: dict[str, Any]) -> None:
    expression, contexts = case["expr"], case.get("contexts", {})
    if "err" in case:
        refused = refusal_of(expression, contexts)
        assert refused.kind == case["err"]["kind"], (file, expression)
        # Some cases give the first digits only.
        if located := re.search(r"Located at position ([0-9]+)", case["err"]["value"]):
            assert str(refused.position + 1).startswith(located[1]), (file, expression)
    else:
        value = evaluate(expression, contexts)
        assert kind_of(value) == case["result"]["kind"], (file, expression)
        assert_is(value, case["result"]["value"])


def assert_is(value: Value, expected: Value) -> None:
    """Compare kinds as well: True is no 1."""
    assert kind_of(value) is kind_of(expected)
    assert value == expected
