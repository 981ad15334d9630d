import pytest

from runcache.errors import ExpressionError
from runcache.expressions.parser import parse
from runcache.insight.lint.source import Place
from runcache.insight.lint.templates import (
    CONTEXTS,
    Text,
    canonical,
    hash_calls,
    path_of,
    references,
    written_in,
)
from tests.insight.lint.workflows import scalar_of


def text_of(written: str) -> Text:
    return written_in(scalar_of(f"key: {written}\n"))


def shown(text: Text, place: Place) -> str:
    return text.scalar.source.text[place.start : place.end]


def test_a_text_is_split_at_its_expressions() -> None:
    parts = text_of("a-${{ runner.os }}-${{hashFiles('x')}}").parts()

    assert [(part.text, part.position, part.tree is None) for part in parts] == [
        ("a-", 0, True),
        ("runner.os", 6, False),
        ("-", 18, True),
        ("hashFiles('x')", 22, False),
    ]


@pytest.mark.parametrize("text", ["${{ runner.os", "${{ }}", "${{ machine.os }}", "${{ env() }}"])
def test_an_expression_that_cannot_be_read_is_an_error_each_time(text: str) -> None:
    for _ in range(2):
        with pytest.raises(ExpressionError):
            text_of(f'"{text}"').parts()


def test_lines_are_those_outside_of_expressions_trimmed_and_not_blank() -> None:
    text = text_of("|\n  first\n\n  a-${{ format('x',\n    'y\n    z') }}-b  \n    last\n")

    lines = list(text.lines())

    assert [line.value for line in lines] == [
        "first",
        "a-${{ format('x',\n  'y\n  z') }}-b",
        "last",
    ]
    assert [shown(line, line.place()) for line in (lines[0], lines[2])] == ["first", "last"]


def test_lines_of_a_text_that_cannot_be_read_are_its_lines() -> None:
    text = text_of("|\n  a-${{ runner.os\n  b\n")

    assert [line.value for line in text.lines()] == ["a-${{ runner.os", "b"]


def test_a_piece_of_a_line_is_found_where_it_was_written() -> None:
    text = text_of("|\n  first\n    second third\n")

    line = list(text.lines())[1]

    assert shown(line, line.place(7, 12)) == "third"


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("runner.os", ("runner", "os")),
        ("Runner['OS']", ("runner", "os")),
        ("github", ("github",)),
        ("steps.a.outputs.B-c", ("steps", "a", "outputs", "b-c")),
        ("github.event[0]", ()),
        ("github.event.*", ()),
        ("'text'", ()),
        ("matrix[env.name]", ()),
    ],
)
def test_a_chain_of_names_is_a_path(expression: str, path: tuple[str, ...]) -> None:
    assert path_of(parse(expression, names=CONTEXTS)) == path


def test_references_are_whole_paths_and_hashes_anywhere_in_an_expression() -> None:
    tree = parse(
        "format('{0}', env.A && hashFiles(env.B)) == github.event.*.id || matrix[inputs.c]",
        names=CONTEXTS,
    )

    found = [".".join(path_of(node)) or "hashFiles" for node in references(tree)]

    assert found == ["env.a", "hashFiles", "github.event", "matrix", "inputs.c"]
    assert [call.name for call in hash_calls(tree)] == ["hashFiles"]


def test_expressions_that_mean_the_same_are_written_the_same() -> None:
    groups = [
        ("runner.os", "RUNNER.OS", "runner['os']", "(runner.os)"),
        ("hashFiles('a', 'b')", "HASHFILES( 'a','b' )"),
        ("env.a && env.b || !env.c", "(Env.A && ENV.b) || (!env.c)"),
        ("env.a == 'x'", "(env.a)=='x'"),
        ("env.a.*.b", "env.A[*].B"),
        ("env.a != 'x'",),
        ("hashFiles('b', 'a')",),
        ("env.a || env.b && !env.c",),
    ]

    found = [{canonical(parse(text, names=CONTEXTS)) for text in group} for group in groups]

    assert all(len(texts) == 1 for texts in found)
    assert len(set.union(*found)) == len(groups)
