from pathlib import Path

import pytest

from tests.insight.lint.workflows import findings, found_rules, job

STEP = "- uses: {uses}\n  with: {{path: x, key: x-1{more}}}\n"


@pytest.mark.parametrize(
    ("release", "is_fault"),
    [
        *((release, True) for release in ("v1", "v1.2.0", "v2", "v2.1.8", "v3.0", "v3.3.3")),
        *((release, True) for release in ("v4.0.0", "v4.1", "v4.1.2")),
        *((release, False) for release in ("v3", "v3.4.0", "v3.5", "v4", "v4.2.0", "v5", "v10")),
        *((release, False) for release in ("main", "0123456789abcdef", "releases/v1", "v4-beta")),
    ],
)
def test_releases_for_a_service_that_is_gone_are_found(
    tmp_path: Path, release: str, *, is_fault: bool
) -> None:
    expected = {"deprecated-release"} if is_fault else set()
    for path in ("", "/restore", "/save"):
        text = job(STEP.format(uses=f"actions/cache{path}@{release}", more=""))

        assert found_rules(tmp_path, text) == expected


def test_releases_of_other_actions_are_their_own(tmp_path: Path) -> None:
    text = job(STEP.format(uses="octo/runcache@v1", more=", save-always: true"))

    assert found_rules(tmp_path, text) == set()


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        (
            "Save-Always",
            "remove it; to save in any case, use `actions/cache/save` with `if: always()`",
        ),
        ("upload-chunk-size", "remove it"),
    ],
)
def test_inputs_without_effect_are_found_whatever_their_case(
    tmp_path: Path, name: str, fix: str
) -> None:
    (finding,) = findings(
        tmp_path, job(STEP.format(uses="actions/cache@v4", more=f", {name}: true"))
    )

    assert (finding.rule, finding.fix) == ("deprecated-input", fix)
    assert finding.end.column - finding.start.column == len(name)
