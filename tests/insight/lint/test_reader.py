"""YAML with places, and YAML that GitHub would not take: each ends in an error, and soon."""

import time

import pytest

from runcache.errors import InvalidWorkflow
from runcache.insight.lint.nodes import Mapping, Scalar, Sequence
from runcache.insight.lint.reader import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, read
from runcache.insight.lint.source import Source
from tests.insight.lint.workflows import node_of


def refusal(text: str) -> InvalidWorkflow:
    with pytest.raises(InvalidWorkflow) as refused:
        read(Source("test.yml", text))
    return refused.value


def test_nodes_are_what_was_written() -> None:
    root = node_of("on: push\nlist: [a, {b: c}]\n")

    assert isinstance(root, Mapping)
    assert [key.text for key in root.names()] == ["on", "list"]
    pushed, items = root.get("on"), root.get("list")
    assert isinstance(pushed, Scalar)
    assert pushed.text == "push"
    assert isinstance(items, Sequence)
    assert (items.place.start, len(items.items)) == (15, 2)
    assert root.get("nothing") is None


def test_names_can_be_found_whatever_their_case() -> None:
    root = node_of("Name: first\nNAME: second\nother: third\n")

    assert isinstance(root, Mapping)
    found = root.find("name")
    assert isinstance(found, Scalar)
    assert found.text == "first"


def test_an_alias_is_the_node_that_it_names() -> None:
    root = node_of("a: &x {b: c}\nd: *x\n")

    assert isinstance(root, Mapping)
    assert root.get("a") is root.get("d")


def test_what_is_merged_gives_way_to_what_is_there_and_to_what_was_merged_before() -> None:
    root = node_of("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {c: 3, <<: [*x, *y], d: 3}\n")

    assert isinstance(root, Mapping)
    merged = root.get("z")
    assert isinstance(merged, Mapping)
    texts = {name.text: value.text for name, value in merged.entries if isinstance(value, Scalar)}
    assert texts == {"c": "3", "d": "3", "a": "1", "b": "1"}


def test_an_empty_file_holds_nothing() -> None:
    for text in ("", "\n", "# nothing\n", "---\n...\n"):
        node = read(Source("test.yml", text))

        assert node is None or isinstance(node, Scalar)


@pytest.mark.parametrize(
    ("text", "reason", "offset"),
    [
        ("a:\n\tb: 1\n", "a tab cannot indent", 3),
        ("a: [1\nb", "did not find expected ',' or ']'", 7),
        ('a: "b', "found unexpected end of stream", 5),
        ("a: b: c", "mapping values are not allowed in this context", 4),
        ("a: 1\nb: 2\na: 3\n", "`a` is there twice", 10),
        ("a: *b\n", "`*b` names no anchor", 3),
        ("a: &a [*a]\n", "`*a` is an alias within what it names", 7),
        ("[a]: b\n", "a name has to be a text", 0),
        ("a: 1\n---\nb: 2\n", "there is a second document", 5),
        ("a: {<<: 1}\n", "`<<` takes mappings", 8),
        ("a: \0\n", "the character U+0000 is not allowed", 3),
        ("a: \x1b[2J\n", "the character U+001B is not allowed", 3),
        ("a: \ud800\n", "the character U+D800 is not allowed", 3),
    ],
)
def test_what_is_broken_is_named_with_its_place(text: str, reason: str, offset: int) -> None:
    error = refusal(text)

    assert (error.reason, error.offset) == (reason, offset)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_nesting_has_a_limit() -> None:
    assert read(Source("test.yml", nested(MAX_DEPTH))) is not None
    error = refusal(nested(MAX_DEPTH + 1))

    assert (error.reason, error.offset) == ("it nests deeper than 100 levels", MAX_DEPTH)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 500_000, "it nests deeper than"),
        ("{a: " * 200_000, "it nests deeper than"),
        ("- " * 400_000, "it nests deeper than"),
        ("? " * 400_000, "it nests deeper than"),
        ("[" + "a," * 500_000 + "]", f"it has more than {MAX_NODES} values"),
        ("-\n" * 500_000, f"it has more than {MAX_NODES} values"),
        ("a: " + "x" * MAX_CHARACTERS, f"it has more than {MAX_CHARACTERS} characters"),
        (
            "- &a {"
            + "".join(f"k{n}: 1, " for n in range(5000))
            + "}\n- {<<: ["
            + "*a, " * 10_000
            + "]}\n",
            "it merges too much",
        ),
    ],
    ids=["lists", "mappings", "items", "names", "values", "lines", "size", "merges"],
)
def test_hostile_files_are_refused_soon(text: str, reason: str) -> None:
    began = time.process_time()

    error = refusal(text)

    assert error.reason.startswith(reason)
    assert time.process_time() - began < 5  # 0.4 s on an idle machine


def test_aliases_multiply_nothing() -> None:
    # Expanded, the last of these would have 9 to the power of 30 items.
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 31)]

    root = node_of("\n".join(levels))

    assert isinstance(root, Mapping)
    assert len(root.entries) == 31
