"""The two clients that are compared, each call a process of its own: ours, and GitHub's under Node.

Seconds are from the start of the process to its end. Both get the environment of a job, with the
same server, token, workspace and paths, and a home of their own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tests.genuine import NODE_FOLDER, find_node, job_environment

PATHS: Final = ("deps",)


@dataclass(frozen=True, slots=True)
class Job:
    """What a job has: a server, a token, and a machine, whose files are below `home`."""

    url: str
    token: str
    workspace: Path
    home: Path

    @property
    def cached(self) -> Path:
        """The folder that is saved and restored."""
        return self.workspace / PATHS[0]

    def environment(self) -> dict[str, str]:
        """Return its variables. The folders exist afterwards."""
        temp = self.home / "temp"
        for folder in (self.workspace, temp):
            folder.mkdir(parents=True, exist_ok=True)
        return job_environment(
            url=self.url, token=self.token, workspace=self.workspace, home=self.home, temp=temp
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that has ended well: its seconds, its memory, and what it answered and said."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    answer: Mapping[str, Any]
    said: str


class Client(Protocol):
    """A program that saves and restores `PATHS`."""

    def save(self, job: Job, key: str) -> Ran:
        """Save under a new key.

        Raises:
            RuntimeError: it was not saved.
        """
        ...

    def restore(self, job: Job, key: str, *, is_there: bool = True) -> Ran:
        """Restore a key, or look for one that is not there.

        Raises:
            RuntimeError: it did not find what is there, or found what is not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ours:
    """`runcache`, as it is installed beside this Python, or what `program` starts."""

    program: tuple[str, ...] = (str(Path(sys.executable).with_name("runcache")),)

    def save(self, job: Job, key: str) -> Ran:
        """Save a snapshot; the base is what `auto` finds."""
        ran = self._run(job, "save", key)
        return _expected(ran, ran.answer["created"] is True)

    def restore(self, job: Job, key: str, *, is_there: bool = True) -> Ran:
        """Restore a key, or look for one."""
        ran = self._run(job, "restore", key)
        return _expected(ran, ran.answer["hit"] is is_there)

    def _run(self, job: Job, verb: str, key: str) -> Ran:
        options = (f"--key={key}", *(f"--path={path}" for path in PATHS))
        command = (*self.program, verb, "--json", "--quiet", "--on-error=fail", *options)
        return _run(command, job)


class Genuine:
    """The newest `@actions/cache`."""

    def save(self, job: Job, key: str) -> Ran:
        """Save an archive."""
        ran = self._run(job, "save", key)
        return _expected(ran, isinstance(ran.answer["result"], int) and ran.answer["result"] > 0)

    def restore(self, job: Job, key: str, *, is_there: bool = True) -> Ran:
        """Restore a key, or look for one."""
        ran = self._run(job, "restore", key)
        return _expected(ran, ran.answer["result"] == (key if is_there else None))

    @staticmethod
    def _run(job: Job, verb: str, key: str) -> Ran:
        call = json.dumps({"paths": PATHS, "key": key})
        command = (str(find_node()), str(NODE_FOLDER / "cache.mjs"), "v6", verb)
        return _run(command, job, text=call)


def _run(command: Sequence[str], job: Job, *, text: str = "") -> Ran:
    """Run a program that prints one JSON object in its last line, after `RESULT ` or nothing."""
    environment = job.environment()
    given, printed = job.home / "stdin", job.home / "stdout"
    given.write_text(text)
    with given.open("rb") as stdin, printed.open("wb+") as stdout:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=job.workspace,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )
        # Unlike `Popen.wait` it tells what this process has used, and no other.
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    output = printed.read_text()
    if process.returncode != 0:
        message = f"{command[0]} ended with {process.returncode}:\n{output}"
        raise RuntimeError(message)
    said, _, answer = output.rpartition("RESULT ")
    cpu_seconds = used.ru_utime + used.ru_stime
    return Ran(seconds, cpu_seconds, used.ru_maxrss * 1024, json.loads(answer), said)


def _expected(ran: Ran, is_right: bool) -> Ran:  # noqa: FBT001  -- what it is for is its name
    if not is_right:
        message = f"the client answered {ran.answer}: {ran.said}"
        raise RuntimeError(message)
    return ran
