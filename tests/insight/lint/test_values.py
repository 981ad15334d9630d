"""What texts become: known, digests, and what only a run can tell."""

import pytest

from runcache.insight.lint.scopes import ARCHITECTURES, SYSTEMS, Budget, Opaque
from runcache.insight.lint.values import Digest, Pieces, known_text, pieces_of, references_of
from tests.insight.lint.workflows import cache_steps, only_step

WORKFLOW = """
    name: Test
    on: push
    env:
      LEVEL: workflow
      OF_WORKFLOW: w-${{ github.ref }}
      FROM_ENV: ${{ env.LEVEL }}
    jobs:
      build:
        runs-on: ${{ matrix.os }}
        strategy:
          matrix:
            os: [ubuntu-latest]
            node: [20, 1.10, true]
            tool: [{name: npm, version: "${{ inputs.version }}"}]
        env:
          LEVEL: job
          OF_JOB: j-${{ matrix.node }}
        steps:
          - run: echo "CHANGED=1" >> "$GITHUB_ENV"
          - id: First
            uses: actions/cache@v4
            env:
              LEVEL: first
            with: {path: x, key: "first-${{ env.LEVEL }}"}
          - uses: actions/cache@v4
            env:
              LEVEL: step
              OF_STEP: s-${{ env.OF_JOB }}-${{ env.LEVEL }}
              CHANGED: own
            with:
              path: x
              key: "KEY"
"""


def becomes(key: str, *, case: int = 0) -> Pieces:
    *_, step = cache_steps(WORKFLOW.replace("KEY", key))
    return step.keys[case]


def digest(expression: str) -> Digest:
    return Digest(expression)


@pytest.mark.parametrize(
    ("key", "pieces"),
    [
        ("a-${{ runner.os }}-b", ("a-Linux-b",)),
        ("${{ runner.arch }}", (Opaque("runner.arch", ARCHITECTURES),)),
        ("${{ matrix.os }}-${{ MATRIX.Node }}", ("ubuntu-latest-20",)),
        ("${{ matrix.tool.name }}", ("npm",)),
        ("${{ matrix.tool.version }}", (Opaque("matrix.tool.version"),)),
        ("${{ matrix.tool }}", (Opaque("matrix.tool"),)),
        ("x${{ matrix.nothing }}", ("x",)),
        ("x${{ matrix.os.name }}", ("x",)),
        ("${{ matrix.tool.version.major }}", (Opaque("matrix.tool.version.major"),)),
        ("${{ github.job }}-${{ github.workflow }}", ("build-Test",)),
        ("${{ env.level }}", ("step",)),
        ("${{ env.OF_WORKFLOW }}", ("w-", Opaque("github.ref"))),
        ("${{ env.OF_STEP }}", ("s-j-20-job",)),
        ("${{ env.FROM_ENV }}", (Opaque("env.level"),)),
        ("${{ env.NOWHERE }}", (Opaque("env.nowhere"),)),
        ("${{ env.CHANGED }}", ("own",)),
        ("${{ steps.first.outputs.cache-primary-key }}", ("first-first",)),
        ("${{ steps.other.outputs.key }}", (Opaque("steps.other.outputs.key"),)),
        ("${{ hashFiles('a','b') }}", (Digest("hashfiles('a', 'b')"),)),
        ("${{ format('{0}-{{{1}}}', runner.os, env.LEVEL) }}", ("Linux-{step}",)),
        (
            "${{ format('{0}{0}', hashFiles('a')) }}",
            (Digest("hashfiles('a')"), Digest("hashfiles('a')")),
        ),
        ("${{ format('{0}', github.sha) }}-x", (Opaque("github.sha"), "-x")),
        ("${{ format('{1}', 'a') }}", (Opaque("format('{1}', 'a')"),)),
        ("${{ format('{', 'a') }}", (Opaque("format('{', 'a')"),)),
        ("${{ runner.os == 'Linux' && 'l' || 'w' }}", ("l",)),
        ("${{ contains(matrix.os, 'ubuntu') }}", ("true",)),
        ("${{ matrix.node > 5 }}", ("true",)),
        ("${{ github.ref == 'x' }}", (Opaque("==(github.ref, 'x')"),)),
        ("${{ 'it''s' }}${{ 1.50 }}${{ null }}", ("it's1.5",)),
        ("${{ fromJSON('nothing') }}", (Opaque("fromjson('nothing')"),)),
        ("${{ broken", (Opaque("${{ broken"),)),
        ("", ()),
    ],
)
def test_a_text_becomes_what_the_workflow_says(key: str, pieces: Pieces) -> None:
    assert becomes(key) == pieces


def test_each_job_of_a_matrix_has_its_own_values() -> None:
    assert [becomes("${{ matrix.node }}", case=case) for case in range(3)] == [
        ("20",),
        ("1.1",),
        ("true",),
    ]


def test_a_variable_that_a_step_may_have_changed_is_unknown() -> None:
    *_, step = cache_steps(
        """
        env: {A: a, B: b}
        jobs:
          build:
            steps:
              - run: |
                  echo "A=$(date)" >> $GITHUB_ENV
              - run: B=2
              - uses: actions/cache@v4
                with: {path: x, key: "${{ env.A }}-${{ env.B }}"}
        """
    )

    assert step.keys == ((Opaque("env.a"), "-b"),)


def test_without_a_known_system_there_are_three() -> None:
    step = only_step("- {uses: actions/cache@v4, with: {path: x, key: '${{ runner.os }}'}}")
    (unknown,) = cache_steps(
        "runs: {steps: [{uses: actions/cache@v4, with: {path: x, key: '${{ runner.os }}'}}]}"
    )

    assert step.keys == (("Linux",),)
    assert unknown.keys == ((Opaque("runner.os", SYSTEMS),),)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("a-${{ runner.os }}-${{ matrix.os }}", {"runner.os"}),
        ("${{ env.OF_STEP }}-${{ env.OF_WORKFLOW }}", {"github.ref"}),
        ("${{ matrix.tool.version }}", {"matrix.tool.version"}),
        ("${{ env.NOWHERE || hashFiles('a') }}", {"env.nowhere", "hashfiles"}),
        ("${{ broken", {"${{ broken"}),
    ],
)
def test_references_are_what_a_text_depends_on(key: str, names: set[str]) -> None:
    *_, step = cache_steps(WORKFLOW.replace("KEY", key))
    assert step.key is not None

    assert references_of(step.key, step.at.scopes[0]) == names


def test_a_text_is_known_if_all_of_it_is() -> None:
    assert known_text(("a",)) == "a"
    assert known_text(()) == ""
    assert known_text(("a", Digest("x"))) is None


def test_what_grows_without_end_is_unknown() -> None:
    doubled = "format('{0}{0}', " * 40 + "'x'" + ")" * 40
    many = "${{ github.sha }}" * 250

    assert all(isinstance(piece, Opaque) for piece in becomes(f"${{{{ {doubled} }}}}"))
    assert becomes(many) == (Opaque(many),)


def test_names_are_looked_up_a_limited_number_of_times() -> None:
    step = only_step("- {uses: actions/cache@v4, with: {path: x, key: '${{ runner.os }}'}}")
    (scope,) = step.at.scopes
    budget = Budget(limit=1)
    assert step.key is not None

    found = [pieces_of(step.key, type(scope)(scope.case, budget)) for _ in range(2)]

    assert found == [("Linux",), (Opaque("runner.os"),)]
