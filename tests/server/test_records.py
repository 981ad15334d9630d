"""What a server remembers of the jobs that ask it, and of what it does by itself."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from runcache.access import scopes_for
from runcache.locations import SqliteFile
from runcache.records import EventKind
from runcache.server.context import JOB_TOKENS, METRICS, RECORDS
from runcache.service.records import NOTED_AT_MOST
from runcache.wire import native as wire
from tests.catalog.facts import query
from tests.faults.native_job import SNAPSHOT, NativeJob
from tests.faults.raw_socket import eventually
from tests.in_process import REPOSITORY
from tests.server.serving import Served, serving

# Longer than any of it takes, for machines that are busy.
PATIENCE_SECONDS: Final = 10
KIB: Final = 1024
PULL: Final = "refs/pull/7/merge"


def job_of_a_pull_request(server: Served) -> NativeJob:
    scopes = scopes_for(ref=PULL, base_ref="main")
    token = server.wired.app[JOB_TOKENS].mint(
        repository=REPOSITORY,
        scopes=scopes,
        ttl=timedelta(hours=1),
        ref=PULL,
        event="pull_request",
    )
    return NativeJob(server, token=token)


async def test_what_a_job_does_is_told_within_a_second(server: Served, tmp_path: Path) -> None:
    records = server.wired.app[RECORDS]
    async with job_of_a_pull_request(server) as job:
        assert (await job.lookup("deps-1")).body == {"hit": False}
        await job.save_snapshot("deps-1", b"pack")
        found = await job.lookup("deps-1")
        await job.get(found.body["blobs"][0]["url"])

        await wait_for(tmp_path, 4)

    told = await records.events(None, limit=10)
    at = {event.kind.value: event.at for event in told}
    assert len(told) == 4
    assert at["miss"] <= at["saved"] <= at["hit"] <= at["restored"]
    assert {event.by for event in told} == {f"job {PULL}, pull_request", None}


async def wait_for(folder: Path, count: int) -> None:
    """Return once there are so many events."""
    await eventually(
        lambda: (
            query(SqliteFile(folder / "catalog.sqlite3"), "SELECT count(*) FROM events")
            == [(count,)]
        ),
        within_seconds=PATIENCE_SECONDS,
    )


async def test_what_a_client_says_of_its_paths_is_the_origin_of_the_entry(server: Served) -> None:
    inputs = {"paths": ["deps", "!deps/x"], "compression": "c", "system": "Linux", "cross_os": True}
    async with job_of_a_pull_request(server) as job:
        reserved = await job.authorized(
            "POST", wire.UPLOADS_PATH, json={"key": "k", "version": SNAPSHOT, "inputs": inputs}
        )
        upload_id = reserved.body["upload_id"]
        await job.put_manifest(upload_id)
        await job.commit(upload_id, [])

    origin = await server.wired.app[RECORDS].origin(upload_id)

    assert origin is not None
    assert (origin.ref, origin.event, origin.format) == (PULL, "pull_request", "snapshot")
    assert origin.paths == ("deps", "!deps/x")
    assert (origin.compression, origin.system, origin.cross_os) == ("c", "Linux", True)


@pytest.mark.parametrize("inputs", [17, [], {"paths": "deps"}, {"cross_os": "no"}, {"system": 1}])
async def test_inputs_that_are_none_are_refused(server: Served, inputs: object) -> None:
    async with job_of_a_pull_request(server) as job:
        body = {"key": "k", "version": SNAPSHOT, "inputs": inputs}
        refused = await job.authorized("POST", wire.UPLOADS_PATH, json=body)

    assert refused.status == 400


async def test_a_base_that_is_read_is_not_restored(server: Served) -> None:
    records = server.wired.app[RECORDS]
    async with job_of_a_pull_request(server) as job:
        await job.save_snapshot("deps-1", b"pack")
        reserved = await job.reserve_snapshot("deps-2", "auto")
        (base,) = reserved.body["bases"]
        assert await job.get(base["blobs"][0]["url"])
        await records.write()

        assert await records.events(None, kinds=[EventKind.RESTORED], limit=10) == []


async def test_what_was_looked_up_last_is_told_after_the_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, NativeJob(server) as job:
        await job.lookup("deps-1")

    async with serving(tmp_path) as server:
        told = await server.wired.app[RECORDS].events(None, limit=10)

    assert [(event.kind, event.key) for event in told] == [(EventKind.MISS, "deps-1")]


async def test_an_eviction_is_told_with_the_save_that_caused_it(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, repo_limit="100KiB", sweep_every="1d") as server,
        NativeJob(server) as job,
    ):
        await job.save("old", bytes(60 * KIB))
        await job.save("new", bytes(60 * KIB))
        records = server.wired.app[RECORDS]
        await wait_for(tmp_path, 3)

        evicted, new, _ = await records.events(None, limit=10)

    assert (evicted.kind, evicted.key, evicted.reason) == (EventKind.EVICTED, "old", "repo_limit")
    assert (evicted.limit, evicted.by) == (100 * KIB, f"entry {new.entry_id}")


async def test_lookups_that_are_dropped_are_counted(server: Served) -> None:
    records = server.wired.app[RECORDS]
    for _ in range(NOTED_AT_MOST + 17):
        records.restored("blob")

    await eventually(
        lambda: b"runcache_unrecorded_lookups_total 17.0" in server.wired.app[METRICS].exposition(),
        within_seconds=PATIENCE_SECONDS,
    )


async def test_the_blob_of_an_archive_is_read_in_ranges_and_restored_once(server: Served) -> None:
    records = server.wired.app[RECORDS]
    async with NativeJob(server) as job:
        await job.save("key", b"0123456789")
        link = await job.download_link("key")
        assert link is not None
        for span in ("bytes=5-9", "bytes=0-4", "bytes=0-0"):
            await job.request("GET", link, headers={"Range": span})
        await records.write()

    (restored,) = await records.events(None, kinds=[EventKind.RESTORED], limit=10)
    assert restored.key == "key"
