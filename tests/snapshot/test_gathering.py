"""Small files that are gathered for a crew."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from runcache.progress import Silence
from runcache.snapshot.crew import Crew
from runcache.snapshot.drafts import Draft
from runcache.snapshot.gathering import Gatherer
from runcache.snapshot.limits import KIB
from runcache.snapshot.packs import Packer
from runcache.snapshot.reading import Item, Reading, Task
from runcache.snapshot.scan import describe
from tests.snapshot.packs_in_memory import MemorySink

# 100 files of 100 KiB are some twenty frames.
FILES = 100
FILE_BYTES = 100 * KIB


def items_in(folder: Path) -> Iterator[Item]:
    random = Random(1)
    for number in range(FILES):
        file = folder / f"{number:03}"
        file.write_bytes(random.randbytes(FILE_BYTES))
        yield Item(describe(0, bytes(file.name, "ascii"), bytes(file), os.lstat(file)))


def gather(folder: Path, reading: Reading, work: Callable[[Task], None]) -> None:
    """Let a thread that does `work` have all files."""
    with Crew[Task]("save", 1, lambda: work) as crew:
        gatherer = Gatherer(reading, crew)
        for item in items_in(folder):
            gatherer.add(item)
        gatherer.finish()


def test_who_gathers_waits_for_a_slow_crew_and_loses_nothing(tmp_path: Path) -> None:
    drafts: set[int] = set()
    size_bytes = 0
    reading = Reading({}, Packer(MemorySink()), 3, Silence(), print)

    def take(task: Task) -> None:
        nonlocal size_bytes
        assert isinstance(task, Draft)
        drafts.add(id(task))
        size_bytes += len(task.taken()[1])
        reading.free_drafts.append(task)

    gather(tmp_path, reading, take)

    assert size_bytes == FILES * FILE_BYTES
    assert len(drafts) <= 8


def test_who_gathers_waits_for_no_crew_that_has_failed(tmp_path: Path) -> None:
    reading = Reading({}, Packer(MemorySink()), 3, Silence(), print)

    def fail(_: Task) -> None:
        raise OSError("no space is left")

    with pytest.raises(OSError, match="no space"):
        gather(tmp_path, reading, fail)
