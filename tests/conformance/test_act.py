"""The example workflows, run by act: with GitHub's own cache client, and with our action."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runcache.testing import LiveServer
from tests.conformance.jobs import V4_OVER_V1, V6
from tests.conformance.workflows import (
    EXAMPLES,
    NPM,
    OURS,
    PYTHON,
    Action,
    Checkout,
    Example,
    Run,
    genuine,
)

NEW = genuine(V6)
OLD = genuine(V4_OVER_V1)


@pytest.fixture
def checkout(
    server: LiveServer, tmp_path: Path, example: Example, action: Action
) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path, server, action, example)
    (tmp_path / "home").mkdir()
    shutil.copytree(EXAMPLES / example.name, checkout.project)
    checkout.git("init", "--quiet", "--initial-branch=main")
    yield checkout
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("example", "action"),
    [(NPM, NEW), (NPM, OLD), (PYTHON, OLD), (NPM, OURS), (PYTHON, OURS)],
    ids=str,
)
def test_the_second_run_hits_and_skips_the_step_that_only_a_miss_needs(checkout: Checkout) -> None:
    first = checkout.run()
    second = checkout.run()

    assert first.exit_code == 0, first.log
    assert set(first.steps.values()) == {"success"}
    assert "Cache not found for input keys: Linux-" in first.log
    assert "Cache saved with key: Linux-" in first.log

    assert second.exit_code == 0, second.log
    assert "Cache restored from key: Linux-" in second.log
    assert "not saving cache" in second.log
    assert first.steps.keys() - second.steps.keys() == {checkout.example.step_of_a_miss}


@pytest.mark.parametrize(
    ("example", "action"), [(NPM, OLD), (PYTHON, NEW), (NPM, OURS), (PYTHON, OURS)], ids=str
)
def test_changed_dependencies_start_from_the_last_cache_and_save_a_new_one(
    checkout: Checkout,
) -> None:
    first = checkout.run()
    checkout.replace("1.0.0", "1.1.0", *checkout.example.dependencies)
    second = checkout.run()

    assert second.exit_code == 0, second.log
    assert checkout.example.step_of_a_miss in second.steps
    assert f"Cache restored from key: {saved_key(first)}" in second.log
    assert saved_key(second) != saved_key(first)


@pytest.mark.parametrize(("example", "action"), [(NPM, NEW), (NPM, OURS)], ids=str)
def test_what_was_restored_is_at_home_again(checkout: Checkout) -> None:
    checkout.replace('"build": "', '"build": "touch ~/.npm/downloaded && ', "package.json")
    checkout.run()
    checkout.replace("touch ~/.npm/downloaded", "test -e ~/.npm/downloaded", "package.json")

    run = checkout.run()

    assert run.exit_code == 0, run.log


@pytest.mark.parametrize(("example", "action"), [(NPM, NEW), (NPM, OURS)], ids=str)
def test_a_failing_job_saves_nothing(checkout: Checkout) -> None:
    checkout.replace("Hello", "Goodbye", "src/greeting.js")
    failing = checkout.run()
    checkout.replace("Goodbye", "Hello", "src/greeting.js")
    mended = checkout.run()

    assert failing.exit_code == 1
    assert failing.steps["Test"] == "failure"
    assert "Cache saved" not in failing.log
    assert "Cache not found for input keys: Linux-" in mended.log
    assert "Cache saved with key: Linux-" in mended.log


def saved_key(run: Run) -> str:
    found = re.search("Cache saved with key: (.+)", run.log)
    assert found, run.log
    return found[1]


VARIANTS = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/cache/restore@v4
        id: found
        with:
          path: deps
          key: deps-${{ hashFiles('package.json') }}
          restore-keys: deps-
      - env:
          TOLD: ${{ toJSON(steps.found.outputs) }}
        run: |
          echo "$TOLD"
          mkdir -p deps && date +%N >> deps/dates && wc -l < deps/dates
      - uses: actions/cache/save@v4
        with:
          path: deps
          key: ${{ steps.found.outputs.cache-primary-key }}
"""


@pytest.mark.parametrize(("example", "action"), [(NPM, OURS)], ids=str)
def test_the_variants_restore_and_save_by_themselves(checkout: Checkout) -> None:
    workflow = next((checkout.project / ".github/workflows").iterdir())
    workflow.write_text(VARIANTS)

    first = checkout.run()
    checkout.replace("1.0.0", "1.1.0", "package.json")
    shutil.rmtree(checkout.project / "deps", ignore_errors=True)
    second = checkout.run()

    assert (first.exit_code, second.exit_code) == (0, 0), first.log + second.log
    assert saved_key(first) != saved_key(second)
    assert '"cache-hit"' not in first.log
    assert '"cache-hit": "false"' in second.log
    assert f'"cache-matched-key": "{saved_key(first)}"' in second.log
    assert f'"cache-primary-key": "{saved_key(second)}"' in second.log
