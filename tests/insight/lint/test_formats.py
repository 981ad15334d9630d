import json

import pytest

from runcache.insight.lint.findings import Finding, Severity
from runcache.insight.lint.formats import as_command, as_json, as_text, printable
from runcache.insight.lint.source import Position

FINDING = Finding(
    rule="key-with-comma",
    severity=Severity.ERROR,
    path=".github/workflows/a,b: 100%.yml",
    start=Position(9, 21),
    end=Position(9, 22),
    message="a key, that is `a,b`: 100%\nof it",
    why="because",
    fix="do",
    excerpt="          key: a,b\n                ^",
)


def test_text_says_where_what_why_and_the_way_out() -> None:
    assert as_text(FINDING).split("\n") == [
        f"{FINDING.path}:9:21: error[key-with-comma]: a key, that is `a,b`: 100%\ufffdof it",
        "  9 |           key: a,b",
        "    |                 ^",
        "    why: because",
        "    fix: do",
    ]


def test_json_has_all_of_it_under_names_that_stay() -> None:
    value = json.loads(json.dumps(as_json(FINDING)))

    assert value == {
        "rule": "key-with-comma",
        "severity": "error",
        "path": ".github/workflows/a,b: 100%.yml",
        "line": 9,
        "column": 21,
        "end_line": 9,
        "end_column": 22,
        "message": "a key, that is `a,b`: 100%\nof it",
        "why": "because",
        "fix": "do",
    }


def test_a_workflow_command_is_one_line_that_the_runner_reads_back() -> None:
    command = as_command(FINDING)

    # As the runner does it: a command, properties between commas, and data.
    head, _, data = command.removeprefix("::").partition("::")
    name, _, properties = head.partition(" ")
    read = dict(item.split("=", 1) for item in properties.split(","))
    assert (name, command.count("\n")) == ("error", 0)
    assert {key: unescaped(text, "%3A:", "%2C,") for key, text in read.items()} == {
        "file": FINDING.path,
        "line": "9",
        "col": "21",
        "endLine": "9",
        "endColumn": "22",
        "title": "runcache lint: key-with-comma",
    }
    assert unescaped(data) == f"{FINDING.message}\nwhy: because\nfix: do"


def unescaped(text: str, *more: str) -> str:
    for pair in ("%0D\r", "%0A\n", *more, "%25%"):
        text = text.replace(pair[:3], pair[3:])
    return text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a\ufffdb"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("字 é", "字 é"),
        ("a\u202eb", "a\ufffdb"),
    ],
)
def test_nothing_that_a_terminal_acts_on_is_printed(text: str, shown: str) -> None:
    assert printable(text) == shown
