import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache import ExpressionError, interpolate
from runcache.expressions.interpolation import Expression, Literal, segments, tree
from runcache.expressions.nodes import Call, ContextName, walk
from runcache.expressions.nodes import Literal as Constant

CONTEXTS = {"a": {"b": "x", "n": 1.50, "list": [1]}, "runner": {"os": "Linux"}}


def refusal_of(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as refused:
        interpolate(text, CONTEXTS)
    return refused.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${{ a.b }}", "x"),
        ("${{a.b}}", "x"),
        ("${{ runner.os }}-${{ a.b }}-", "Linux-x-"),
        ("${{ a.n }}", "1.5"),
        ("${{ null }}", ""),
        ("${{ true }}", "true"),
        ("${{ a.missing }}", ""),
        ("<${{ a.missing }}>", "<>"),
        ("<${{ a.list }}>", "<Array>"),
        ("<${{ a }}>", "<Object>"),
        ("{0} {{}} it's ${{ a.b }}", "{0} {{}} it's x"),
        ("$ {{ a }} $${{ a.b }}", "$ {{ a }} $x"),
        ("${{ a.b }}}}", "x}}"),
        ("}}${{ a.b }}{{", "}}x{{"),
        ("${{ '}}' }}", "}}"),
        ("${{ '''}}' }}-", "'}}-"),
        ("${{ format('{0}}}', a.b) }}", "x}"),
        ("${{\n  a.b\n}}\n", "x\n"),
        ("a\n${{ a.b }}\nb", "a\nx\nb"),
    ],
)
def test_values_take_the_place_of_expressions(text: str, value: str) -> None:
    assert interpolate(text, CONTEXTS) == value


def test_a_text_that_is_an_array_is_refused() -> None:
    refused = refusal_of("${{ a.list }}")

    assert refused.kind == "evaluation"
    assert refused.reason == "a string is expected, and the expression gives an array"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("x${{ a.b", 1),
        ("${{ a.b }} ${{ 'a }}", 11),
        ("${{ a.b }", 0),
        ("x${{}}", 1),
        ("x${{ \n }}", 1),
    ],
)
def test_braces_must_be_closed_and_hold_something(text: str, position: int) -> None:
    refused = refusal_of(text)

    assert (refused.kind, refused.position) == ("parsing", position)


@pytest.mark.parametrize(
    ("text", "kind", "position"),
    [
        ("${{ runner.os }}-${{ a b }}", "parsing", 23),
        ("${{ runner.os }}-${{ 'x' @ }}", "lexing", 25),
        ("${{ a.b }}\n  ${{ format('{1}') }}", "evaluation", 17),
        ("${{ a.b == }} ${{ a.b }}", "parsing", 8),
    ],
)
def test_an_error_has_its_position_in_the_whole_text(text: str, kind: str, position: int) -> None:
    refused = refusal_of(text)

    assert (refused.kind, refused.position, refused.expression) == (kind, position, text)


def test_segments_know_where_they_are() -> None:
    text = "a-${{  b.c  }}${{ d }}-e"

    parts = segments(text)

    assert parts == (
        Literal("a-", 0),
        Expression("b.c", 7),
        Expression("d", 18),
        Literal("-e", 22),
    )
    assert [type(part) for part in parts] == [Literal, Expression, Expression, Literal]
    assert all(text.startswith(part.text, part.position) for part in parts)
    assert [text[part.end :] for part in parts if isinstance(part, Expression)] == [
        "  }}${{ d }}-e",
        " }}-e",
    ]


def test_a_text_without_expressions_has_at_most_one_segment() -> None:
    assert segments("") == ()
    assert segments("a $ b") == (Literal("a $ b", 0),)


def test_the_tree_of_a_text_is_a_call_of_format() -> None:
    joined = tree("it's {${{ a }}", names=None)

    assert joined == Call("format", (Constant("it's {{{0}", 0), ContextName("a", 10)), 0)


def test_the_tree_of_one_expression_is_its_own() -> None:
    assert tree("${{ a }}", names=None) == ContextName("a", 4)
    assert tree("text", names=None) == Constant("text", 0)


def test_expressions_in_a_text_may_be_as_deep_as_below_format() -> None:
    deepest = "!" * 48 + "a"

    assert len([*walk(tree(f"-${{{{ {deepest} }}}}", names=None))]) == 51
    assert tree(f"${{{{ !{deepest} }}}}", names=None)
    with pytest.raises(ExpressionError, match="nested 49 deep"):
        tree(f"-${{{{ !{deepest} }}}}", names=None)


def test_a_text_is_measured_as_one_call_of_format() -> None:
    longest = "x" * (21_000 - len("format('{0}', a)")) + "${{ a }}"

    assert tree(longest, names=None)
    with pytest.raises(ExpressionError, match="have 21001 characters"):
        tree(f"x{longest}", names=None)
    # A quote and a brace are doubled.
    with pytest.raises(ExpressionError, match="have 21001 characters"):
        tree(f"'{longest[1:]}", names=None)


def test_a_text_without_expressions_may_be_of_any_length() -> None:
    assert interpolate("x" * 100_000) == "x" * 100_000


def test_a_text_may_hold_254_expressions() -> None:
    assert interpolate("-${{ 1 }}" * 254) == "-1" * 254
    with pytest.raises(ExpressionError, match="at most 254 expressions"):
        interpolate("-${{ 1 }}" * 255)


@given(texts=st.lists(st.text().filter(lambda text: "${{" not in text), min_size=1, max_size=5))
def test_text_between_expressions_is_kept(texts: list[str]) -> None:
    # A dollar at the end of a text would be part of the braces behind it.
    texts = [text.rstrip("$") for text in texts]

    assert interpolate("${{ '|' }}".join(texts)) == "|".join(texts)
