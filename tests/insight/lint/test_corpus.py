"""Whole workflows: the good ones are not found fault with, and the bad ones for what they are."""

import re
from pathlib import Path

import pytest

from runcache.insight.lint.check import check
from runcache.insight.lint.registry import RULES
from tests.documentation import ROOT
from tests.insight.lint.corpus import Example, examples

GOOD = list(examples("good"))
BAD = list(examples("bad"))

# Made like the examples of GitHub's documentation on dependency caching.
DOCUMENTED = {"npm", "npm-older", "venv", "fragments", "cleaning"}


@pytest.mark.parametrize("example", GOOD, ids=str)
def test_a_good_workflow_is_not_found_fault_with(example: Example, tmp_path: Path) -> None:
    workflow = example.project(tmp_path)

    report = check([workflow])

    assert report.findings == ()
    assert report.step_count > 0 or "cache@" not in example.text


def test_what_documentation_shows_is_good_in_one_repository_as_well(tmp_path: Path) -> None:
    workflows = [example.project(tmp_path) for example in GOOD if str(example) in DOCUMENTED]

    report = check(workflows)

    assert (report.file_count, report.findings) == (len(DOCUMENTED), ())


def test_a_good_workflow_outside_of_any_repository_is_good_as_well(tmp_path: Path) -> None:
    for example in GOOD:
        workflow = tmp_path / example.path.name
        workflow.write_text(example.text)

        assert check([workflow]).findings == (), example


@pytest.mark.parametrize("example", BAD, ids=str)
def test_what_is_wrong_with_a_bad_workflow_is_found_where_it_is(
    example: Example, tmp_path: Path
) -> None:
    workflow = example.project(tmp_path)

    report = check([workflow])

    found = [(one.rule, one.start.line, one.start.column) for one in report.findings]
    assert tuple(found) == example.finds


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_workflow_that_breaks_it(rule: str) -> None:
    (example,) = (example for example in BAD if str(example) == rule)

    assert rule in {found for found, _, _ in example.finds}


def test_the_workflows_of_this_project_are_not_found_fault_with() -> None:
    folders = [ROOT / "examples/npm", ROOT / "examples/python"]
    workflows = [file for folder in folders for file in (folder / ".github/workflows").iterdir()]

    report = check(workflows)

    assert (report.file_count, report.step_count, report.findings) == (2, 2, ())


def test_every_rule_says_why_and_what_to_do() -> None:
    for name, rule in RULES.items():
        assert rule.id == name
        assert re.fullmatch("[a-z]+(-[a-z]+)+", name)
        for text in (rule.title, rule.why, rule.fix):
            assert text, name
            assert not text.endswith("."), name
