import pytest

from runcache import ExpressionError
from runcache.expressions.lexer import Lexer, Token, TokenKind
from tests.expressions.cases import refusal_of

LITERAL, NAME, FUNCTION = TokenKind.LITERAL, TokenKind.NAME, TokenKind.FUNCTION
PROPERTY, OPERATOR, PUNCTUATION = TokenKind.PROPERTY, TokenKind.OPERATOR, TokenKind.PUNCTUATION


def tokens_of(text: str) -> list[Token]:
    return list(Lexer(text, 0, len(text)))


def test_tokens_have_kinds_positions_and_values() -> None:
    tokens = tokens_of("a.b [1] && f ('it''s')")

    assert tokens == [
        (NAME, "a", 0, None),
        (PUNCTUATION, ".", 1, None),
        (PROPERTY, "b", 2, None),
        (PUNCTUATION, "[", 4, None),
        (LITERAL, "1", 5, 1.0),
        (PUNCTUATION, "]", 6, None),
        (OPERATOR, "&&", 8, None),
        (FUNCTION, "f", 11, None),
        (PUNCTUATION, "(", 13, None),
        (LITERAL, "'it''s'", 14, "it's"),
        (PUNCTUATION, ")", 21, None),
    ]


@pytest.mark.parametrize("before", ["", "(", "[", ",", "!", "==", "&&"])
def test_a_dot_where_an_operand_begins_is_of_a_number(before: str) -> None:
    assert tokens_of(f"{before}.5")[-1] == (LITERAL, ".5", len(before), 0.5)


@pytest.mark.parametrize("before", ["a", ")", "]", "*", "1 ", "'x'", "null"])
def test_a_dot_behind_an_operand_is_a_token_of_its_own(before: str) -> None:
    assert tokens_of(f"{before}.b")[-2:] == [
        (PUNCTUATION, ".", len(before), None),
        (PROPERTY, "b", len(before) + 1, None),
    ]


def test_words_behind_a_dot_are_names() -> None:
    kinds = [token.kind for token in tokens_of("a.null.NaN.f(") if token.text != "."]

    assert kinds == [NAME, PROPERTY, PROPERTY, PROPERTY, PUNCTUATION]


def test_only_a_part_of_the_text_is_read() -> None:
    text = "x ${{ a.b }} 'y"

    tokens = list(Lexer(text, 5, 10))

    assert [(token.text, token.position) for token in tokens] == [("a", 6), (".", 7), ("b", 8)]


def test_what_ends_with_the_part_goes_no_further() -> None:
    text = "'a' (1)"

    with pytest.raises(ExpressionError) as refused:
        list(Lexer(text, 0, 2))

    assert (refused.value.position, refused.value.reason) == (0, "unexpected symbol `'a`")
    assert [token.kind for token in Lexer("f(", 0, 1)] == [NAME]


def test_tokens_are_read_when_they_are_asked_for() -> None:
    tokens = iter(Lexer("1 @", 0, 3))

    assert next(tokens).text == "1"
    with pytest.raises(ExpressionError):
        next(tokens)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('a == "x"', "strings are written in single quotes"),
        ("${{ a }}", "an expression is written without its `${{` and `}}`"),
        ("a @ b", None),
    ],
)
def test_common_mistakes_have_a_hint(text: str, hint: str | None) -> None:
    assert refusal_of(text, {"a": 1}).hint == hint


def test_a_long_symbol_is_cut_in_messages() -> None:
    assert refusal_of("@" * 100).reason == f"unexpected symbol `{'@' * 40}…`"
