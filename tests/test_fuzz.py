"""`python -m fuzz` tries what it is told to, and says what failed."""

import subprocess
import sys

import pytest

from fuzz.__main__ import TARGETS
from tests.documentation import ROOT


def fuzz(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fuzz", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_tried(target: str) -> None:
    run = fuzz(target, "--count", "20", "--seed", "1")

    assert run.returncode == 0, run.stdout + run.stderr
    first, last = run.stdout.splitlines()
    assert first == f"{target}: 20 cases with --seed 1"
    assert last.startswith(f"{target}: 0 failed")


def test_all_targets_are_tried_if_none_is_named() -> None:
    run = fuzz("--count", "1", "--seed", "1")

    assert run.returncode == 0, run.stdout + run.stderr
    assert [line.split(":")[0] for line in run.stdout.splitlines()[::2]] == list(TARGETS)


def test_an_unknown_target_is_refused() -> None:
    run = fuzz("nothing")

    assert run.returncode == 2
    assert "expressions" in run.stderr
