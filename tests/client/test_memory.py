"""What a machine remembers of the entries that it saved and restored."""

import os
import time
from pathlib import Path

import pytest

from runcache.client.memory import Memory

HERE, THERE = Path("/srv/one"), Path("/srv/other")


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "bases", "https://cache.test")


def test_the_last_entry_is_remembered(memory: Memory) -> None:
    memory.note("v", HERE, 7)
    memory.note("v", HERE, 9)

    assert memory.entry("v", HERE) == 9


def test_other_paths_folders_and_servers_have_others(memory: Memory, tmp_path: Path) -> None:
    memory.note("v", HERE, 7)

    assert memory.entry("w", HERE) is None
    assert memory.entry("v", THERE) is None
    assert Memory(tmp_path / "bases", "https://other.test").entry("v", HERE) is None
    assert Memory(tmp_path / "bases", "https://cache.test").entry("v", HERE) == 7


def test_what_cannot_be_written_down_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    memory = Memory(tmp_path / "file" / "bases", "https://cache.test")

    memory.note("v", HERE, 7)

    assert memory.entry("v", HERE) is None


@pytest.mark.parametrize("text", ["", "seven", "-1", "9" * 40, "\xff"])
def test_what_makes_no_sense_is_not_remembered(memory: Memory, tmp_path: Path, text: str) -> None:
    memory.note("v", HERE, 7)
    (file,) = (tmp_path / "bases").iterdir()
    file.write_text(text, "latin-1")

    assert memory.entry("v", HERE) is None


def test_what_was_not_needed_for_long_is_forgotten(memory: Memory, tmp_path: Path) -> None:
    memory.note("old", HERE, 7)
    (old,) = (tmp_path / "bases").iterdir()
    long_ago = time.time() - 100 * 24 * 3600
    os.utime(old, (long_ago, long_ago))

    memory.note("new", HERE, 9)

    assert memory.entry("old", HERE) is None
    assert memory.entry("new", HERE) == 9
