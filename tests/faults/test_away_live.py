"""What clients and operators see while an engine is away, with the patience that servers have."""

import asyncio
import json
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from runcache.testing import FaultProxy, LiveServer
from runcache.testing.faults import HalfOpen, Refusal
from runcache.testing.live_server import COMMAND
from tests.engines.postgres import Postgres
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS
from tests.faults.away import Through, through, until
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import eventually
from tests.genuine import Outcome, Verb, run_client

DATA: Final = bytes(range(256)) * 4096
LIST: Final = "/repos/octo/hello/actions/caches"
# Two seconds, and next to nothing. A machine that does ten other things lets some lookups wait: of
# several, half take no longer, or one.
TWO_SECONDS: Final = 2.5
AT_ONCE: Final = 1.0
# GitHub's client repeats what it takes for passing for half a minute.
NO_STORM_SECONDS: Final = 20


@pytest.fixture(scope="module")
def where(postgres: Postgres, seaweedfs: SeaweedFS) -> Iterator[Through]:
    bucket = urlsplit(seaweedfs.endpoint)
    assert bucket.hostname is not None
    assert bucket.port is not None
    with (
        postgres.database() as catalog_url,
        FaultProxy("127.0.0.1", postgres.port) as catalog,
        FaultProxy(bucket.hostname, bucket.port) as store,
    ):
        yield through(catalog, store, catalog_url, seaweedfs.store_url(uuid.uuid4().hex))


@pytest.fixture(scope="module")
def server(where: Through, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(
        tmp_path_factory.mktemp("away") / "data",
        environ=ENVIRONMENT,
        catalog=where.catalog_url,
        store=where.store_url,
    )
    yield server
    # A drain would wait for the uploads that tests gave up.
    server.kill()


@pytest.fixture(scope="module")
def api_token(server: LiveServer) -> str:
    return server.api_token("octo/hello")


@pytest.fixture
async def job(server: LiveServer, where: Through) -> AsyncIterator[RawJob]:
    async with RawJob(server) as job:
        # A test without a job may have left an engine taken for away.
        await until_ready(job)
        yield job
        for proxy in where.proxies.values():
            proxy.heal()
        await until_ready(job)


async def until_ready(job: RawJob) -> None:
    async def is_ready() -> bool:
        return (await readiness(job))[0] == 200

    await until(is_ready)


async def readiness(job: RawJob) -> tuple[int, dict[str, Any]]:
    answer = await job.request("GET", job.url + "/readyz")
    return answer.status, answer.body


def told(server: LiveServer, event: str, **facts: str) -> int:
    """Return how many lines of the log are of this event and have these facts."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return sum(line["event"] == event and facts.items() <= line.items() for line in lines)


async def taken_for_away(job: RawJob, part: str) -> None:
    """Look up until nobody waits for this part any more."""
    took_seconds = []
    for _ in range(20):
        begun = time.monotonic()
        assert (await job.find("saved")).body == {"ok": False}
        took_seconds.append(time.monotonic() - begun)
        if (await readiness(job))[1].get(part) == f"the {part} is away":
            assert median(took_seconds) < TWO_SECONDS
            return
    raise AssertionError("it is asked again and again")


@pytest.mark.parametrize("part", ["catalog", "store"])
async def test_lookups_are_misses_within_two_seconds_and_then_at_once(
    part: str, where: Through, server: LiveServer, job: RawJob
) -> None:
    assert (await job.save(f"saved-{part}", DATA)).status == 200
    other = await job.save("saved", DATA)
    assert other.status in {200, 409}
    before = told(server, "engine.away", part=part), told(server, "engine.back", part=part)

    with where.proxies[part].injected(HalfOpen()):
        await taken_for_away(job, part)
        for find in (job.find, job.find_v1):
            took_seconds = []
            for _ in range(3):
                begun = time.monotonic()
                answer = await find("saved")
                took_seconds.append(time.monotonic() - begun)
                assert answer.status in {200, 204}
                assert answer.body in ({"ok": False}, b"", "")
            assert min(took_seconds) < AT_ONCE
        assert (await job.request("GET", job.url + "/healthz")).status == 200
        status, failing = await readiness(job)
        assert status == 503
        assert failing.keys() == {"status", part}
        metrics = (await job.request("GET", job.url + "/metrics")).body
        assert f'runcache_engine_away{{part="{part}"}} 1.0' in metrics

    await until(lambda: job.download_link(f"saved-{part}"))
    assert await job.content(f"saved-{part}") == DATA
    await until_ready(job)
    metrics = (await job.request("GET", job.url + "/metrics")).body
    assert f'runcache_engine_away{{part="{part}"}} 0.0' in metrics
    assert f'runcache_degraded_lookups_total{{part="{part}"}} 0.0' not in metrics
    after = told(server, "engine.away", part=part), told(server, "engine.back", part=part)
    assert after == (before[0] + 1, before[1] + 1)


async def test_a_task_tells_of_a_catalog_that_is_away_once(
    where: Through, server: LiveServer, job: RawJob
) -> None:
    def times(event: str) -> int:
        return told(server, event, task="write_records")

    # What an earlier test has put into its way is over.
    await eventually(lambda: times("background.failed") == times("background.recovered"))
    before = times("background.failed")
    while times("background.failed") == before:
        where.catalog.heal()
        while (await readiness(job))[0] != 200:
            pass
        # Written down within half a second, most likely not before the catalog is away.
        await job.find("absent")
        where.catalog.inject(Refusal())
        with suppress(TimeoutError):
            await eventually(lambda: times("background.failed") > before, within_seconds=5)

    for _ in range(3):
        await taken_for_away(job, "catalog")
    where.catalog.heal()
    await eventually(lambda: times("background.recovered") > before)

    assert times("background.failed") == before + 1


async def test_each_dialect_says_in_its_own_way_that_the_catalog_is_away(
    where: Through, job: RawJob, api_token: str
) -> None:
    await job.save("linked", DATA)
    upload, download = await job.upload_link("begun"), await job.download_link("linked")
    assert download is not None

    with where.catalog.injected(Refusal()):
        await taken_for_away(job, "catalog")
        reserved = await job.reserve("new")
        put = await job.put(upload, DATA)
        got = await job.request("GET", download)
        older = await job.reserve_v1("new")
        listed = await job.request(
            "GET", job.url + LIST, headers={"Authorization": f"Bearer {api_token}"}
        )
        page = await job.request("GET", job.url + "/ui/octo/hello/caches", allow_redirects=True)

    assert reserved.status == 200
    assert reserved.body["ok"] is False
    assert reserved.body["message"].startswith("the catalog is away; try it again")
    assert (put.status, put.azure_error()) == (502, "ServerBusy")
    assert (got.status, got.azure_error()) == (500, "ServerBusy")
    assert (older.status, older.message()) == (500, "the catalog is away")
    assert listed.status == 503
    assert "`/readyz` tells" in listed.message()
    assert page.status < 500  # a visitor is asked to sign in


async def test_an_upload_that_has_arrived_survives_a_catalog_that_starts_again(
    where: Through, job: RawJob
) -> None:
    link = await job.upload_link("sent")
    await job.put_block(link, "one", DATA)

    with where.catalog.injected(Refusal()):
        await taken_for_away(job, "catalog")
        ordering = asyncio.create_task(job.put_block_list(link, ["one"]))
        await asyncio.wait((ordering,), timeout=0.1)
    assert (await ordering).status == 201
    with where.catalog.injected(Refusal()):
        await taken_for_away(job, "catalog")
        finalizing = asyncio.create_task(job.finalize("sent", len(DATA)))
        await asyncio.wait((finalizing,), timeout=0.1)
    assert (await finalizing).body["ok"] is True

    await until(lambda: job.download_link("sent"))
    assert await job.content("sent") == DATA


async def test_saves_into_a_store_that_is_away_fail_before_a_byte_is_sent(
    where: Through, job: RawJob
) -> None:
    await job.save("saved", DATA)
    with where.store.injected(Refusal()):
        await taken_for_away(job, "store")
        reserved = await job.reserve("new")

    assert reserved.body["ok"] is False
    assert reserved.body["message"].startswith("the store is away; ")


@pytest.mark.parametrize("part", ["catalog", "store"])
async def test_the_genuine_client_gives_up_soon_and_says_why(
    part: str, where: Through, server: LiveServer, job: RawJob, tmp_path: Path
) -> None:
    await job.save("saved", DATA)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "file").write_bytes(DATA)

    async def run(verb: Verb) -> Outcome:
        return await run_client(
            "v6",
            verb,
            url=server.url,
            token=server.job_token(),
            workspace=tmp_path / "work",
            home=tmp_path / "home",
            temp=tmp_path / "temp",
            paths=["file"],
            key="saved" if verb == "restore" else f"of-{part}",
        )

    begun = time.monotonic()
    with where.proxies[part].injected(Refusal()):
        restored, saved = await asyncio.gather(run("restore"), run("save"))
    assert time.monotonic() - begun < NO_STORM_SECONDS

    assert restored.error is None
    assert restored.result is None
    assert saved.error is None
    assert saved.result == -1
    assert f"the {part} " in saved.log
    assert "Retrying" not in restored.log + saved.log


@pytest.mark.parametrize("part", ["catalog", "store"])
def test_a_server_does_not_start_without_its_engines_and_says_so(
    part: str, where: Through, tmp_path: Path
) -> None:
    command = (
        *(*COMMAND, "serve", "--port", "0", "--data", str(tmp_path)),
        *("--store", where.store_url),
    )
    environment = {**ENVIRONMENT, "HOME": str(tmp_path), "RUNCACHE_CATALOG": where.catalog_url}
    with where.proxies[part].injected(Refusal()):
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )

    assert ended.returncode == 1
    assert f"error: the {part} " in ended.stderr
    assert "\nhint: " in ended.stderr
    assert "correct-horse" not in ended.stderr
    assert "Traceback" not in ended.stderr
