"""`runcache list` and `delete` beside `gh cache`: the same lines, the same entries gone."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from runcache.locations import SqliteFile
from runcache.testing import LiveServer
from tests.cli.looked_after import Kept, keep
from tests.conformance.programs import found
from tests.server.caretaker import api_token, new_repository

RUNCACHE: Final = (sys.executable, "-m", "runcache.cli.main")
SIZES: Final = (1, 1023, 1024, 3999, 16_000, 1024**2 - 1, 1024**2, 1_200_345)
KEYS: Final = ("a b/+&x=1%2F'ü€😀", "npm-1", "npm-10", "NPM-1", "007", "x", "y", "z")


class Place:
    """A repository with entries, and both programs for it."""

    def __init__(self, server: LiveServer, home: Path) -> None:
        self.repository = new_repository()
        catalog = SqliteFile(server.data / "catalog.sqlite3")
        token = asyncio.run(api_token(catalog, owners=["octo"], can_write=True))
        self._variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "GH_HOST": "github.localhost",
            "GH_REPO": f"github.localhost/{self.repository}",
            "GH_TOKEN": token,
            "GH_TELEMETRY": "false",
            "HTTP_PROXY": server.url.rstrip("/"),
            "RUNCACHE_URL": server.url,
            "RUNCACHE_TOKEN": token,
            "RUNCACHE_REPO": self.repository,
        }
        refs = ("refs/heads/main", "refs/pull/7/merge")
        kept = [
            Kept(key, size_bytes, refs[number % 2], self.repository)
            for number, (key, size_bytes) in enumerate(zip(KEYS, SIZES, strict=True))
        ]
        keep(server.data, kept)

    def gh(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run([str(found("gh")), "cache", *args])

    def runcache(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run([*RUNCACHE, *args])

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self._variables, capture_output=True, text=True, check=False
        )


@pytest.fixture
def place(server: LiveServer, tmp_path: Path) -> Place:
    return Place(server, tmp_path)


def test_lists_are_the_same_to_the_byte(place: Place) -> None:
    for args in (
        (),
        ("--key", "npm-"),
        ("-k", "a b/+"),
        ("--ref", "refs/pull/7/merge", "-S", "size_in_bytes", "-O", "asc", "-L", "3"),
        ("--sort", "created_at", "--order", "asc"),
        ("--ref", "refs/heads/none"),
    ):
        theirs, ours = place.gh("list", *args), place.runcache("list", *args)

        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout), args
        assert ours.stdout or "refs/heads/none" in args


def test_the_same_entries_are_deleted(server: LiveServer, tmp_path: Path, place: Place) -> None:
    other = Place(server, tmp_path)

    for args, code in (
        (("npm-1",), 0),
        (("npm-1",), 1),
        (("NPM-1", "--ref", "refs/heads/main"), 1),
        (("x", "--ref", "refs/pull/7/merge"), 0),
        (("--all", "--ref", "refs/heads/main"), 0),
        (("--all", "--ref", "refs/heads/main"), 1),
        (("--all", "--ref", "refs/heads/main", "--succeed-on-no-caches"), 0),
    ):
        theirs, ours = place.gh("delete", *args), other.runcache("delete", *args)

        assert (theirs.returncode, ours.returncode) == (code, code), (args, theirs, ours)
        assert (theirs.stdout, ours.stdout) == ("", "")
    left, right = place.runcache("list").stdout, other.runcache("list").stdout
    assert [line.split("\t")[1:] for line in left.splitlines()] == [
        line.split("\t")[1:] for line in right.splitlines()
    ]
    assert left
