"""`runcache` in scripts, as a shell would split them."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.insight.lint.commands import MAX_COMMANDS, Command, commands_in
from runcache.insight.lint.nodes import Scalar
from runcache.insight.lint.scalars import Style
from runcache.insight.lint.source import Place, Source

KEY = "npm-${{ runner.os }}-${{ hashFiles('a b', \"c\") }}"


def commands(script: str) -> list[Command]:
    source = Source("test.yml", script)
    return list(commands_in(Scalar(script, Place(0, len(script)), Style.PLAIN, source)))


def options(script: str) -> list[tuple[str, str | None]]:
    (command,) = commands(script)
    return [(name, value.value if value else None) for name, value in command.options]


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("runcache save --key a --path b", [("--key", "a"), ("--path", "b")]),
        ("runcache save --key=a --path='b c'", [("--key", "a"), ("--path", "b c")]),
        (f"runcache save --key '{KEY}'", [("--key", KEY)]),
        (f'runcache save --key "{KEY}" # why', [("--key", KEY)]),
        (f"runcache save --key={KEY} && make", [("--key", KEY)]),
        ("runcache save \\\n  --key a \\\n  --path b\nmake", [("--key", "a"), ("--path", "b")]),
        ("runcache run --key a -- make --key b", [("--key", "a")]),
        ("if true; then runcache save --key a; fi", [("--key", "a")]),
        ("make && (cd x; uvx runcache save --key a) | tee log", [("--key", "a")]),
        (
            "runcache restore --cross-os --json --key a -q",
            [("--cross-os", "--cross-os"), ("--json", "--json"), ("--key", "a"), ("-q", "-q")],
        ),
        ('runcache save --key "$KEY" --path x', [("--key", None), ("--path", "x")]),
        ('runcache save --key="a-$KEY" --path x', [("--key", None), ("--path", "x")]),
        ("runcache save --key $(date) --path x", [("--key", None)]),
        ("runcache save --key a'b'c", [("--key", None)]),
        ("runcache save --key a\\ b", [("--key", None)]),
        ("runcache save --key", [("--key", None)]),
    ],
)
def test_options_are_read_where_a_value_stands_there_as_it_is(
    script: str, found: list[tuple[str, str | None]]
) -> None:
    assert options(script) == found


@pytest.mark.parametrize(
    "script",
    [
        "make",
        "echo runcache save --key a",
        "runcache list",
        "runcache save",
        "myruncache save --key a",
        "runcache save $OPTIONS --key a",
        'runcache save --key a "$PATHS"',
    ],
)
def test_commands_that_cannot_be_told_are_left_alone(script: str) -> None:
    assert [command.options for command in commands(f"{script}\n")] in ([], [()])


def test_values_are_known_if_all_of_them_are() -> None:
    (command,) = commands('runcache save --path a --path b --key "$KEY"')

    assert [path.value for path in command.values("--path") or ()] == ["a", "b"]
    assert command.values("--restore-key") == ()
    assert command.values("--key") is None
    assert (command.has("--key"), command.has("--exact")) == (True, False)


def test_each_command_of_a_script_is_read() -> None:
    found = commands("runcache restore --key a\nmake\nruncache save --key b\n")

    assert [(command.verb, command.name.value) for command in found] == [
        ("restore", "runcache restore"),
        ("save", "runcache save"),
    ]


def test_of_a_script_without_end_the_first_commands_are_read() -> None:
    assert len(commands("runcache save --key a\n" * 1000)) == MAX_COMMANDS


letters = st.sampled_from("ab-_./:é*!")
words = st.text(letters, min_size=1, max_size=6).filter(lambda word: not word.startswith("-"))


@given(values=st.lists(st.tuples(st.sampled_from(["'", '"', ""]), words), max_size=4))
def test_words_are_those_of_a_shell(values: list[tuple[str, str]]) -> None:
    script = "runcache save" + "".join(f" --path {quote}{word}{quote}" for quote, word in values)

    found = [
        value.value for command in commands(script) for value in command.values("--path") or ()
    ]

    assert found == shlex.split(script)[3::2]
