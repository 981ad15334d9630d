"""Versions of caches (protocol §6)."""

import json
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.javascript import BLANKS
from runcache.versions import cache_version, paths_of_input
from tests.node_batches import answers

# Computed with GitHub's client.
VECTORS: Final = [
    json.loads(line)
    for line in (Path(__file__).parent / "vectors/cache-version.jsonl").read_text().splitlines()
]
SYSTEMS: Final = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}


@pytest.mark.parametrize(
    "vector", VECTORS, ids=lambda vector: "-".join(map(str, vector.values()))[:80]
)
def test_recorded_versions_come_out(vector: dict[str, Any]) -> None:
    system = SYSTEMS[vector["platform"]]

    version = cache_version(vector["paths"], vector["method"], system, vector["cross"])

    assert version == vector["version"]


def test_the_default_is_zstd_on_linux() -> None:
    assert cache_version(["a"]) == cache_version(
        ["a"], "zstd-without-long", "Linux", cross_os=False
    )


def test_only_windows_differs_and_only_without_cross_os() -> None:
    versions = {
        (system, cross): cache_version(["a"], os=system, cross_os=cross)
        for system, cross in product(SYSTEMS.values(), (False, True))
    }

    others = {version for key, version in versions.items() if key != ("Windows", False)}
    assert len(others) == 1
    assert versions["Windows", False] not in others


def test_paths_count_as_they_are_written_and_in_their_order() -> None:
    lists: tuple[list[str], ...] = (
        ["a", "b"],
        ["b", "a"],
        ["a"],
        ["./a"],
        ["a/"],
        ["a", "a"],
        ["~/a"],
        [" a"],
        [],
    )

    assert len({cache_version(paths) for paths in lists}) == len(lists)


def test_a_bar_is_not_told_from_two_paths() -> None:
    assert cache_version(["a|b"]) == cache_version(["a", "b"])


def test_githubs_client_computes_the_same() -> None:
    chance = Random(20_263)
    pieces = [
        "a",
        "node_modules",
        "~/.npm",
        "**",
        "!",
        "|",
        " ",
        "é",
        "日本",
        "😀",
        "\\",
        "\n",
        "\ud83d",
    ]
    calls = [
        (
            [
                "".join(chance.choices(pieces, k=chance.randint(1, 5)))
                for _ in range(chance.randint(0, 4))
            ],
            chance.choice(["zstd-without-long", "zstd", "gzip", None]),
            chance.choice([*SYSTEMS]),
            chance.choice([True, False]),
        )
        for _ in range(300)
    ]

    theirs = answers(
        "cache_utils.mjs",
        (
            {
                "function": "getCacheVersion",
                "platform": platform,
                "arguments": [paths, compression, cross],
            }
            for paths, compression, platform, cross in calls
        ),
    )

    assert [answer["result"] for answer in theirs] == [
        cache_version(paths, compression, SYSTEMS[platform], cross)
        for paths, compression, platform, cross in calls
    ]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\nb\n", ["a", "b"]),
        ("  a  \n\n\t\n b", ["a", "b"]),
        ("a\r\nb", ["a", "b"]),
        ("!  a", ["!a"]),
        ("a\n!\tb", ["a", "!b"]),
        ("! ! a", ["!! a"]),
        # A line that begins with blanks keeps those behind its `!`, unless it is the first.
        ("a\n  ! b", ["a", "! b"]),
        ("  ! b", ["!b"]),
        ("!", ["!"]),
        ("# a", ["# a"]),
        ("a b", ["a b"]),
        ("\ufeffa\x1c", ["a\x1c"]),
    ],
)
def test_the_input_of_the_action_is_cut_into_lines(text: str, paths: list[str]) -> None:
    assert paths_of_input(text) == paths


@given(st.text("ab! \n\t"))
def test_no_path_of_an_input_is_empty_or_has_blanks_around(text: str) -> None:
    for path in paths_of_input(text):
        assert path
        assert path == path.strip(BLANKS)
        assert "\n" not in path
