"""`runcache version-of`."""

import json
import sys

import pytest

from runcache.versions import cache_version
from tests.cli.conftest import Runcache

# Computed with GitHub's client, as `tests/vectors` has them.
NODE_MODULES = "7fcda33c1e1d849a13bcc06f49b9ab64efc01ca9dabe4d7a8d0d387feef4fc88"
WITH_GZIP = "470e252814dbffc9524891b17cf4e5749b26c1b5026e63dd3f00972db2393117"
ON_WINDOWS = "809ada9ac328ef09e7a0035d561946e904cc9cb3e1af153caf2fb96ccee78675"


@pytest.mark.parametrize(
    ("options", "version"),
    [
        ([], NODE_MODULES),
        (["--compression", "zstd"], NODE_MODULES),
        (["--compression", "gzip"], WITH_GZIP),
        (["--os", "Linux"], NODE_MODULES),
        (["--os", "macOS"], NODE_MODULES),
        (["--os", "Windows"], ON_WINDOWS),
        (["--os", "Windows", "--cross-os"], NODE_MODULES),
        (["--cross-os"], NODE_MODULES),
    ],
    ids="-".join,
)
def test_the_version_is_printed(runcache: Runcache, options: list[str], version: str) -> None:
    ended = runcache("version-of", "--path", "node_modules", *options)

    assert (ended.code, ended.out, ended.err) == (0, f"{version}\n", "")


def test_paths_may_be_several_options_or_lines(runcache: Runcache) -> None:
    options = runcache("version-of", "--path", "~/.npm", "--path", "!  dist")
    lines = runcache("version-of", "--path", "\n  ~/.npm\n!  dist\n\n")

    assert options.out == lines.out == f"{cache_version(['~/.npm', '!dist'])}\n"


def test_json_says_what_went_into_it(runcache: Runcache) -> None:
    ended = runcache("version-of", "--path", "a\nb", "--json")

    system = {"linux": "Linux", "darwin": "macOS"}[sys.platform]
    assert json.loads(ended.out) == {
        "version": cache_version(["a", "b"]),
        "paths": ["a", "b"],
        "compression": "zstd-without-long",
        "os": system,
        "cross_os": False,
    }


@pytest.mark.parametrize("args", [(), ("--path", " \n "), ("--path", "a", "--os", "linux")])
def test_without_a_path_or_for_another_system_it_is_wrong_usage(
    runcache: Runcache, args: tuple[str, ...]
) -> None:
    ended = runcache("version-of", *args)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
