"""The GitHub action, run by Node as a runner does, with a program in the place of `runcache`."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.genuine import find_node

ROOT: Final = Path(__file__).parents[2]
ACTION: Final = ROOT / "action"
MISS: Final[dict[str, Any]] = {"hit": False, "matched_key": None}

# Writes down how it was called, prints what it is told to, and ends as it is told to.
STAND_IN: Final = """\
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    told = {name: value for name, value in os.environ.items() if name.startswith("RUNCACHE_")}
    calls.write(json.dumps({"arguments": sys.argv[1:], "variables": told}) + "\\n")
print("talk", file=sys.stderr)
print(os.environ["ANSWER"])
sys.exit(int(os.environ["CODE"]))
"""

WAITS: Final = """\
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
print("ready", file=sys.stderr, flush=True)
signal.pause()
"""


@dataclass(frozen=True, slots=True)
class Step:
    """How a script of the action ended: what it said, and what it told the runner."""

    code: int
    log: list[str]
    state: dict[str, str]
    calls: list[dict[str, Any]]

    @property
    def arguments(self) -> list[str]:
        assert len(self.calls) == 1
        arguments: list[str] = self.calls[0]["arguments"]
        return arguments


@dataclass(slots=True)
class Runner:
    """Runs steps in a folder; `answer` and `code` are what `runcache` will print and end with."""

    folder: Path
    answer: dict[str, Any] = field(default_factory=lambda: MISS)
    code: int = 0
    variables: dict[str, str] = field(default_factory=dict)

    def program(self, name: str = "runcache") -> Path:
        """Put the program somewhere, and return where."""
        file = self.folder / "bin" / name
        file.parent.mkdir(exist_ok=True)
        script = file.with_suffix(".py")
        script.write_text(STAND_IN)
        file.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(script)])} "$@"\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    def run(self, script: str, state: dict[str, str] | None = None, **inputs: str) -> Step:
        """Run a script with inputs (`_` stands for `-`) and the state of an earlier step."""
        saved, calls = self.folder / "state", self.folder / "calls"
        given = {f"INPUT_{name.replace('_', '-').upper()}": text for name, text in inputs.items()}
        for file in (saved, calls):
            file.write_text("")
        ended = subprocess.run(
            [find_node(), ACTION / script],
            cwd=self.folder,
            env={
                "PATH": f"{self.folder / 'bin'}{os.pathsep}/bin{os.pathsep}/usr/bin",
                "GITHUB_STATE": str(saved),
                "CALLS": str(calls),
                "ANSWER": json.dumps(self.answer),
                "CODE": str(self.code),
                **given,
                **{f"STATE_{name}": value for name, value in (state or {}).items()},
                **self.variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Step(
            ended.returncode,
            ended.stdout.splitlines(),
            _values(saved.read_text()),
            [json.loads(line) for line in calls.read_text().splitlines()],
        )


def _values(text: str) -> dict[str, str]:
    """Read a file of `name<<end`, the lines of the value, and `end` again."""
    values = {}
    lines = iter(text.splitlines())
    for first in lines:
        name, _, end = first.partition("<<")
        values[name] = "\n".join(iter(lambda: next(lines), end))
    return values


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    runner = Runner(tmp_path)
    runner.program()
    return runner


def test_a_restore_passes_every_input_on(runner: Runner) -> None:
    step = runner.run(
        "restore.mjs",
        key=" npm-1 ",
        path="~/.npm\n\n  node_modules \n!  node_modules/.cache\n",
        restore_keys="npm-\n n\n",
        enableCrossOsArchive="True",
        fail_on_cache_miss="TRUE",
        lookup_only="true",
    )

    assert step.code == 0
    assert step.arguments == [
        "restore",
        "--json",
        "--key=npm-1",
        "--restore-key=npm-",
        "--restore-key=n",
        "--path=~/.npm",
        "--path=node_modules",
        "--path=!node_modules/.cache",
        "--cross-os",
        "--lookup-only",
        "--fail-on-cache-miss",
    ]


def test_what_looks_like_an_option_or_an_expression_is_text(runner: Runner) -> None:
    step = runner.run("restore.mjs", key="--help ${{ env.SECRET }}", path="-x")

    assert "--key=--help ${{ '${{' }} env.SECRET }}" in step.arguments
    assert "--path=-x" in step.arguments


def test_no_token_is_on_the_command_line(runner: Runner) -> None:
    runner.variables = {"RUNCACHE_TOKEN": "secret"}

    step = runner.run("restore.mjs", key="k", path="p", url="https://cache.example.com")

    assert not any("secret" in argument for argument in step.arguments)
    assert step.calls[0]["variables"] == {
        "RUNCACHE_TOKEN": "secret",
        "RUNCACHE_URL": "https://cache.example.com",
    }


def test_a_hit_is_told_and_remembered_for_the_end_of_the_job(runner: Runner) -> None:
    runner.answer = {"hit": True, "matched_key": "npm-0\nwith a second line"}

    step = runner.run("restore.mjs", key="npm-1", path="p", restore_keys="npm-")
    looked_up = runner.run("restore.mjs", key="npm-1", path="p", lookup_only="true")

    assert step.code == 0
    assert step.state == {"CACHE_KEY": "npm-1", "CACHE_RESULT": "npm-0\nwith a second line"}
    assert "Cache restored from key: npm-0" in step.log
    assert "talk" in step.log
    assert "Cache found and can be restored from key: npm-0" in looked_up.log


def test_a_miss_names_all_keys_and_does_no_harm(runner: Runner) -> None:
    step = runner.run("restore.mjs", key="npm-1", path="p", restore_keys="npm-\nn")

    assert step.code == 0
    assert step.log[-1] == "Cache not found for input keys: npm-1, npm-, n"
    assert step.state == {"CACHE_KEY": "npm-1"}


def test_a_miss_fails_the_step_where_that_was_asked_for(runner: Runner) -> None:
    runner.code = 3

    step = runner.run("restore.mjs", key="npm-1", path="p", fail_on_cache_miss="true")

    assert step.code == 1
    assert step.log[-1] == (
        "::error::Failed to restore cache entry. Exiting as fail-on-cache-miss is set."
        " Input key: npm-1"
    )


def test_wrong_usage_fails_a_restore_and_only_warns_at_the_end_of_the_job(runner: Runner) -> None:
    runner.code = 2

    restored = runner.run("restore.mjs", key="a,b", path="p")
    saved = runner.run("save.mjs", key="a,b", path="p")

    assert restored.code == 1
    assert restored.log[-1].startswith("::error::runcache restore ended with exit code 2")
    assert saved.code == 0
    assert saved.log[-1].startswith("::warning::runcache save ended with exit code 2")


@pytest.mark.parametrize("name", ["key", "path"])
def test_a_restore_needs_a_key_and_a_path(runner: Runner, name: str) -> None:
    step = runner.run("restore.mjs", None, **({"key": "k", "path": "p"} | {name: " "}))

    assert (step.code, step.calls) == (1, [])
    assert step.log == [f"::error::Input required and not supplied: {name}"]


def test_a_save_without_a_key_only_warns(runner: Runner) -> None:
    step = runner.run("save.mjs", path="p")

    assert (step.code, step.calls) == (0, [])
    assert step.log == ["::warning::Input required and not supplied: key"]


def test_a_save_uses_the_key_of_the_restore_and_passes_its_inputs_on(runner: Runner) -> None:
    runner.answer = {"created": True}

    step = runner.run(
        "save.mjs",
        {"CACHE_KEY": "npm-1", "CACHE_RESULT": "npm-0"},
        key="npm-2",
        path="p\nq",
        enableCrossOsArchive="true",
        upload_chunk_size="1000",
    )

    assert step.code == 0
    assert step.arguments == [
        *("save", "--json", "--key=npm-1", "--path=p", "--path=q"),
        "--cross-os",
    ]
    assert step.log[-1] == "Cache saved with key: npm-1"
    assert "The input upload-chunk-size has no effect." in step.log


def test_a_save_of_its_own_uses_its_input(runner: Runner) -> None:
    runner.answer = {"created": False}

    step = runner.run("save.mjs", key="npm-2", path="p")

    assert (step.code, step.log) == (0, ["talk"])
    assert "--key=npm-2" in step.arguments


def test_nothing_is_saved_after_a_hit_in_whatever_case(runner: Runner) -> None:
    step = runner.run("save.mjs", {"CACHE_KEY": "NPM-é", "CACHE_RESULT": "npm-É"}, path="p")

    assert (step.code, step.calls) == (0, [])
    assert step.log == ["Cache hit occurred on the primary key NPM-é, not saving cache."]


def test_a_job_that_gets_no_secrets_goes_on_without_a_cache(runner: Runner) -> None:
    runner.variables = {"RUNCACHE_TOKEN": ""}
    inputs = {"key": "k", "path": "p", "url": "https://cache.example.com"}

    restored = runner.run("restore.mjs", None, **inputs)
    needed = runner.run("restore.mjs", None, **inputs, fail_on_cache_miss="true")
    saved = runner.run("save.mjs", None, **inputs)

    warning = "::warning::The cache is not used: https://cache.example.com needs a token,"
    assert [step.code for step in (restored, needed, saved)] == [0, 1, 0]
    for step in (restored, needed, saved):
        assert step.log[0].startswith(warning)
        assert step.calls == []


def test_a_token_may_be_in_a_file(runner: Runner) -> None:
    runner.variables = {"RUNCACHE_TOKEN_FILE": "token", "RUNCACHE_URL": "https://example.com"}

    assert len(runner.run("restore.mjs", key="k", path="p").calls) == 1


def test_the_program_may_be_named(runner: Runner) -> None:
    elsewhere = runner.program("another")
    runner.program().unlink()

    step = runner.run("restore.mjs", key="k", path="p", runcache=str(elsewhere))

    assert (step.code, len(step.calls)) == (0, 1)


def test_the_program_on_the_path_comes_first(runner: Runner) -> None:
    step = runner.run("restore.mjs", key="k", path="p", runcache="/no/such/program")

    assert (step.code, len(step.calls)) == (0, 1)


def test_without_the_program_a_restore_says_what_to_do(runner: Runner) -> None:
    runner.program().unlink()

    restored = runner.run("restore.mjs", key="k", path="p")
    saved = runner.run("save.mjs", key="k", path="p")

    reason = "there is no program runcache: install runcache in an earlier step, or"
    assert restored.code == 1
    assert restored.log[-1].startswith(f"::error::{reason}")
    assert saved.code == 0
    assert saved.log[-1].startswith(f"::warning::{reason}")


def test_a_cancelled_step_ends_the_program_too(runner: Runner) -> None:
    program = runner.program()
    program.with_suffix(".py").write_text(WAITS)

    with subprocess.Popen(
        [find_node(), ACTION / "restore.mjs"],
        env={
            "PATH": f"{program.parent}{os.pathsep}/bin{os.pathsep}/usr/bin",
            "GITHUB_STATE": str(runner.folder / "state"),
            "INPUT_KEY": "k",
            "INPUT_PATH": "p",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "exit code 130" in out


def definition(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ACTION / name / "action.yml").read_text())
    return content


INPUTS: Final = {
    "": [
        *("path", "key", "restore-keys", "upload-chunk-size", "enableCrossOsArchive"),
        *("fail-on-cache-miss", "lookup-only"),
    ],
    "restore": [
        *("path", "key", "restore-keys", "enableCrossOsArchive"),
        *("fail-on-cache-miss", "lookup-only"),
    ],
    "save": ["path", "key", "upload-chunk-size", "enableCrossOsArchive"],
}


@pytest.mark.parametrize("variant", INPUTS)
def test_the_inputs_are_those_of_actions_cache_and_two_of_our_own(variant: str) -> None:
    inputs = definition(variant)["inputs"]

    assert list(inputs) == [*INPUTS[variant], "url", "runcache"]
    assert {name for name, told in inputs.items() if told.get("required")} == {"path", "key"}
    assert {name for name, told in inputs.items() if told.get("default") == "false"} == {
        name
        for name in inputs
        if name in {"enableCrossOsArchive", "fail-on-cache-miss", "lookup-only"}
    }


def test_only_the_variants_that_restore_have_outputs() -> None:
    outputs = ["cache-hit", "cache-primary-key", "cache-matched-key"]

    assert list(definition("")["outputs"]) == list(definition("restore")["outputs"]) == outputs
    assert "outputs" not in definition("save")


@pytest.mark.parametrize("variant", INPUTS)
def test_every_script_is_there_and_saving_waits_for_success(variant: str) -> None:
    runs = definition(variant)["runs"]

    scripts = [runs[name] for name in ("main", "post") if name in runs]
    assert runs["using"] == "node24"
    assert all((ACTION / variant / script).resolve().parent == ACTION for script in scripts)
    assert all((ACTION / variant / script).is_file() for script in scripts)
    assert ("post" in runs) == (variant == "")
    assert runs.get("post-if") == ("success()" if variant == "" else None)


def test_the_repository_itself_is_the_action_too() -> None:
    root = yaml.safe_load((ROOT / "action.yml").read_text())

    runs = definition("")["runs"]
    for name in ("main", "post"):
        runs[name] = f"action/{runs[name]}"
    assert root == definition("") | {"runs": runs}
