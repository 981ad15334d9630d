"""Clients that stop in the middle: they are cut off after a minute, and only they."""

import asyncio
import io
import os
import ssl
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from structlog.testing import capture_logs

from runcache.server.context import METRICS
from runcache.server.transfers import STALLED_AFTER_SECONDS
from runcache.wire.twirp import SERVICE_PATH, Method
from tests.faults.raw_job import VERSION, Answer, RawJob
from tests.faults.raw_socket import connect, eventually
from tests.server.certificate import make_certificate
from tests.server.serving import Served, serving

MIB: Final = 1024 * 1024


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_upload_that_stops_is_cut_off_and_its_job_may_try_again(tmp_path: Path) -> None:
    seconds = Seconds()
    async with serving(tmp_path, seconds=seconds) as server, RawJob(server) as job:
        link = await job.upload_link("key")
        async with connect(server.url) as (reader, writer), asyncio.timeout(20):
            writer.write(_put(link, 100) + b"half")
            await _are_running(server, 1)
            seconds.now += STALLED_AFTER_SECONDS - 1
            assert server.wired.transfers.end_stalled() == 0
            seconds.now += 1

            assert server.wired.transfers.end_stalled() == 1

            assert await reader.read() == b""
        await _are_running(server, 0)
        again = await job.put(link, b"whole")
        finalized = await job.finalize("key", 5)

        assert again.status == 201
        assert finalized.body["ok"] is True
        assert await job.content("key") == b"whole"


async def test_a_download_that_stops_is_cut_off_and_the_others_go_on(tmp_path: Path) -> None:
    data = os.urandom(32 * MIB)
    seconds = Seconds()
    async with serving(tmp_path, seconds=seconds) as server, RawJob(server) as job:
        await job.save("key", data)
        link = await job.download_link("key")
        assert link is not None
        async with connect(server.url) as (_, writer), job.session.get(link) as slow:
            writer.write(_get(link))
            await _are_running(server, 2)
            received = await slow.content.readexactly(MIB)

            # Each minute the slow one takes something, and the other nothing.
            async with asyncio.timeout(20):
                while not server.wired.transfers.end_stalled():
                    received += await slow.content.readexactly(MIB)
                    seconds.now += STALLED_AFTER_SECONDS - 1
            await _are_running(server, 1)
            received += await slow.content.read()

        assert received == data
        await _are_running(server, 0)
        assert await job.content("key") == data


async def test_over_tls_both_are_cut_off_as_well(tmp_path: Path) -> None:
    data = os.urandom(32 * MIB)
    seconds = Seconds()
    cert, key = await asyncio.to_thread(make_certificate, tmp_path)
    tls = await asyncio.to_thread(ssl.create_default_context, cafile=cert)
    with capture_logs() as logs:
        async with (
            serving(tmp_path, seconds=seconds, tls_cert=str(cert), tls_key=str(key)) as server,
            RawJob(server) as job,
        ):
            get, put = partial(job.session.get, ssl=tls), partial(job.request, "PUT", ssl=tls)
            link = await _upload_link(job, tls, "key")
            assert (await put(link, data=io.BytesIO(data))).status == 201
            assert (await _call(job, tls, Method.FINALIZE, "key", len(data))).body["ok"] is True
            download = (await _call(job, tls, Method.FIND, "key")).body["signed_download_url"]
            upload = await _upload_link(job, tls, "another")
            url = urlsplit(server.url)

            for request in (_get(download), _put(upload, 100) + b"half"):
                _, writer = await asyncio.open_connection(url.hostname, url.port, ssl=tls)
                writer.write(request)
                await _are_running(server, 1)
                async with asyncio.timeout(20):
                    while not server.wired.transfers.end_stalled():
                        await asyncio.sleep(0.02)
                        seconds.now += STALLED_AFTER_SECONDS
                await _are_running(server, 0)
                writer.transport.abort()

            async with get(download) as response:
                assert await response.read() == data

    assert not any("crashed" in log["event"] for log in logs)


async def test_a_slow_upload_goes_on_as_long_as_it_moves(tmp_path: Path) -> None:
    seconds = Seconds()
    async with serving(tmp_path, seconds=seconds) as server, RawJob(server) as job:
        link = await job.upload_link("key")
        async with connect(server.url) as (reader, writer), asyncio.timeout(20):
            writer.write(_put(link, 10))
            await _are_running(server, 1)
            for count in range(1, 11):
                seconds.now += STALLED_AFTER_SECONDS - 1
                writer.write(b"x")
                await eventually(partial(_has_received, server, count))
                assert server.wired.transfers.end_stalled() == 0
            answer = await reader.readline()

        assert answer.startswith(b"HTTP/1.1 201 ")


async def _upload_link(job: RawJob, tls: ssl.SSLContext, key: str) -> str:
    link = (await _call(job, tls, Method.CREATE, key)).body["signed_upload_url"]
    assert isinstance(link, str)
    return link


async def _call(
    job: RawJob, tls: ssl.SSLContext, method: Method, key: str, size_bytes: int = 0
) -> Answer:
    body = {"key": key, "version": VERSION, "size_bytes": size_bytes}
    return await job.authorized("POST", SERVICE_PATH + method, json=body, ssl=tls)


def _put(link: str, size_bytes: int) -> bytes:
    url = urlsplit(link)
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {size_bytes}\r\n\r\n"
    return head.encode()


def _get(link: str) -> bytes:
    url = urlsplit(link)
    return f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def _are_running(server: Served, count: int) -> None:
    await eventually(lambda: server.wired.transfers.count == count)


def _has_received(server: Served, size_bytes: int) -> bool:
    shown = server.wired.app[METRICS].exposition().decode()
    return f'runcache_transferred_bytes_total{{direction="received"}} {size_bytes}.0' in shown
