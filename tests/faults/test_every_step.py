"""A process that dies at any step of a save or a sweep leaves a cache that is whole."""

import asyncio
import itertools
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.disk import is_tidy
from tests.faults.dying import BASE, JOB, KILLED, LIMITS, SAVED, SCENARIOS, live, prepare
from tests.faults.forked import FORKING
from tests.in_process import Cache, Clock, open_cache


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(folder)
    return folder


def die(folder: Path, scenario: str, steps: int) -> bool:
    """Go through a scenario in a process that dies after so many steps; say whether it did."""
    process = FORKING.Process(target=live, args=(folder, scenario, steps))
    process.start()
    process.join()
    assert process.exitcode in {0, KILLED}
    was_killed = process.exitcode == KILLED
    process.close()
    return was_killed


async def restored(cache: Cache, key: str) -> bytes | None:
    """Return an archive, or what the packs of a snapshot hold together."""
    archive = await cache.content(key, grant=JOB)
    if archive is not None:
        return archive
    blobs = await cache.snapshot(key, grant=JOB)
    return None if blobs is None else b"".join(blobs[1:])


async def saved_keys(cache: Cache) -> set[str]:
    return {entry.key for entry in await cache.service.newest(JOB, "", limit=99)}


async def check(folder: Path) -> set[str]:
    """See that the cache is whole, and tidy once it was swept; return the keys that it had."""
    clock = Clock(Clock().now_ms + timedelta(days=3) // timedelta(milliseconds=1))
    async with open_cache(folder, clock=clock, limits=LIMITS) as cache:
        at_first = await saved_keys(cache)
        contents = {**SAVED, "base": BASE, "key": b"whole"}
        for key in at_first:
            assert await restored(cache, key) == contents[key]
        report = await cache.maintenance.check(read_data=True)
        assert [problem for problem in report.problems if problem.kind != "orphan"] == []

        if "key" not in at_first:
            await cache.save("key", b"whole", grant=JOB)
        assert await restored(cache, "key") == b"whole"
        await cache.maintenance.settle()
        await cache.maintenance.prune()

        assert (await cache.maintenance.check(read_data=True)).problems == []
    assert is_tidy(folder)
    return at_first


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whenever_a_process_dies_the_cache_is_whole(
    prepared: Path, tmp_path: Path, scenario: str
) -> None:
    # Entries come and go at one step each: there is no state in between.
    states: list[set[str]] = []
    for steps in itertools.count():
        folder = tmp_path / f"{steps}"
        shutil.copytree(prepared, folder)

        was_killed = die(folder, scenario, steps)

        states.append(asyncio.run(check(folder)))
        shutil.rmtree(folder)
        if not was_killed:
            break
    changes = [after for before, after in itertools.pairwise(states) if before != after]
    assert states[0] == {*SAVED, "base"}
    assert len(changes) <= 2
    if scenario == "expire":
        assert states[-1] == {*SAVED, "base"}
    else:
        assert "key" in states[-1]
    assert ("old" in states[-1]) is (scenario != "save_and_sweep")
    assert ("base" in states[-1]) is (scenario != "save_snapshot_of_evicted")
