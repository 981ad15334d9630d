"""Expressions have the values that GitHub's own library gives, but in the places that are known."""

from random import Random

import pytest

from tests.expressions.cases import corpus
from tests.expressions.differences import DIFFERENCES, compared
from tests.expressions.generator import CONTEXTS, Case, Generator

# What is left of the table if no case has anything odd in it.
ALWAYS_POSSIBLE = {
    "the library evaluates arguments that decide nothing",
    "`toJSON` of NaN and Infinity is null in the library",
}


def test_ordinary_expressions_have_the_same_value_in_githubs_library() -> None:
    generator = Generator(Random(20_261), oddness=0)
    cases = [generator.case() for _ in range(600)]

    different = [case for case in compared(cases) if not case.agrees()]

    unexplained = [str(case) for case in different if case.reason() not in ALWAYS_POSSIBLE]
    assert not unexplained
    assert len(different) < 10


def test_odd_expressions_differ_where_it_is_known() -> None:
    generator = Generator(Random(20_262), oddness=0.3)
    cases = [generator.case() for _ in range(400)]

    different = [case for case in compared(cases) if not case.agrees()]

    assert not [str(case) for case in different if case.reason() is None]


def test_rules_that_are_not_the_runners_alone_hold_in_githubs_library() -> None:
    cases = [
        Case(case["expression"], case.get("contexts", {}))
        for file, case in corpus()
        if file != "runner" and "hashFiles" not in case["expression"]
    ]

    different = [case for case in compared(cases) if not case.agrees()]

    assert not [str(case) for case in different if case.reason() is None]
    assert len(different) < 15


def test_each_known_difference_is_one() -> None:
    cases = [Case(row.example, CONTEXTS) for row in DIFFERENCES]

    for row, case in zip(DIFFERENCES, compared(cases), strict=True):
        assert not case.agrees(), row.reason
        assert case.reason() == row.reason


@pytest.mark.parametrize("oddness", [0, 1])
def test_the_same_seed_makes_the_same_expressions(oddness: float) -> None:
    first, second = (Generator(Random(7), oddness=oddness) for _ in range(2))

    assert [first.case() for _ in range(50)] == [second.case() for _ in range(50)]
