"""Each fault of each engine, at each thing that is done with it: how it ends, and how soon."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, closing, suppress
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from runcache.circuits import Circuit
from runcache.errors import CatalogUnavailable, StoreFull, StoreUnavailable
from runcache.locations import Bucket, parse_store
from runcache.store import layout
from runcache.store.guarded import Patience
from runcache.store.guarded_direct import GuardedDirect
from runcache.store.s3_connection import S3Connection
from runcache.store.s3_direct import S3Direct
from runcache.testing import FaultProxy
from runcache.testing.faults import (
    Cut,
    Drip,
    Fault,
    HalfOpen,
    HttpError,
    Latency,
    Refusal,
    Reset,
    Throttle,
)
from tests.engines.postgres import Postgres
from tests.engines.seaweedfs import SeaweedFS
from tests.faults.away import PATIENT, PAUSE, SHORT, Remote, Through, opened, through, until

HOUR: Final = timedelta(hours=1)
DATA: Final = bytes(range(256)) * 8192
EVERYWHERE: Final = (Latency(10), HalfOpen(), Reset(), Refusal(), Drip(0.2))
OF_HTTP: Final = (HttpError(500), HttpError(503, code="SlowDown"), HttpError(403, code="Odd"))
CASES: Final = [
    *(("catalog", fault) for fault in EVERYWHERE),
    *(("store", fault) for fault in (*EVERYWHERE, *OF_HTTP)),
]
# What the time-outs here allow, and a machine that does ten other things.
SOON: Final = PATIENT / 2


@pytest.fixture(scope="module")
def proxies(postgres: Postgres, seaweedfs: SeaweedFS) -> Iterator[tuple[FaultProxy, FaultProxy]]:
    bucket = urlsplit(seaweedfs.endpoint)
    assert bucket.hostname is not None
    assert bucket.port is not None
    with (
        FaultProxy("127.0.0.1", postgres.port) as catalog,
        FaultProxy(bucket.hostname, bucket.port) as store,
    ):
        yield catalog, store


@pytest.fixture
def where(
    proxies: tuple[FaultProxy, FaultProxy],
    postgres_url: str,
    s3_store_url: str,
    s3_credentials: None,  # noqa: ARG001  -- it is for its effect
) -> Through:
    return through(*proxies, postgres_url, s3_store_url)


@pytest.fixture
async def remote(where: Through) -> AsyncIterator[Remote]:
    async with opened(where) as remote:
        yield remote


async def outcome(act: Awaitable[Any]) -> tuple[Any, float]:
    """Return what came of it, and how long that took."""
    begun = time.monotonic()
    try:
        result = await act
    except (CatalogUnavailable, StoreUnavailable, StoreFull) as exc:
        result = type(exc)
    return result, time.monotonic() - begun


@pytest.mark.parametrize(("part", "fault"), CASES)
async def test_everything_ends_in_time_and_goes_on_when_the_fault_is_over(
    part: str, fault: Fault, where: Through, remote: Remote
) -> None:
    async with AsyncExitStack() as stack:
        patient = await stack.enter_async_context(remote.service())
        blob = await patient.save("saved", DATA)
        writing, whole = await patient.reserve("writing"), await patient.reserve("whole")
        await patient.block(whole, DATA)
        await patient.cache.order_blocks(whole.blob, ["one"])
        # Each has to find out for itself.
        own = [await stack.enter_async_context(remote.service(tired_of=part)) for _ in range(6)]

        with where.proxies[part].injected(fault):
            ended = await asyncio.gather(
                outcome(own[0].look_up("saved")),
                outcome(own[1].reserve("another")),
                outcome(own[2].block(writing, DATA)),
                outcome(own[3].commit(whole, len(DATA))),
                outcome(own[4].download(blob)),
                outcome(own[5].list()),
            )

        looked_up, reserved, written, committed, downloaded, listed = (what for what, _ in ended)
        assert max(seconds for _, seconds in ended) < SOON
        assert looked_up is None
        assert downloaded != DATA
        if part == "catalog":
            assert {reserved, written, committed, downloaded, listed} == {CatalogUnavailable}
        else:
            assert (written, downloaded) == (StoreUnavailable, StoreUnavailable)
            assert committed is None
            assert "saved" in listed

        await until(lambda: patient.look_up("saved"))
        assert await patient.download(blob) == DATA
        assert await patient.download(await patient.save("after", DATA)) == DATA
        # What was cut off in the middle of a commit is an entry, or none.
        if name := await patient.look_up("whole"):
            assert await patient.download(name) == DATA


@pytest.mark.parametrize("part", ["catalog", "store"])
async def test_an_engine_that_is_away_is_not_asked_again_and_again(
    part: str, where: Through, remote: Remote
) -> None:
    proxy = where.proxies[part]
    async with remote.service() as service:
        await service.save("saved", DATA)
        with proxy.injected(Reset()):
            for _ in range(5):
                assert await service.look_up("saved") is None
            connections, begun = proxy.accepted, time.monotonic()
            ended = [await outcome(service.look_up("saved")) for _ in range(100)]
            pauses = (time.monotonic() - begun) / PAUSE + 1
            connections = proxy.accepted - connections

    assert {found for found, _ in ended} == {None}
    assert sorted(seconds for _, seconds in ended)[50] < PAUSE / 2
    # An attempt at most in each pause, which the engine's own client repeats.
    assert connections <= 6 * pauses


@pytest.mark.parametrize(
    "fault",
    [
        HttpError(507, methods=frozenset({"PUT", "POST"}), code="InsufficientStorage"),
        HttpError(403, methods=frozenset({"PUT", "POST"}), code="QuotaExceeded"),
    ],
)
async def test_a_bucket_without_room_is_a_full_store(
    fault: Fault, where: Through, remote: Remote
) -> None:
    async with remote.service() as service:
        blob = await service.save("saved", DATA)
        upload = await service.reserve("writing")

        with where.store.injected(fault):
            with pytest.raises(StoreFull):
                await service.block(upload, DATA)
            assert await service.look_up("saved") == blob
            assert await service.download(blob) == DATA

        # Nobody has to wait for the end of an upload that was refused.
        assert await service.save("writing", DATA)


@pytest.mark.parametrize("fault", [Cut(after_bytes=1_000_000), Throttle(200_000)])
async def test_a_download_that_breaks_in_the_middle_ends(
    fault: Fault, where: Through, remote: Remote
) -> None:
    async with remote.service() as patient, remote.service(tired_of="store") as service:
        blob = await patient.save("saved", DATA)
        with where.store.injected(fault), suppress(StoreUnavailable):
            async with asyncio.timeout(SOON):
                # The engine's client may begin again behind what came.
                assert await service.download(blob) == DATA

        assert await patient.download(blob) == DATA


async def test_who_asks_a_silent_store_what_is_there_keeps_nobody_from_a_link(
    where: Through,
) -> None:
    bucket = parse_store(where.store_url)
    assert isinstance(bucket, Bucket)
    circuit = Circuit("store", StoreUnavailable, pause_seconds=PAUSE)
    blob, part = layout.new_blob_name(), layout.new_part_name()
    with closing(S3Direct(await S3Connection.opened(bucket))) as unguarded:
        direct = GuardedDirect(unguarded, circuit, Patience(whole_seconds=SHORT))
        with where.store.injected(HalfOpen()):
            asked = asyncio.gather(*(outcome(direct.stat(blob, part)) for _ in range(20)))
            async with asyncio.timeout(SOON):
                (link,) = await direct.download_urls([(blob, part)], expires_in=HOUR)
                ended = await asked
        await until(lambda: _is_there_again(direct, blob, part))
        await circuit.close()

    assert f"/{part}?" in link
    assert {result for result, _ in ended} == {StoreUnavailable}


async def _is_there_again(direct: GuardedDirect, blob: str, part: str) -> bool:
    found, _ = await outcome(direct.stat(blob, part))
    return found is None
