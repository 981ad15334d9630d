from pathlib import Path

import pytest

from runcache.insight.lint.ignores import ignores_of
from runcache.insight.lint.source import Source
from tests.insight.lint.workflows import findings, found_rules, job

BAD = """\
- uses: actions/cache@v4{action}
  with:
    {before}
    path: |{path}
      tools
      ~/.npmrc
    key: tools-1
"""


def bad(*, action: str = "", before: str = "# nothing", path: str = "") -> str:
    return job(BAD.format(action=action, before=before, path=path))


@pytest.mark.parametrize(
    "comment",
    [
        "# runcache: ignore[sensitive-path]",
        "#runcache:ignore[sensitive-path]",
        "# runcache:  ignore[key-without-os, sensitive-path]",
        "# runcache: ignore[ sensitive-path ] since it holds no token",
    ],
)
def test_a_comment_silences_a_rule_where_a_value_begins_and_on_the_line_before(
    tmp_path: Path, comment: str
) -> None:
    assert found_rules(tmp_path, bad()) == {"sensitive-path"}
    assert found_rules(tmp_path, bad(path=f" {comment}")) == set()
    assert found_rules(tmp_path, bad(before=comment)) == set()


@pytest.mark.parametrize(
    "text",
    [
        bad(path=" # runcache: ignore[key-without-os]"),
        bad(path=" # runcache: ignore"),
        bad(path=" # ignore[sensitive-path]"),
        bad(action=" # runcache: ignore[sensitive-path]"),
        "# runcache: ignore[sensitive-path]\n" + bad(),
    ],
)
def test_a_comment_for_another_rule_or_far_away_silences_nothing(tmp_path: Path, text: str) -> None:
    assert found_rules(tmp_path, text) == {"sensitive-path"}


def test_a_comment_in_a_block_is_a_line_of_its_text(tmp_path: Path) -> None:
    text = bad().replace("~/.npmrc", "~/.npmrc # runcache: ignore[sensitive-path]")

    (ignore,) = ignores_of(Source("test.yml", text))

    # The path is another one then; in scripts this is how a command is silenced.
    assert ignore.rule == "sensitive-path"
    assert found_rules(tmp_path, text) == set()


def test_a_command_is_silenced_within_its_script(tmp_path: Path) -> None:
    script = "- run: |\n    make\n    {}runcache save --key x --path ~/.netrc\n"

    assert found_rules(tmp_path, job(script.format(""))) == {"sensitive-path"}
    comment = "# runcache: ignore[sensitive-path]\n    "
    assert found_rules(tmp_path, job(script.format(comment))) == set()


def test_a_rule_that_does_not_exist_is_named_where_it_stands(tmp_path: Path) -> None:
    text = "# runcache: ignore[sensitive-path, secret]\n# x #runcache: ignore[one,two]\n"

    found = findings(tmp_path, text + job("- run: make\n"))

    assert [(one.rule, one.start.line, one.start.column, one.message) for one in found] == [
        ("unknown-rule", 1, 36, "there is no rule `secret`"),
        ("unknown-rule", 2, 23, "there is no rule `one`"),
        ("unknown-rule", 2, 27, "there is no rule `two`"),
    ]


def test_that_can_be_silenced_too(tmp_path: Path) -> None:
    text = "# runcache: ignore[unknown-rule, of-the-next-release]\n"

    assert found_rules(tmp_path, text + job("- run: make\n")) == set()


def test_a_file_that_cannot_be_read_cannot_silence_that(tmp_path: Path) -> None:
    assert found_rules(tmp_path, "a: [ # runcache: ignore[broken-file]\n") == {"broken-file"}
