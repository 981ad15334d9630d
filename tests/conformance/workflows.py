"""Workflows that act runs on this machine, with an action of ours in place of `actions/cache`."""

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runcache.testing import LiveServer
from tests.conformance.jobs import Client
from tests.conformance.programs import found
from tests.genuine import NODE_FOLDER, find_node, find_npm

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"


@dataclass(frozen=True, slots=True)
class Action:
    """What stands in for `actions/cache`: a folder with an action, and what its steps must know."""

    name: str
    folder: Path
    v2: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def genuine(client: Client) -> Action:
    """Return an action that calls GitHub's own client."""
    folder = NODE_FOLDER / "node_modules" / f"cache-{client.generation}"
    variables = {"CACHE_CLIENT": (folder / "lib/cache.js").as_uri()}
    return Action(str(client), Path(__file__).with_name("cache_action"), client.v2, variables)


OURS: Final = Action("ours", ROOT / "action")


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
    action: Action
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
                *("--local-repository", f"actions/cache@v4={self.action.folder}"),
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
        protocol = {"ACTIONS_CACHE_SERVICE_V2": "true"} if self.action.v2 else {}
        return protocol | {
            "ACTIONS_RESULTS_URL": self.server.url,
            "ACTIONS_CACHE_URL": self.server.url,
            "ACTIONS_RUNTIME_TOKEN": self.server.job_token(repository=self.repository),
            **self.action.variables,
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
        """Make `node`, `npm` and `runcache` available by these names."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        ours = (sys.executable, "-m", "runcache.cli.main")
        for name, command in (
            ("node", (str(find_node()),)),
            ("npm", find_npm()),
            ("runcache", ours),
        ):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            script.chmod(0o755)
        return programs

    def git(self, *arguments: str) -> None:
        author = ("-c", "user.name=Octo", "-c", "user.email=octo@localhost")
        subprocess.run([found("git"), *author, *arguments], cwd=self.project, check=True)
