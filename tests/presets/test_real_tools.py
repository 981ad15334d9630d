"""Real package managers, each asked in a project and with a home of its own, without a network.

What a preset names is compared with where the tool then puts things.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runcache.errors import ToolFailed
from runcache.presets import Machine, Recipe, read_machine, resolve
from tests.conformance.programs import found
from tests.genuine import NODE_FOLDER, find_node, find_npm

PACKAGES = NODE_FOLDER / "node_modules"
PYTHON_PROJECT = '[project]\nname = "hello"\nversion = "1"\nrequires-python = ">=3.11"\n'
BACKEND = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
bypass-selection = true
"""
SOURCE = '[project]\nname = "dependency"\nversion = "1.0"\n' + BACKEND
METADATA = "Metadata-Version: 2.1\nName: dependency\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True)
class Desk:
    """A project, a home, and programs that know of nothing else."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}/bin{os.pathsep}{sys.prefix}/bin{os.pathsep}{os.defpath}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "CI": "true",
            # Yarn 1 takes folders of the system for root, unless root is not a real one.
            "FAKEROOTKEY": "1",
            "YARN_ENABLE_NETWORK": "0",
            "YARN_ENABLE_TELEMETRY": "0",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_OFFLINE": "1",
        }

    @property
    def machine(self) -> Machine:
        return read_machine(self.environ)

    def write(self, **contents: str) -> None:
        """Write files of the project; a `_` in a name stands for a dot."""
        for name, content in contents.items():
            (self.project / name.replace("_", ".")).write_text(content)

    def have(self, name: str, *command: str | Path) -> None:
        """Put a command on the `PATH` under a name of its own."""
        words = " ".join(f"'{word}'" for word in command)
        launcher = self.folder / "bin" / name
        launcher.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        launcher.chmod(0o755)

    def run(self, *command: str) -> str:
        """Run a command in the project, and return what it prints."""
        done = subprocess.run(
            command,
            cwd=self.project,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def recipe(self, preset: str) -> Recipe:
        (recipe,) = resolve(preset, project=self.project, machine=self.machine)
        return recipe


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a desk with the Node that the tests use, and with nothing in the project."""
    made = Desk(tmp_path)
    for name in ("project", "home", "bin"):
        (tmp_path / name).mkdir()
    made.have("node", find_node())
    return made


def npm(desk: Desk) -> None:
    desk.have("npm", *find_npm())


def yarn_classic(desk: Desk) -> None:
    desk.have("yarn", find_node(), PACKAGES / "yarn-classic/bin/yarn.js")


def yarn_berry(desk: Desk) -> None:
    desk.have("yarn", find_node(), PACKAGES / "yarn-berry/bin/yarn.js")


def pnpm(desk: Desk) -> None:
    desk.have("pnpm", find_node(), PACKAGES / "pnpm/bin/pnpm.cjs")


def node_package(folder: Path) -> Path:
    """Pack a package that has nothing but a name."""
    return packed(
        folder / "dependency.tgz", "package/package.json", '{"name":"dep","version":"1.0.0"}'
    )


def packed(archive: Path, name: str, content: str) -> Path:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    with tarfile.open(archive, "w:gz") as file:
        file.addfile(member, io.BytesIO(content.encode()))
    return archive


def contents(folder: Path) -> set[str]:
    """Return the names of all files below a folder, which need not be there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("preset", "install", "lock", "add"),
    [
        ("npm", npm, "package-lock.json", ("npm", "cache", "add", "{}", "--offline")),
        ("yarn", yarn_classic, "yarn.lock", ("yarn", "add", "file:{}", "--offline")),
        ("yarn", yarn_berry, "yarn.lock", ("yarn", "add", "dep@file:{}")),
        ("pnpm", pnpm, "pnpm-lock.yaml", ("pnpm", "add", "{}", "--offline")),
    ],
    ids=["npm", "yarn-1", "yarn-berry", "pnpm"],
)
def test_a_package_manager_of_node_fills_the_folder_that_its_preset_names(
    desk: Desk, preset: str, install: Callable[[Desk], None], lock: str, add: tuple[str, ...]
) -> None:
    install(desk)
    desk.write(package_json=json.dumps({"name": "hello", "version": "1.0.0", "private": True}))
    (desk.project / lock).touch()
    (path,) = desk.recipe(preset).paths
    before = contents(Path(path))

    archive = node_package(desk.folder)
    desk.run(*(word.format(archive) for word in add))

    assert path.startswith(f"{desk.home}/")
    assert contents(Path(path)) > before


def test_a_cache_that_the_project_has_configured_is_found(desk: Desk) -> None:
    npm(desk)
    pnpm(desk)
    desk.write(package_json="{}", _npmrc=f"cache={desk.folder}/own npm\n")
    desk.write(**{"package-lock_json": "{}", "pnpm-lock_yaml": ""})
    (desk.project / "pnpm-workspace.yaml").write_text(f"storeDir: {desk.folder}/own-pnpm\n")

    assert desk.recipe("npm").paths == (f"{desk.folder}/own npm",)
    assert desk.recipe("pnpm").paths == (f"{desk.folder}/own-pnpm/v10",)


@pytest.mark.parametrize("is_global", [True, False])
def test_yarn_berry_restores_an_older_cache_only_if_the_project_has_its_own(
    desk: Desk, *, is_global: bool
) -> None:
    yarn_berry(desk)
    desk.write(package_json="{}", yarn_lock="")
    desk.write(_yarnrc_yml=f"enableGlobalCache: {str(is_global).lower()}\n")

    recipe = desk.recipe("yarn")

    begin = f"node-cache-{desk.machine.os}-{desk.machine.arch}-yarn"
    own = str(desk.project.resolve() / ".yarn/cache")
    assert recipe.restore_keys == (() if is_global else (begin,))
    assert (recipe.paths == (own,)) is not is_global
    assert recipe.key.startswith(f"{begin}-")


def test_a_tool_that_cannot_read_its_settings_is_an_error_that_says_why(desk: Desk) -> None:
    yarn_berry(desk)
    desk.write(package_json="{}", yarn_lock="", _yarnrc_yml="noSuchSetting: 1\n")

    with pytest.raises(ToolFailed, match=r"ended with status 1: .*Usage Error.*noSuchSetting"):
        desk.recipe("yarn")


def test_pip_puts_what_it_has_built_where_its_preset_says(desk: Desk) -> None:
    desk.write(requirements_txt="dependency")
    recipe = desk.recipe("pip")
    packed(desk.folder / "dependency-1.0.tar.gz", "dependency-1.0/pyproject.toml", SOURCE)
    before = contents(Path(recipe.paths[0]))

    desk.run("pip", "wheel", "--no-build-isolation", "--find-links", str(desk.folder), "dependency")

    built = contents(Path(recipe.paths[0])) - before
    assert [Path(name).name for name in built if name.endswith(".whl")] == [
        "dependency-1.0-py2.py3-none-any.whl"
    ]
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"-python-{version}-pip" in recipe.restore_keys[0]


def test_pip_without_a_cache_is_an_error_that_says_so(desk: Desk) -> None:
    desk.write(requirements_txt="dependency")
    environ = desk.environ | {"PIP_NO_CACHE_DIR": "1"}

    with pytest.raises(ToolFailed, match="cache is disabled"):
        resolve("pip", project=desk.project, machine=read_machine(environ))


def test_uv_puts_what_it_has_unpacked_where_its_preset_says(desk: Desk) -> None:
    found("uv")
    desk.write(uv_lock="")
    recipe = desk.recipe("uv")
    wheel = desk.folder / "dependency-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("dependency-1.0.dist-info/METADATA", METADATA)
        archive.writestr("dependency-1.0.dist-info/WHEEL", WHEEL)
        archive.writestr("dependency-1.0.dist-info/RECORD", "")

    desk.run("uv", "pip", "install", "--target", "packages", str(wheel))

    assert recipe.paths == (desk.run("uv", "cache", "dir"),)
    assert any("dependency-1.0.dist-info" in name for name in contents(Path(recipe.paths[0])))
    python = desk.run(desk.run("uv", "python", "find"), "--version").removeprefix("Python ")
    assert f"-{python}-" in recipe.key


def test_pipenv_makes_environments_where_its_preset_says(desk: Desk) -> None:
    found("pipenv")
    desk.write(Pipfile_lock="{}", Pipfile="[packages]\n")
    (path,) = desk.recipe("pipenv").paths

    desk.run("pipenv", "--python", sys.executable)

    assert Path(desk.run("pipenv", "--venv")).parent == Path(path)


@pytest.mark.parametrize("in_project", [False, True])
def test_poetry_makes_environments_where_its_preset_says(desk: Desk, *, in_project: bool) -> None:
    found("poetry")
    desk.write(pyproject_toml=PYTHON_PROJECT, poetry_lock="")
    if in_project:
        desk.write(poetry_toml="[virtualenvs]\nin-project = true\n")
    paths = desk.recipe("poetry").paths

    desk.run("poetry", "env", "use", sys.executable)

    environment = Path(desk.run("poetry", "env", "info", "--path"))
    own = desk.project.resolve() / ".venv"
    assert paths[0] == f"{desk.home}/.cache/pypoetry/virtualenvs"
    assert paths[1:] == ((str(own),) if in_project else ())
    assert environment == own if in_project else environment.parent == Path(paths[0])


def test_an_environment_keeps_its_key_when_it_is_made(desk: Desk) -> None:
    desk.write(pyproject_toml=PYTHON_PROJECT)
    before = desk.recipe("venv")

    desk.run("python", "-m", "venv", "--without-pip", ".venv")
    after = desk.recipe("venv")
    # Activated, it is the Python in use.
    desk.have("python", desk.project / ".venv/bin/python")
    activated = desk.recipe("venv")

    assert before == after == activated
    assert before.paths == (f"{desk.project.resolve()}/.venv",)
