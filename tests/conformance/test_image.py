"""The steps of the image's Dockerfile, taken on this machine where Docker would take them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest

from tests.conformance.proxies import free_port
from tests.documentation import ROOT

DOCKERFILE: Final = re.sub(r"\\\n", "", (ROOT / "deploy/Dockerfile").read_text())
BUILD, RUNTIME = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[1:]


def instructions(stage: str, name: str) -> list[str]:
    return re.findall(rf"^{name} +(.+)$", stage, re.MULTILINE)


def only(stage: str, name: str) -> str:
    (text,) = instructions(stage, name)
    return text


def context() -> Iterator[str]:
    """Name what `.dockerignore` lets into the build: it ignores all but what it lists."""
    ignored, *listed = (
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"
    )
    assert ignored == "*"
    yield from (line.removeprefix("!") for line in listed if line.startswith("!"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is to the image what `/` is."""
    root = tmp_path_factory.mktemp("image")
    folder = root / only(BUILD, "WORKDIR").lstrip("/")
    allowed = set(context())
    for sources in instructions(BUILD, "COPY"):
        *names, target = sources.split()
        for name in names:
            assert name.rstrip("/").split("/")[0] in allowed, name
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, folder / target, ignore=ignored)
            else:
                shutil.copy(ROOT / name, folder / target)
    for command in instructions(BUILD, "RUN"):
        # Nothing is sent again or compiled, which is a question of time alone.
        here = re.sub(r" --(no-cache(-dir)?|compile-bytecode)(?= )", "", command)
        here = here.replace("/opt/", f"{root}/opt/")
        subprocess.run(["sh", "-euc", here], cwd=folder, check=True)
    return root


def test_nothing_gets_into_the_build_that_is_no_part_of_it() -> None:
    assert set(context()) == {
        name.rstrip("/").split("/")[0]
        for sources in instructions(BUILD, "COPY")
        for name in sources.split()[:-1]
    }
    assert not any(fnmatch(name, pattern) for name in context() for pattern in (".*", "deploy*"))


def test_the_image_serves_as_nobody_in_particular_and_finds_itself_well(
    root: Path, tmp_path: Path
) -> None:
    port = str(free_port())
    variables = dict(re.findall(r"(RUNCACHE_\w+)=(\S+)", only(RUNTIME, "ENV")))
    environment = {
        "PATH": f"{root}/opt/runcache/bin:{os.environ['PATH']}",
        **variables,
        "RUNCACHE_DATA": str(tmp_path / "data"),
        "RUNCACHE_PORT": port,
    }
    words = re.findall(r'"([^"]+)"', f"{only(RUNTIME, 'ENTRYPOINT')} {only(RUNTIME, 'CMD')}")
    check = re.findall(r'"([^"]+)"', only(RUNTIME, "HEALTHCHECK"))[-1].replace("8480", port)

    # As it is, and then as somebody who has said that a proxy is there.
    refused = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    environment["RUNCACHE_BEHIND_PROXY"] = "true"
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == f"serving on http://0.0.0.0:{port}/\n"
        healthy = subprocess.run(["python", "-c", check], env=environment, check=False)
        with urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            ready = answer.status
        server.terminate()

    assert "refusing to listen on `0.0.0.0`" in refused.stderr
    assert (healthy.returncode, ready, server.returncode) == (0, 200, 0)
    assert subprocess.run(["python", "-c", check], env=environment, check=False).returncode == 1
