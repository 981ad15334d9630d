"""Which Python a project uses, and how keys name it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runcache.errors import InterpretersDiffer, ToolMissing
from runcache.presets.surroundings import Surroundings, unreadable

ENVIRONMENT: Final = ".venv"

# `base_prefix` is where the interpreter is installed, also if a virtual environment runs it.
_QUESTION: Final = """\
import json, platform, sys
print(json.dumps({
    "implementation": sys.implementation.name,
    "release": list(sys.implementation.version),
    "version": platform.python_version(),
    "flags": getattr(sys, "abiflags", ""),
    "prefix": sys.base_prefix,
}))
"""
_PRE_RELEASE: Final = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+)(a|b|rc)([0-9]+)")
_STAGES: Final = {"a": "alpha", "b": "beta", "rc": "rc"}
_LEVELS: Final = {"alpha": "a", "beta": "b", "candidate": "rc"}


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python: `implementation` such as `cpython`, its own `release`, the `version` of Python.

    Both are full, such as `3.13.1` and `3.14.0rc2`. `flags` are those of the binary interface: `t`
    for free threading. `prefix` is the folder that it is installed in.
    """

    implementation: str
    release: str
    version: str
    flags: str
    prefix: str

    @property
    def name(self) -> str:
        """Name all that an environment depends on: `cpython-3.13.1`, `pypy-7.3.17-3.10.14`."""
        own = "" if self.release == self.version else f"{self.release}-"
        return f"{self.implementation}-{own}{self.version}{self.flags}"

    @property
    def as_setup_python_has_it(self) -> str:
        """Return the version in `setup-python`'s words: that of the folder it installs to.

        A pre-release is `3.14.0-rc.2` there, PyPy is its own release and that of Python, and any
        other implementation its own release.
        """
        if self.implementation == "pypy":
            return f"{self.release}-{self.version}"
        if self.implementation != "cpython":
            return self.release
        found = _PRE_RELEASE.fullmatch(self.version)
        return f"{found[1]}-{_STAGES[found[2]]}.{found[3]}" if found else self.version


def default_interpreter(around: Surroundings) -> Interpreter:
    """Return the Python on the `PATH`, which is the one that `setup-python` has put there.

    Raises:
        ToolMissing: there is neither `python` nor `python3`.
        ToolFailed: it cannot say what it is.
    """
    for program in ("python", "python3"):
        if interpreter := _ask(around, program):
            return interpreter
    raise ToolMissing(("python", "python3"), "its version is part of the key")


def environment_interpreter(around: Surroundings) -> Interpreter:
    """Return the Python that the project's `.venv` belongs to, or will.

    Where there is a `uv.lock`, uv decides which one it will be, else the `PATH` does.

    Raises:
        InterpretersDiffer: the environment is there already, and of another Python.
        ToolMissing: there is neither `python` nor `python3`.
        ToolFailed: no interpreter was found by uv, or it cannot say what it is.
    """
    chosen = _chosen_by_uv(around) or default_interpreter(around)
    # A link that leads nowhere is no program, and its environment is replaced anyway.
    existing = _ask(around, str(around.project / ENVIRONMENT / "bin/python"))
    if existing is not None and existing.name != chosen.name:
        raise InterpretersDiffer(ENVIRONMENT, existing=existing.name, chosen=chosen.name)
    return chosen


def path_by_uv(around: Surroundings) -> str | None:
    """Return the Python that uv uses for the project, or None if there is no uv.

    Raises:
        ToolFailed: uv finds none.
    """
    command = ("uv", "python", "find", "--directory", str(around.project))
    return around.ask_folder(*command, default="") or None


def _chosen_by_uv(around: Surroundings) -> Interpreter | None:
    path = path_by_uv(around) if (around.project / "uv.lock").is_file() else None
    return _ask(around, path) if path else None


def _ask(around: Surroundings, program: str) -> Interpreter | None:
    command = (program, "-I", "-c", _QUESTION)
    lines = around.lines(*command)
    if lines is None:
        return None
    try:
        told = json.loads(lines[-1])
        return Interpreter(
            implementation=told["implementation"],
            release=_release(told["release"]),
            version=told["version"],
            flags=told["flags"],
            prefix=told["prefix"],
        )
    except (IndexError, ValueError, KeyError, TypeError) as exc:
        raise unreadable(command, lines, "what it is") from exc


def _release(parts: Sequence[int | str]) -> str:
    major, minor, micro, level, serial = parts
    stage = _LEVELS.get(str(level))
    return f"{major}.{minor}.{micro}{stage}{serial}" if stage else f"{major}.{minor}.{micro}"
