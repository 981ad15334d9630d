"""How trees are evaluated: what comes out, what it costs, and what ends it."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.expressions import hostile_text, mishap_of
from runcache import ExpressionError, evaluate
from tests.expressions.cases import refusal_of

# 40 times as long as what is in it.
FORTYFOLD = "format('" + "{0}" * 40 + "', %s)"


def chained(expression: str) -> str:
    """Return an expression over and over, up to the limit of a text."""
    return " || ".join([expression] * ((21_000 + 4) // (len(expression) + 4)))


HOSTILE = {
    "nested JSON arrays": "fromJSON('" + "[" * 20_000 + "')",
    "nested JSON objects": "fromJSON('" + '{"a":' * 4000 + "')",
    "JSON comments": "fromJSON('" + "/*" * 10_000 + "')",
    "JSON escapes": "fromJSON('\"" + "\\\\" * 10_000 + "')",
    "JSON digits": "fromJSON('" + "1" * 20_000 + "x')",
    "digits of a string": "'" + "1" * 20_000 + "x' == 1",
    "digits and a letter": "1" * 20_000 + "x",
    "digits behind a string": "'1'" + "1234567890" * 2000 + "x",
    "digits of an exponent": "1e" + "9" * 20_000,
    "hexadecimal digits": "0x" + "0" * 20_000 + "g",
    "digits in a format": "format('{" + "9" * 20_000 + "}', 1)",
    "zeros in a format": "format('{" + "0" * 20_000 + "', 1)",
    "braces in a format": "format('" + "{" * 20_000 + "')",
    "arguments": "format(" + "1," * 10_000 + "1)",
    "round brackets": "(" * 21_000,
    "square brackets": "[" * 21_000,
    "negations": "!" * 21_000,
    "members": "a" + ".b" * 10_000,
    "indices": "a" + "[a" * 10_000,
    "quotes": "'" * 20_999,
    "symbols": "\U0001f600" * 10_500,
    "opening braces": "${{" * 7000,
    "opening braces and quotes": "${{ '" * 4000,
    "closing braces": "}" * 21_000,
    "JSON read and written": chained(FORTYFOLD % "toJSON(fromJSON('[1,2,3,4]'))"),
    "JSON of many numbers": chained(
        "fromJSON(format('[{0}]', " + FORTYFOLD % (FORTYFOLD % "'1,'") + ")) == 1"
    ),
    "JSON of many strings": chained(
        "fromJSON(format('[{0}]//', " + FORTYFOLD % (FORTYFOLD % "'''ß'','") + ")).*.a == 1"
    ),
}


def test_a_number_comes_out_as_a_float() -> None:
    value = evaluate("a.b", {"a": {"b": 3}})

    assert isinstance(value, float)
    assert value == 3


def test_an_array_comes_out_as_it_went_in() -> None:
    items = [1, {"x": None}]

    assert evaluate("a", {"a": items}) is items


def test_a_filter_comes_out_as_a_plain_list() -> None:
    value = evaluate("a.*", {"a": [1, 2]})

    assert type(value) is list
    assert value == [1, 2]


def test_contexts_are_not_changed() -> None:
    contexts = {"a": {"B": [1, {"b": 2}], "b": 3}}

    evaluate("toJSON(a.*.*) == a[a.b] || join(a.B.*.b) || fromJSON(toJSON(a))", contexts)

    assert contexts == {"a": {"B": [1, {"b": 2}], "b": 3}}


def test_a_context_may_contain_itself() -> None:
    endless: dict[str, Any] = {"b": 1}
    endless["a"] = endless

    assert evaluate("a.a.a.a.b", {"a": endless}) == 1
    assert "more than 1 MiB" in refusal_of("toJSON(a)", {"a": endless}).reason


def test_an_argument_that_is_used_twice_is_evaluated_once() -> None:
    once = FORTYFOLD % "toJSON(a)"

    # Written forty times it would exceed the limit of what is done altogether.
    assert len(str(evaluate(once, {"a": "x" * 5000}))) == 40 * 5002


def test_an_error_has_the_position_of_the_innermost_call() -> None:
    refused = refusal_of("join(a.*, format('{0}', fromJSON('[')))", {"a": [1, 2]})

    assert (refused.kind, refused.position) == ("evaluation", 24)


@pytest.mark.parametrize(
    ("expression", "limit"),
    [
        (FORTYFOLD % FORTYFOLD % (FORTYFOLD % "'1234567890'"), "1 MiB at a time"),
        (FORTYFOLD % "toJSON(big)", "1 MiB at a time"),
        ("big == 'x' || 1", "1 MiB at a time"),
        ("many.*", "1 MiB at a time"),
        ("nested.*.*.*.*", "1 MiB at a time"),
        ("join(many)", "1 MiB at a time"),
        ("fromJSON(json)", "1 MiB at a time"),
        ("contains(many, 1)", "4 MiB altogether"),
        (chained("contains(text, 'y')"), "4 MiB altogether"),
        (chained("toJSON(nested[0][0]) == 1"), "4 MiB altogether"),
        (chained("contains(strings, text)"), "4 MiB altogether"),
    ],
)
def test_what_takes_too_much_is_refused_in_time(expression: str, limit: str) -> None:
    inner: list[Any] = [[0] * 100] * 100
    contexts = {
        "big": "x" * 600_000,
        "text": "x" * 50_000,
        "many": [0] * 500_000,
        "strings": ["y" * 50_000] * 1000,
        "nested": [[inner] * 100] * 100,
        "json": "[" + "0," * 200_000 + "]",
    }
    begin = time.process_time()

    refused = refusal_of(expression, contexts)

    assert refused.kind == "evaluation"
    assert refused.reason == f"the evaluation takes more than {limit}"
    assert time.process_time() - begin < 5  # one on an idle machine


def test_a_string_may_take_a_mebibyte_and_not_more() -> None:
    # It counts 26 bytes, and two for each character.
    longest = "x" * ((2**20 - 26) // 2)

    assert evaluate("!a", {"a": longest}) is False
    assert "1 MiB" in refusal_of("!a", {"a": f"x{longest}"}).reason


def test_what_is_dropped_does_not_count_as_held() -> None:
    held = " && ".join(["text != 'y'"] * 15)

    # Fifteen times 100 kB go by, and never more than two at a time.
    assert evaluate(held, {"text": "x" * 50_000}) is True


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_ends_in_time(text: str) -> None:
    assert mishap_of(text) is None


@given(st.randoms(use_true_random=False))
def test_any_text_ends_in_a_value_or_in_an_error(random: Any) -> None:  # noqa: ANN401
    assert mishap_of(hostile_text(random)) is None


@given(st.text())
def test_any_string_can_be_written_as_a_literal(text: str) -> None:
    literal = "'" + text.replace("'", "''") + "'"

    assert evaluate(literal) == text


@given(st.text(), st.text(), st.text())
def test_format_puts_arguments_where_they_belong(first: str, second: str, between: str) -> None:
    template = between.replace("{", "{{").replace("}", "}}")
    contexts = {"a": first, "b": second, "f": f"{{1}}{template}{{0}}"}

    assert evaluate("format(f, a, b)", contexts) == f"{second}{between}{first}"


@given(st.dictionaries(st.text(), st.integers(0, 9), max_size=5), st.text())
def test_members_are_found_as_comparison_finds_them(mapping: dict[str, int], key: str) -> None:
    found = evaluate("a[key]", {"a": mapping, "key": key})

    same = [evaluate("x == y", {"x": name, "y": key}) for name in mapping]
    expected = next((v for v, is_same in zip(mapping.values(), same, strict=True) if is_same), None)
    assert found == expected


def test_a_key_is_evaluated_in_well_under_a_millisecond() -> None:
    contexts = {"runner": {"os": "Linux"}, "matrix": {"python": "3.12"}}
    key = "format('{0}-{1}-{2}', runner.os, matrix.python, contains(runner.os, 'lin') && 'x')"
    seconds = []

    for _ in range(20):
        begin = time.perf_counter()
        assert evaluate(key, contexts) == "Linux-3.12-x"
        seconds.append(time.perf_counter() - begin)

    assert min(seconds) < 0.001


def test_errors_are_chained_to_their_cause() -> None:
    with pytest.raises(ExpressionError) as refused:
        evaluate("fromJSON('[')")

    assert isinstance(refused.value.__cause__, ValueError)
