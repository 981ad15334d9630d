import pytest

from runcache import ExpressionError
from runcache.expressions.nodes import (
    And,
    Call,
    Comparison,
    ContextName,
    Filter,
    Index,
    Literal,
    Node,
    Not,
    Or,
    depth_of,
    walk,
)
from runcache.expressions.parser import MAX_DEPTH, parse
from tests.expressions.cases import refusal_of

# Texts of which each more adds a level to a tree that has one.
NESTING = {
    "negations": ("!", "1", ""),
    "calls": ("format(", "1", ")"),
    "indices": ("", "a", "[0]"),
    "inner indices": ("a[", "1", "]"),
    "members": ("", "a", ".b"),
    "filters": ("", "a", ".*"),
    "comparisons": ("", "1", " == 1"),
}


def tree_of(text: str) -> Node:
    return parse(text, names=None)


def test_a_tree_has_the_positions_of_its_texts() -> None:
    tree = tree_of("!a.b == f(1) || c[*]".replace("f", "toJSON"))

    assert tree == Or(
        (
            Comparison(
                "==",
                Not(Index(ContextName("a", 1), Literal("b", 3), 1), 0),
                Call("toJSON", (Literal(1.0, 15),), 8),
                0,
            ),
            Filter(ContextName("c", 21), 21),
        ),
        0,
    )


def test_a_chain_of_the_same_operator_is_one_node() -> None:
    tree = tree_of("a && (b && c) && d")

    assert isinstance(tree, And)
    assert [node.position for node in tree.operands] == [0, 6, 11, 17]


def test_a_chain_of_another_operator_is_a_node_of_its_own() -> None:
    tree = tree_of("a || (b && c) || d")

    assert isinstance(tree, Or)
    assert [type(node) for node in tree.operands] == [ContextName, And, ContextName]


def test_walking_yields_each_node_before_those_below_it() -> None:
    tree = tree_of("!(a.b < 1) && contains(c.*, 'x')")

    kinds = [type(node).__name__ for node in walk(tree)]

    assert kinds == [
        *("And", "Not", "Comparison", "Index", "ContextName", "Literal", "Literal"),
        *("Call", "Filter", "ContextName", "Literal"),
    ]


def test_any_context_may_be_allowed() -> None:
    assert tree_of("whatever") == ContextName("whatever", 0)


def test_an_unknown_context_is_answered_with_the_known_ones() -> None:
    refused = refusal_of("a.b", {"github": 1, "Runner": 1})

    assert refused.reason == "unknown context `a`"
    assert refused.hint == "known contexts: `github`, `Runner`"
    assert refusal_of("a.b").hint is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("JOIN(1, 2, 3)", "`join` takes 1 to 2 arguments, not 3"),
        ("contains(1)", "`contains` takes 2 arguments, not 1"),
        ("toJSON()", "`toJSON` takes 1 argument, not 0"),
        ("case(1, 2)", "`case` takes an odd number of arguments from 3 to 255, not 2"),
        ("format(" + "1," * 255 + "1)", "`format` takes 1 to 255 arguments, not 256"),
    ],
)
def test_a_wrong_number_of_arguments_is_answered_with_the_right_one(text: str, reason: str) -> None:
    assert refusal_of(text).reason == reason


@pytest.mark.parametrize("parts", NESTING.values(), ids=NESTING)
def test_a_tree_may_be_50_deep_and_not_deeper(parts: tuple[str, str, str]) -> None:
    before, inner, after = parts
    deepest = before * (MAX_DEPTH - 1) + inner + after * (MAX_DEPTH - 1)

    assert depth_of(tree_of(deepest)) == MAX_DEPTH
    with pytest.raises(ExpressionError) as refused:
        tree_of(before + deepest + after)

    assert refused.value.reason == "the expression is nested more than 50 deep"


def test_chains_and_brackets_add_no_depth() -> None:
    chain = " && ".join(["1"] * 1000)

    assert depth_of(tree_of(chain)) == 2
    assert depth_of(tree_of("(" * 10_000 + "1" + ")" * 10_000)) == 1
    assert depth_of(tree_of("(" * 100 + chain + ") && 1" * 100)) == 2


@pytest.mark.parametrize(
    ("fitting", "longer"),
    [
        ("'" + "x" * 20_998 + "'", "'" + "x" * 20_999 + "'"),
        ("1".ljust(21_000), "1".ljust(21_001)),
        # Characters beyond the first plane count twice, as in UTF-16.
        ("'" + "😀" * 10_499 + "'", "'" + "😀" * 10_500 + "'"),
    ],
)
def test_an_expression_may_have_21000_characters_and_not_more(fitting: str, longer: str) -> None:
    assert isinstance(tree_of(fitting), Literal)
    with pytest.raises(ExpressionError, match="are the limit") as refused:
        tree_of(longer)

    assert refused.value.kind == "parsing"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a = b", ["unexpected symbol `=`", "  a = b", "    ^"]),
        (
            "contains(\n  a,\n  nothing\n)",
            ["unknown context `nothing`", "    nothing", "    ^"],
        ),
        ("\t\ta\t+", ["unexpected symbol `+`", "  \t\ta\t+", "  \t\t \t^"]),
        ("\x1b[31m", ["unexpected symbol `\x1b`", "  \ufffd[31m", "  ^"]),
        (
            "a && " * 20 + "@" + " || a" * 20,
            [
                "unexpected symbol `@`",
                "  …" + "a && " * 10 + "@" + " || a" * 9 + " || …",
                "   " + " " * 50 + "^",
            ],
        ),
    ],
)
def test_a_caret_points_at_what_is_wrong(text: str, shown: list[str]) -> None:
    refused = refusal_of(text, {"a": 1})

    assert str(refused).split("\n") == shown
    assert refused.expression == text
