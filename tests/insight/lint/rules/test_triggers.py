from pathlib import Path

import pytest

from tests.insight.lint.workflows import found_rules

WORKFLOW = """\
on: {on}
{more}
jobs:
  build:
    {job}
    runs-on: ubuntu-latest
    steps:
      - uses: actions/cache{path}@v4
        {step}
        with: {{path: x, key: "x-${{{{ github.sha }}}}"}}
"""


def is_found(
    folder: Path,
    on: str = "pull_request_target",
    *,
    more: str = "",
    job: str = "",
    step: str = "",
    path: str = "",
) -> bool:
    text = WORKFLOW.format(on=on, more=more, job=job, step=step, path=path)
    return "untrusted-trigger" in found_rules(folder, text)


@pytest.mark.parametrize(
    ("on", "is_fault"),
    [
        ("pull_request_target", True),
        ("[push, issue_comment]", True),
        ("{workflow_run: {workflows: [Test]}}", True),
        ("[push, pull_request, schedule, workflow_dispatch, merge_group]", False),
        ("workflow_call", False),
    ],
)
def test_events_that_anybody_can_cause_do_not_save(
    tmp_path: Path, on: str, *, is_fault: bool
) -> None:
    assert is_found(tmp_path, on) is is_fault


def test_to_restore_is_no_harm(tmp_path: Path) -> None:
    assert is_found(tmp_path, path="/save")
    assert not is_found(tmp_path, path="/restore")


@pytest.mark.parametrize("mode", ["read", "none"])
def test_a_mode_that_saves_nothing_is_one_way_out(tmp_path: Path, mode: str) -> None:
    assert not is_found(tmp_path, more=f"cache-mode: {mode}")
    assert not is_found(tmp_path, job=f"cache-mode: {mode}")
    assert is_found(tmp_path, more=f"cache-mode: {mode}", job="cache-mode: write")


@pytest.mark.parametrize(
    ("condition", "is_fault"),
    [
        ("github.event_name == 'push'", False),
        ("github.actor == 'octocat'", False),
        ("github.event.comment.author_association == 'OWNER'", False),
        ("github.event.pull_request.head.repo.fork == false", False),
        ("github.event.workflow_run.conclusion == 'success'", True),
        ("contains(github.event.comment.body, '/test')", True),
        ("always()", True),
    ],
)
def test_a_condition_that_asks_who_it_is_is_another(
    tmp_path: Path, condition: str, *, is_fault: bool
) -> None:
    assert is_found(tmp_path, job=f"if: {condition}") is is_fault
    assert is_found(tmp_path, step=f"if: {condition}") is is_fault
