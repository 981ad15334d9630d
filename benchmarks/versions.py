"""How much twenty versions of real dependencies take: a virtual environment and a `node_modules`.

Both come from the registries that uv and npm are set up for. One package after the other is
upgraded, and each state is saved under a key of its own on the same machine, as the branches of a
project do. What counts are the bytes that the server keeps for all twenty, beside those of the
first: archives would need twenty times as many.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.machine import wait_until_idle
from benchmarks.programs import Job, Ours
from benchmarks.report import Figure, Section, at_most
from benchmarks.usage import stored_bytes
from runcache.testing.live_server import LiveServer
from tests.genuine import find_node, find_npm

TARGET: Final = at_most(2)
QUICK_VERSIONS: Final = 4

PYTHON_PACKAGES: Final = """
    boto3 1.40.0 1.40.50, certifi 2025.8.3 2025.10.5, click 8.2.1 8.3.0, cryptography 46.0.1 46.0.3,
    django 5.2.5 5.2.7, fastapi 0.116.1 0.118.0, flask 3.1.1 3.1.2, httpx 0.28.0 0.28.1,
    jinja2 3.1.5 3.1.6, lxml 6.0.1 6.0.2, mypy 1.18.1 1.18.2, numpy 2.3.3 2.3.4,
    pillow 12.0.0 12.1.0, pydantic 2.12.0 2.12.3, pytest 8.4.1 8.4.2, requests 2.32.3 2.32.5,
    rich 14.1.0 14.2.0, sqlalchemy 2.0.43 2.0.44, sympy 1.13.3 1.14.0
"""
NODE_PACKAGES: Final = """
    @babel/core 7.24.0 7.24.4, axios 1.6.7 1.6.8, commander 12.0.0 12.1.0, d3 7.8.4 7.8.5,
    date-fns 3.5.0 3.6.0, eslint 8.56.0 8.57.0, express 4.18.2 4.19.2, jest 29.6.4 29.7.0,
    lodash 4.17.20 4.17.21, moment 2.29.3 2.29.4, prettier 3.2.4 3.2.5, react 18.2.0 18.3.1,
    react-dom 18.2.0 18.3.1, rxjs 7.8.0 7.8.1, sass 1.71.0 1.72.0, typescript 5.4.2 5.4.5,
    uuid 9.0.0 9.0.1, vue 3.4.20 3.4.21, zod 3.22.3 3.22.4
"""


@dataclass(frozen=True, slots=True)
class _Package:
    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of dependencies, and how packages get into its folder, as `name` and version."""

    name: str
    packages: Sequence[_Package]
    install: Callable[[Path, Path, Sequence[tuple[str, str]]], None]


class _Offline(Exception):
    """The packages cannot be had."""


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure both; files in `folder` take up to 2 GB."""
    notes, figures = [], []
    for kind in KINDS:
        upgrades = kind.packages[: QUICK_VERSIONS - 1 if quick else None]
        try:
            first_bytes, all_bytes = _save_versions(folder / kind.name, kind, upgrades)
        except _Offline as exc:
            notes.append(f"left out `{kind.name}`, for want of a registry: {exc}")
            continue
        figures.append(
            Figure(
                name=f"{len(upgrades) + 1} versions of `{kind.name}`, of one",
                value=all_bytes / 1e6,
                unit="MB",
                yardstick=first_bytes / 1e6,
                ratio=all_bytes / first_bytes,
                target=TARGET,
            )
        )
    return Section("versions: bytes stored for all, and for the first", notes, figures)


def _save_versions(folder: Path, kind: _Kind, upgrades: Sequence[_Package]) -> tuple[int, int]:
    """Return the bytes that the server keeps after the first version, and after all of them."""
    repository = f"octo/{kind.name.strip('.')}"
    folder.mkdir()
    with LiveServer(folder / "data", repo_limit="100GB") as server:
        token = server.job_token(repository=repository)
        job = Job(server.url, token, folder / "workspace", folder / "home")
        job.environment()
        kind.install(job.cached, folder / "packages", [(p.name, p.first) for p in kind.packages])
        Ours().save(job, "version 0")
        first_bytes = stored_bytes(server, repository)
        for number, package in enumerate(upgrades, start=1):
            kind.install(job.cached, folder / "packages", [(package.name, package.second)])
            Ours().save(job, f"version {number}")
        wait_until_idle([server.process.pid])
        all_bytes = stored_bytes(server, repository)
    shutil.rmtree(folder)
    return first_bytes, all_bytes


def _install_python(folder: Path, packages: Path, versions: Sequence[tuple[str, str]]) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    if not folder.exists():
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
    _run(
        *(uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")),
        # Files of their own with bytecode, as pip leaves them.
        *("--cache-dir", str(packages), "--link-mode", "copy", "--compile-bytecode"),
        *("--only-binary", ":all:", *(f"{name}=={version}" for name, version in versions)),
    )


def _install_node(folder: Path, packages: Path, versions: Sequence[tuple[str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    _run(
        *(*find_npm(), "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"),
        *("--prefix", str(folder), "--cache", str(packages), "--prefer-offline", "--save-exact"),
        *(f"{name}@{version}" for name, version in versions),
    )


def _run(*command: str) -> None:
    path = f"{find_node().parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise _Offline(said[-1] if said else f"`{command[0]}` ended with {ran.returncode}")


def _packages(text: str) -> list[_Package]:
    return [_Package(*row.split()) for row in text.split(",")]


KINDS: Final = (
    _Kind(".venv", _packages(PYTHON_PACKAGES), _install_python),
    _Kind("node_modules", _packages(NODE_PACKAGES), _install_node),
)
