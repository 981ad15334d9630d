"""This machine as presets see it: what it is, and its programs.

Nothing else of this package looks at the environment or starts a program, so that a machine can
also be written down in a test.
"""

import contextlib
import os
import platform
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from runcache.errors import MachineUnknown, ToolFailed, ToolHung

# A package manager may have to fetch itself first, as yarn and pnpm do under corepack.
TIME_LIMIT: Final = timedelta(minutes=1)

# What a shell, and the wrappers that choose a version, say of a program that is not there.
_NOT_FOUND: Final = 127
_SYSTEMS: Final = {"Linux": "Linux", "Darwin": "macOS"}
_ARCHITECTURES: Final = {
    "x86_64": "x64",
    "amd64": "x64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i386": "ia32",
    "i686": "ia32",
    "loongarch64": "loong64",
    "ppc64le": "ppc64",
}


class Run(Protocol):
    """Runs a program of the machine, without a terminal."""

    def __call__(self, command: Sequence[str], folder: Path, /) -> str | None:
        """Return what a command prints on its standard output, run in a folder.

        It is None if there is no such program.

        Raises:
            ToolFailed: it could not be started, or ended with another status than 0.
            ToolHung: it did not end in time, and was killed.
        """


@dataclass(frozen=True, slots=True)
class Machine:
    """What keys and paths depend on besides the project.

    `os` is `Linux` or `macOS`, as in `RUNNER_OS`. `arch` is in the words of Node: `x64`, `arm64`.
    `kernel` is the release of the kernel, which on macOS tells that of the system. `release` is
    `/etc/os-release`, and empty on macOS.
    """

    os: str
    arch: str
    kernel: str
    home: Path
    environment: Mapping[str, str]
    release: Mapping[str, str]
    run: Run


def read_machine(environ: Mapping[str, str], *, time_limit: timedelta = TIME_LIMIT) -> Machine:
    """Return the machine that this process runs on.

    Its programs get the environment `environ` and are found on its `PATH`.

    Raises:
        MachineUnknown: it runs neither Linux nor macOS.
    """
    system = _SYSTEMS.get(platform.system())
    if system is None:
        raise MachineUnknown(
            f"presets know Linux and macOS, and this is `{platform.system() or 'unknown'}`"
        )
    architecture = platform.machine()
    environment = dict(environ)
    return Machine(
        os=system,
        arch=_ARCHITECTURES.get(architecture, architecture),
        kernel=platform.release(),
        home=Path(environment.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir),
        environment=environment,
        release=_read_release(),
        run=partial(_run, environ=environment, time_limit=time_limit),
    )


def _read_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _run(
    command: Sequence[str], folder: Path, /, *, environ: Mapping[str, str], time_limit: timedelta
) -> str | None:
    program = shutil.which(command[0], path=environ.get("PATH", os.defpath))
    if program is None:
        return None
    try:
        # In a session of its own, so that what it starts itself can be ended with it.
        process = subprocess.Popen(  # noqa: S603  -- the commands are those of the table
            (program, *command[1:]),
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as exc:
        raise ToolFailed(command, f"could not be started: {exc.strerror}") from exc
    with process:
        try:
            output, complaint = process.communicate(timeout=time_limit.total_seconds())
        except BaseException as exc:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(exc, subprocess.TimeoutExpired):
                raise ToolHung(command, seconds=time_limit.total_seconds()) from exc
            raise
    if process.returncode == _NOT_FOUND:
        return None
    if process.returncode != 0:
        said = os.fsdecode(complaint.strip() or output.strip())
        raise ToolFailed(command, _failure(process.returncode, said), complaint=said)
    return os.fsdecode(output)


def _failure(status: int, said: str) -> str:
    ended = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
    first_line = said.partition("\n")[0].strip()
    return f"{ended}: {first_line}" if first_line else ended
