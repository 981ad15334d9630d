import pytest

from runcache.errors import InvalidWorkflow
from runcache.insight.lint.workflow import MAX_RUNS, MAX_STEPS
from tests.insight.lint.workflows import workflow_of


@pytest.mark.parametrize(
    ("on", "triggers"),
    [
        ("on: push", {"push"}),
        ("on: [push, pull_request]", {"push", "pull_request"}),
        ("on:\n  push:\n  issue_comment: {types: [created]}", {"push", "issue_comment"}),
        ("'on': push", {"push"}),
        ("name: none", set()),
    ],
)
def test_triggers_are_named_in_each_form(on: str, triggers: set[str]) -> None:
    workflow = workflow_of(f"{on}\njobs: {{}}\n")

    assert workflow.triggers == triggers


def test_a_workflow_has_jobs_with_steps_in_order() -> None:
    workflow = workflow_of(
        """
        name: Test
        on: push
        jobs:
          first:
            if: github.ref == 'x'
            runs-on: ubuntu-latest
            steps:
              - id: one
                uses: actions/checkout@v4
                with: {path: x}
              - run: make
          called:
            uses: ./.github/workflows/other.yml
        """
    )

    first, called = workflow.jobs
    assert (workflow.name, workflow.is_action) == ("Test", False)
    assert (first.id, first.condition) == ("first", "github.ref == 'x'")
    assert [step.id for step in first.steps] == ["one", None]
    assert first.steps[1].script is not None
    assert called.steps == ()


def test_an_action_has_one_job_of_which_nothing_is_known() -> None:
    workflow = workflow_of("runs:\n  using: composite\n  steps:\n    - run: make\n")

    (job,) = workflow.jobs
    assert workflow.is_action
    assert len(job.steps) == 1
    assert [(case.matrix, case.os) for case in job.cases] == [(None, None)]


def test_other_yaml_has_no_jobs() -> None:
    for text in ("version: 2\nupdates: []\n", "jobs: none\n", "jobs: {a: b}\n", "runs: {}\n"):
        workflow = workflow_of(text)

        assert not any(job.steps for job in workflow.jobs)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("- a\n", "the file is not a mapping"),
        ("a\n", "the file is not a mapping"),
    ],
)
def test_what_is_no_mapping_is_no_workflow(text: str, reason: str) -> None:
    with pytest.raises(InvalidWorkflow) as refused:
        workflow_of(text)

    assert refused.value.reason == reason


def test_aliases_cannot_make_a_small_file_a_long_one() -> None:
    step, many = "x: &s {run: make}\n", ", ".join(["*s"] * (MAX_STEPS + 1))
    numbers = ", ".join(map(str, range(16)))
    matrix = f"{{a: [{numbers}], b: [{numbers}]}}"
    too_often = ", ".join(["*s"] * (MAX_RUNS // 256 + 1))

    for text in (
        f"{step}jobs: {{a: {{steps: [{many}]}}}}",
        f"{step}runs: {{steps: [{many}]}}",
        f"{step}jobs: {{a: {{strategy: {{matrix: {matrix}}}, steps: [{too_often}]}}}}",
    ):
        with pytest.raises(InvalidWorkflow, match="more than 1000 steps"):
            workflow_of(text)
