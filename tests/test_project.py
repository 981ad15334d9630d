"""What must hold for the project as a whole."""

import asyncio
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

import pytest
from blockbuster import BlockingError

import runcache

ROOT = Path(__file__).parent.parent
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))

# Written so that this file does not match itself.
REGISTRY_HOST = re.compile(r"//[a-z.]*(?:npmj[s]|pythonhoste[d]|pyp[i])\.")
MACHINE_PATH = re.compile(r"(?:^|[^\w.])/(?:wor[k]|roo[t]|bash_job[s])/", re.MULTILINE)


def committed_files() -> Iterator[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("needs a git checkout")
    for name in listing.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file():
            yield path


def pinned(requirements: Path) -> dict[str, list[str]]:
    """Return each `name==version` of a file with its hashes."""
    hashes: dict[str, list[str]] = {}
    for line in requirements.read_text().splitlines():
        if match := re.match(r"([a-z0-9-]+==\S+)", line):
            hashes[match[1]] = []
        elif "--hash=" in line:
            hashes[next(reversed(hashes))].append(line)
    return hashes


def test_every_public_name_can_be_imported() -> None:
    names = [runcache.__name__]
    names += [module.name for module in pkgutil.walk_packages(runcache.__path__, "runcache.")]

    for name in names:
        if "migrations" not in name.split("."):
            module = importlib.import_module(name)
            for public in getattr(module, "__all__", ()):
                assert hasattr(module, public), f"{name}.{public}"


def test_the_installed_version_is_the_one_in_the_source() -> None:
    assert version("runcache") == runcache.__version__


def test_no_file_names_a_registry_host_or_a_path_of_a_machine() -> None:
    for path in committed_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        for pattern in (REGISTRY_HOST, MACHINE_PATH):
            found = pattern.search(text)
            assert found is None, f"{path.relative_to(ROOT)}: {found[0] if found else ''}"


@pytest.mark.parametrize("requirements", REQUIREMENTS, ids=lambda path: path.stem)
def test_every_requirement_is_pinned_with_hashes(requirements: Path) -> None:
    text = requirements.read_text()
    lines = [line for line in text.splitlines() if not line.startswith((" ", "#"))]

    assert lines
    assert len(pinned(requirements)) == len(lines)
    assert all(pinned(requirements).values())
    assert "://" not in text


def test_the_development_environment_serves_with_the_same_releases() -> None:
    development = pinned(ROOT / "requirements/dev.txt")

    assert pinned(ROOT / "requirements/runtime.txt").keys() <= development.keys()
    assert pinned(ROOT / "requirements/build.txt").keys() <= development.keys()


def test_the_node_packages_are_locked_without_naming_a_registry() -> None:
    lock = json.loads((ROOT / "tests/node/package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert {f"node_modules/cache-{generation}" for generation in ("v3", "v4", "v6")} <= set(
        packages
    )
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert "integrity" in package, name


def test_every_ignored_lint_rule_has_its_reason() -> None:
    settings = (ROOT / "pyproject.toml").read_text()
    lint = tomllib.loads(settings)["tool"]["ruff"]["lint"]
    rules = set(lint["ignore"]).union(*lint["per-file-ignores"].values())

    for rule in rules:
        assert re.search(rf'"{rule}", +# \w', settings), rule


async def test_a_blocking_call_of_ours_in_the_event_loop_is_an_error(tmp_path: Path) -> None:
    nap = as_if_ours(lambda: time.sleep(0.001))
    write = as_if_ours(lambda: (tmp_path / "x").write_bytes(b"x"))

    for call in (nap, write):
        with pytest.raises(BlockingError):
            call()
        await asyncio.to_thread(call)
    time.sleep(0.001)  # noqa: ASYNC251  -- a test may


def as_if_ours(function: Callable[[], object]) -> Callable[[], object]:
    """Return `function` as if it stood in a module of runcache."""
    assert isinstance(function, FunctionType)
    module = str(Path(runcache.__file__).with_name("example.py"))
    code = function.__code__.replace(co_filename=module)
    return FunctionType(code, function.__globals__, closure=function.__closure__)


@pytest.mark.parametrize(
    ("reason", "ci", "exit_code"),
    [
        ("needs a C compiler", "true", pytest.ExitCode.TESTS_FAILED),
        ("needs a C compiler", "", pytest.ExitCode.OK),
        ("needs more file descriptors than 4096", "true", pytest.ExitCode.OK),
    ],
)
def test_a_skip_that_ci_does_not_expect_fails_there(
    tmp_path: Path, reason: str, ci: str, exit_code: pytest.ExitCode
) -> None:
    example = tmp_path / "test_example.py"
    example.write_text(
        f"import pytest\n\ndef test_skipped() -> None:\n    pytest.skip({reason!r})\n"
    )

    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(example)],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == exit_code, run.stdout
    assert reason in run.stdout
