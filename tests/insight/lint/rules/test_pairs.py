from pathlib import Path

import pytest

from tests.insight.lint.workflows import found_rules

WORKFLOW = """\
on: push
jobs:
  save:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/cache/{save}@v4
        with: {{path: "{saved}", key: "{key}"}}
  restore:
    runs-on: ubuntu-latest
    env: {{NAME: build}}
    steps:
      - uses: actions/cache/restore@v4
        with: {{path: "{restored}", key: "{other}"}}
"""
KEY = "x-${{ runner.os }}-${{ github.sha }}-${{ hashFiles('a') }}"


def is_found(
    folder: Path, saved: str, restored: str, *, key: str = KEY, other: str | None = None
) -> bool:
    text = WORKFLOW.format(save="save", saved=saved, restored=restored, key=key, other=other or key)
    both = text.replace("cache/save@", "cache@")
    found = "path-mismatch" in found_rules(folder, text)
    assert ("path-mismatch" in found_rules(folder, both)) is found
    return found


@pytest.mark.parametrize(
    ("saved", "restored", "is_fault"),
    [
        ("build", "build", False),
        ("build", "./build", True),
        ("build", "build/", True),
        ("a\\nb", "a\\nb\\n", False),
        ("a\\nb", "b\\na", True),
        ("a\\n! b", "a\\n!b", True),
        ("~/.npm", "/home/runner/.npm", True),
        ("build", "${{ env.NAME }}", False),
        ("builds", "${{ env.NAME }}", True),
        ("build", "${{ inputs.path }}", False),
        ("${{ inputs.path }}", "build", False),
    ],
)
def test_the_paths_of_a_key_are_the_same_letter_by_letter(
    tmp_path: Path, saved: str, restored: str, *, is_fault: bool
) -> None:
    assert is_found(tmp_path, saved, restored) is is_fault


@pytest.mark.parametrize(
    ("key", "other"),
    [
        (KEY, "y"),
        ("x-${{ needs.a.outputs.b }}", None),
        ("x-${{ steps.a.outputs.b }}", None),
        ("x-${{ inputs.a }}", None),
        ("${{ runner.os }}", "Windows"),
    ],
)
def test_keys_that_may_differ_are_not_compared(tmp_path: Path, key: str, other: str | None) -> None:
    assert not is_found(tmp_path, "a", "b", key=key, other=other)


def test_one_that_saves_the_same_paths_is_enough(tmp_path: Path) -> None:
    saves = WORKFLOW.format(save="save", saved="a", restored="b", key=KEY, other=KEY)
    step = '      - uses: actions/cache/save@v4\n        with: {path: PATH, key: "KEY"}\n'
    more = step.replace("KEY", KEY).replace("PATH", "b")

    assert "path-mismatch" in found_rules(tmp_path, saves)
    assert "path-mismatch" not in found_rules(tmp_path, saves + more)
