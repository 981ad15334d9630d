"""Machines that are written down: what they are, and what their programs answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from runcache.errors import CacheError
from runcache.presets.machine import Machine
from runcache.presets.surroundings import Surroundings

# What a program prints, how it fails, or what it makes of the folder that it is run in.
Answer = str | CacheError | Callable[[Path], str]

UBUNTU: Final = {"ID": "ubuntu", "VERSION_ID": "24.04", "VERSION_CODENAME": "noble"}
HOME: Final = Path("/home/runner")


def machine(
    answers: Mapping[str, Answer] | None = None,
    *,
    os: str = "Linux",
    arch: str = "x64",
    kernel: str = "6.11.0-1018-azure",
    environment: Mapping[str, str] | None = None,
    release: Mapping[str, str] = UBUNTU,
) -> Machine:
    """Return a machine like GitHub's, whose only programs are those of `answers`.

    A program is named by the beginning of its command line.
    """

    def run(command: Sequence[str], folder: Path, /) -> str | None:
        line = " ".join(command)
        for beginning, answer in (answers or {}).items():
            if line.startswith(beginning):
                if isinstance(answer, CacheError):
                    raise answer
                return answer if isinstance(answer, str) else answer(folder)
        return None

    return Machine(
        os=os,
        arch=arch,
        kernel=kernel,
        home=HOME,
        environment=environment or {},
        release=release,
        run=run,
    )


def macos(answers: Mapping[str, Answer] | None = None) -> Machine:
    """Return an Apple machine with macOS 15."""
    return machine(answers, os="macOS", arch="arm64", kernel="24.6.0", release={})


def around(project: Path, answers: Mapping[str, Answer] | None = None) -> Surroundings:
    """Return a project on a machine like GitHub's."""
    return Surroundings(project, machine(answers))


def python_that_is(
    version: str = "3.12.7",
    *,
    implementation: str = "cpython",
    release: Sequence[int | str] = (3, 12, 7, "final", 0),
    flags: str = "",
    prefix: str = "/opt/hostedtoolcache/Python/3.12.7/x64",
) -> str:
    """Return what an interpreter answers that is asked what it is."""
    return json.dumps(
        {
            "implementation": implementation,
            "release": list(release),
            "version": version,
            "flags": flags,
            "prefix": prefix,
        }
    )
