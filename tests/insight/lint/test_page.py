"""The page on lint says what the rules are."""

import re

from runcache.insight.lint.registry import RULES
from tests.documentation import example_of, only_code, read, table
from tests.insight.lint.workflows import workflow_of


def test_the_table_has_every_rule_with_its_severity() -> None:
    rows = table("lint.md", "rule", "severity")

    documented = [(only_code(row["rule"]), row["severity"], row["finds"]) for row in rows]

    assert documented == [(rule.id, rule.severity.value, rule.title) for rule in RULES.values()]


def test_the_rules_that_are_explained_exist() -> None:
    explained = re.findall(r"^\* \*\*`([a-z-]+)`", read("lint.md"), re.MULTILINE)

    assert explained
    assert set(explained) <= set(RULES)


def test_the_example_of_a_comment_is_one() -> None:
    names = re.findall(r"# runcache: ignore\[(.*)\]", example_of("lint.md", "yaml"))

    assert names
    assert set(names) <= set(RULES)


def test_the_workflow_to_copy_is_one() -> None:
    blocks = re.findall(r"^```yaml\n(name:.*?)^```$", read("lint.md"), re.MULTILINE | re.DOTALL)

    (workflow,) = map(workflow_of, blocks)
    assert workflow.triggers == {"pull_request"}
    assert [len(job.steps) for job in workflow.jobs] == [2]
