"""The example workflows, run by act with GitHub's own cache client."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from runcache.testing import LiveServer
from tests.conformance.jobs import V4_OVER_V1, V6, Client
from tests.conformance.programs import found
from tests.genuine import NODE_FOLDER, find_node, find_npm

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
ACTION: Final = Path(__file__).with_name("cache_action")


@dataclass(frozen=True, slots=True)
class Example:
    """An example: its folder, the step that runs on a miss only, and what its key is made of."""

    name: str
    step_of_a_miss: str
    dependencies: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


NPM: Final = Example("npm", "List the state of node modules", ("package.json", "package-lock.json"))
PYTHON: Final = Example("python", "Create the virtual environment", ("pyproject.toml",))


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a workflow: how it ended, the steps that ran and their results, what it said."""

    exit_code: int
    steps: dict[str, str]
    log: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """A git repository with one of the examples, and a machine to run it on, below `folder`."""

    folder: Path
    server: LiveServer
    client: Client
    example: Example
    repository: str = field(default_factory=lambda: f"octo/{secrets.token_hex(8)}")

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def npm_folder(self) -> Path:
        """What the npm example caches."""
        return self.folder / "home" / ".npm"

    def replace(self, old: str, new: str, *names: str) -> None:
        """Replace text in files of the project."""
        for name in names:
            text = (self.project / name).read_text()
            assert old in text
            (self.project / name).write_text(text.replace(old, new))

    def run(self) -> Run:
        """Commit the project, and run its workflow as a push does."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")
        # What an earlier run left at home would hide what this one restores.
        shutil.rmtree(self.npm_folder, ignore_errors=True)
        run = subprocess.run(
            [
                *(found("act"), "push", "--json", "-P", "ubuntu-latest=-self-hosted"),
                *("--local-repository", f"actions/cache@v4={ACTION}"),
                *("--action-offline-mode", "--pull=false", "--no-cache-server"),
                *(f"--env={name}={value}" for name, value in self._variables().items()),
            ],
            cwd=self.project,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        events = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        steps = {
            event["step"]: event["stepResult"]
            for event in events
            if event.get("stage") == "Main" and "stepResult" in event
        }
        return Run(run.returncode, steps, "".join(event["msg"] for event in events))

    def _variables(self) -> dict[str, str]:
        client = NODE_FOLDER / "node_modules" / f"cache-{self.client.generation}" / "lib/cache.js"
        protocol = {"ACTIONS_CACHE_SERVICE_V2": "true"} if self.client.v2 else {}
        return protocol | {
            "ACTIONS_RESULTS_URL": self.server.url,
            "ACTIONS_CACHE_URL": self.server.url,
            "ACTIONS_RUNTIME_TOKEN": self.server.job_token(repository=self.repository),
            "CACHE_CLIENT": client.as_uri(),
        }

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._programs()}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "act"),
            # Nothing is fetched: the projects have no dependencies.
            "npm_config_offline": "true",
            "PIP_NO_INDEX": "1",
        }

    def _programs(self) -> Path:
        """Make `node` and `npm` available by these names."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        for name, command in (("node", (str(find_node()),)), ("npm", find_npm())):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            script.chmod(0o755)
        return programs

    def git(self, *arguments: str) -> None:
        author = ("-c", "user.name=Octo", "-c", "user.email=octo@localhost")
        subprocess.run([found("git"), *author, *arguments], cwd=self.project, check=True)


@pytest.fixture
def checkout(
    server: LiveServer, tmp_path: Path, example: Example, client: Client
) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path, server, client, example)
    (tmp_path / "home").mkdir()
    shutil.copytree(EXAMPLES / example.name, checkout.project)
    checkout.git("init", "--quiet", "--initial-branch=main")
    yield checkout
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("example", "client"), [(NPM, V6), (NPM, V4_OVER_V1), (PYTHON, V4_OVER_V1)], ids=str
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


@pytest.mark.parametrize(("example", "client"), [(NPM, V4_OVER_V1), (PYTHON, V6)], ids=str)
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


@pytest.mark.parametrize(("example", "client"), [(NPM, V6)], ids=str)
def test_what_was_restored_is_at_home_again(checkout: Checkout) -> None:
    checkout.replace('"build": "', '"build": "touch ~/.npm/downloaded && ', "package.json")
    checkout.run()
    checkout.replace("touch ~/.npm/downloaded", "test -e ~/.npm/downloaded", "package.json")

    run = checkout.run()

    assert run.exit_code == 0, run.log


@pytest.mark.parametrize(("example", "client"), [(NPM, V6)], ids=str)
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
