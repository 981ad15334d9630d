from pathlib import Path

import pytest

from tests.insight.lint.workflows import findings, found_rules, job

STEP = """\
- uses: actions/cache@v4
  with:
    path: x
    key: {key}
    restore-keys: |
      {restore_key}
"""


def rules(folder: Path, key: str, restore_key: str = "x-") -> set[str]:
    return found_rules(folder, job(STEP.format(key=key, restore_key=restore_key)))


@pytest.mark.parametrize(
    ("key", "is_too_long"),
    [
        ("x-" + "y" * 510, False),
        ("x-" + "y" * 511, True),
        ("x-" + "\U0001f600" * 255, False),
        ("x-" + "\U0001f600" * 256, True),
        ("x-" + "y" * 450 + "${{ github.sha }}", False),
        ("x-" + "y" * 447 + "${{ hashFiles('a') || github.sha }}", False),
        ("x-" + "y" * 446 + "${{ hashFiles('a') }}", False),
        ("x-" + "y" * 447 + "${{ hashFiles('a') }}", True),
        ("x-" + "${{ matrix.long }}" * 3, False),
    ],
)
def test_a_key_is_too_long_if_that_is_certain(
    tmp_path: Path, key: str, *, is_too_long: bool
) -> None:
    assert ("key-too-long" in rules(tmp_path, key)) is is_too_long


@pytest.mark.parametrize(
    ("key", "has_comma"),
    [
        ("x-a,b", True),
        ("x-${{ 'a,b' }}", True),
        ("x-${{ format('{0}', 'a,b') }}", True),
        ("x-${{ join(fromJSON('[1,2]')) }}", True),
        ("x-${{ join(fromJSON('[1,2]'), '-') }}", False),
        ("x-${{ hashFiles('a', 'b,c') }}", False),
        ("x-${{ contains('a,b', 'a') }}", False),
        ("x-${{ join(github.event.labels) }}", False),
    ],
)
def test_a_comma_counts_where_it_gets_into_the_key(
    tmp_path: Path, key: str, *, has_comma: bool
) -> None:
    assert ("key-with-comma" in rules(tmp_path, key)) is has_comma
    assert ("key-with-comma" in rules(tmp_path, "x-", restore_key=key)) is has_comma


def test_ten_keys_are_taken_and_one_that_only_saves_looks_for_none(tmp_path: Path) -> None:
    lines = [f"x-{'y' * (20 - number)}" for number in range(10)]
    ten = STEP.format(key="x-" + "y" * 30, restore_key="\n      ".join(lines[:9]))
    eleven = STEP.format(key="x-" + "y" * 30, restore_key="\n      ".join(lines))

    assert "too-many-keys" not in found_rules(tmp_path, job(ten))
    assert "too-many-keys" in found_rules(tmp_path, job(eleven))
    assert "too-many-keys" not in found_rules(
        tmp_path, job(eleven.replace("actions/cache@", "actions/cache/save@"))
    )


def test_an_expression_that_is_broken_is_told_with_the_reason(tmp_path: Path) -> None:
    found = findings(tmp_path, job(STEP.format(key="x-${{ nothing.os }}", restore_key="x-")))

    (finding,) = (one for one in found if one.rule == "broken-expression")
    assert finding.message == "unknown context `nothing`"
    assert finding.excerpt.split("\n")[1].index("^") == finding.excerpt.index("nothing")
