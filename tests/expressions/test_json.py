"""`fromJSON` and `toJSON`: what is written can be read, and what is JSON is read as JSON."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.expressions import json_reader, json_writer
from runcache.expressions.memory import MAX_HELD_BYTES, Counter, Memory
from runcache.expressions.values import Value

# Names that differ in case are one to an expression, so these have none.
NAMES = st.text(
    st.characters(exclude_categories=["L", "N", "S", "M", "Cs"]) | st.sampled_from("abc")
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def read(text: str) -> Value:
    return json_reader.read(text, Counter(Memory()))


def write(value: Value) -> str:
    return json_writer.write(value, Counter(Memory()))


def rounded(value: Any) -> Any:  # noqa: ANN401  -- it is JSON
    """Return a value with the 15 digits that `toJSON` writes."""
    match value:
        case float():
            return float(f"{value:.15g}")
        case list():
            return [rounded(item) for item in value]
        case dict():
            return {key: rounded(item) for key, item in value.items()}
    return value


@given(VALUES)
def test_what_is_written_can_be_read(value: Value) -> None:
    assert read(write(value)) == rounded(value)


@given(VALUES)
def test_what_is_written_is_json(value: Value) -> None:
    assert json.loads(write(value)) == rounded(value)


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_json_is_read_however_it_is_written(value: Value, indent: int | str | None) -> None:
    for is_ascii in (True, False):
        assert read(json.dumps(value, indent=indent, ensure_ascii=is_ascii)) == value


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        read(text)


def test_brackets_may_be_nested_64_deep_and_not_deeper() -> None:
    deepest = "[" * 64 + "]" * 64

    assert write(read(deepest)).count("[") == 64
    for text in (f"[{deepest}]", '{"a":' * 64 + "[]" + "}" * 64, "[" * 500_000):
        with pytest.raises(ValueError, match="nested more than 64 deep"):
            read(text)


def test_whole_numbers_may_have_380_digits() -> None:
    assert read("1" * 300) == float("1" * 300)
    assert read("9" * 380) == math.inf
    with pytest.raises(ValueError, match="JSON cannot be read"):
        read("1" * 381)


def test_a_refusal_says_where_the_text_is_wrong() -> None:
    with pytest.raises(ValueError, match="`x` at offset 4 is unexpected"):
        read("[1, x]")
    with pytest.raises(ValueError, match="it ends early"):
        read("[1,")


@pytest.mark.parametrize(
    "text", ["[" + "1," * 50_000 + "]", "[" + "[]," * 50_000 + "]", '{"a":"' + "x" * 600_000 + '"}']
)
def test_what_is_read_is_counted(text: str) -> None:
    with pytest.raises(ValueError, match="more than 1 MiB"):
        read(text)


def test_what_is_written_is_counted_as_it_grows() -> None:
    endless: list[Value] = []
    endless.append(endless)

    many: list[Value] = ["x"] * 100_000
    for value in (endless, many, "x" * MAX_HELD_BYTES):
        with pytest.raises(ValueError, match="more than 1 MiB"):
            write(value)
