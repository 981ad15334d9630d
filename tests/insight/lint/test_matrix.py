"""The jobs of a matrix, as GitHub's documentation on `include` and `exclude` has them."""

import textwrap

import pytest

from runcache.insight.lint.matrix import MAX_CASES, UNKNOWN, Case, cases_of
from runcache.insight.lint.nodes import Mapping
from tests.insight.lint.workflows import node_of


def cases(text: str) -> tuple[Case, ...]:
    job = node_of(textwrap.dedent(text))
    assert isinstance(job, Mapping)
    return cases_of(job)


def matrices(matrix: str) -> list[object]:
    found = cases(f"strategy: {{matrix: {matrix}}}")
    return [case.matrix for case in found]


def test_a_job_without_a_matrix_is_one() -> None:
    assert cases("runs-on: ubuntu-latest") == (Case({}, "Linux"),)


def test_a_matrix_makes_a_job_of_each_combination() -> None:
    found = matrices("{os: [a, b], version: [1, '1', 1.10, true, null]}")

    values = [1.0, "1", 1.1, True, None]
    assert found == [{"os": os, "version": value} for os in "ab" for value in values]


def test_entries_are_included_where_they_change_no_value_and_else_are_jobs_of_their_own() -> None:
    found = matrices(
        "{fruit: [apple, pear], animal: [cat, dog], include: ["
        "{color: green}, {color: pink, animal: cat}, {fruit: apple, shape: circle},"
        " {fruit: banana}, {fruit: banana, animal: cat}]}"
    )

    assert found == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_entries_alone_are_the_jobs() -> None:
    assert matrices("{include: [{a: 1}, {a: 2, b: 3}]}") == [{"a": 1}, {"a": 2, "b": 3}]


def test_what_is_excluded_is_no_job_unless_it_is_included_again() -> None:
    found = matrices(
        "{os: [a, b], on: [{x: 1}, {x: 2}], exclude: [{os: a, on: {x: 1}}, {os: b}],"
        " include: [{os: b, on: {x: 2}}]}"
    )

    assert found == [{"os": "a", "on": {"x": 2}}, {"os": "b", "on": {"x": 2}}]


def test_a_value_that_only_a_run_can_tell_is_unknown() -> None:
    assert matrices("{a: ['${{ inputs.a }}', [1], b]}") == [
        {"a": UNKNOWN},
        {"a": UNKNOWN},
        {"a": "b"},
    ]


@pytest.mark.parametrize(
    "matrix",
    [
        "'${{ fromJSON(needs.plan.outputs.matrix) }}'",
        "{a: '${{ fromJSON(inputs.list) }}'}",
        "{a: [1], include: '${{ fromJSON(inputs.list) }}'}",
        "{a: [1], include: [{a: '${{ inputs.a }}'}]}",
        "{a: [1], exclude: [one]}",
        "{a: []}",
        f"{{a: [{', '.join(map(str, range(MAX_CASES + 1)))}]}}",
        f"{{{', '.join(f'a{number}: [1]' for number in range(60))}}}",
    ],
)
def test_a_matrix_with_too_much_that_is_unknown_is_unknown_as_a_whole(matrix: str) -> None:
    assert matrices(matrix) == [None]


@pytest.mark.parametrize(
    ("runs_on", "system"),
    [
        ("ubuntu-24.04", "Linux"),
        ("windows-latest", "Windows"),
        ("macos-15-xlarge", "macOS"),
        ("[self-hosted, Linux, ARM64]", "Linux"),
        ("{group: large, labels: windows-2025-large}", "Windows"),
        ("self-hosted", None),
        ("[ubuntu-latest, windows-latest]", None),
        ("${{ inputs.runner }}", None),
        ("[self-hosted, linux, '${{ inputs.runner }}']", None),
    ],
)
def test_labels_of_runners_name_their_system(runs_on: str, system: str | None) -> None:
    (case,) = cases(f"runs-on: {runs_on}")

    assert case.os == system


def test_each_job_of_a_matrix_has_its_system() -> None:
    found = cases(
        """
        runs-on: ${{ matrix.on.runner }}
        strategy:
          matrix:
            on: [{runner: ubuntu-latest}, {runner: macos-latest}, {runner: "${{ inputs.x }}"}]
        """
    )

    assert [case.os for case in found] == ["Linux", "macOS", None]
