"""How much memory the server holds when many clients are slow at once.

32 uploads of 1 GiB trickle in, each until a part of it has arrived, and then hold still; meanwhile
32 readers take 1 GiB entries a little at a time. Memory is that of the server's one process:
`VmRSS` at the start, `VmHWM` (the peak) at the end. Then, without a target, a new server takes 32
uploads as fast as they come.
"""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.jobs import Job, block_ids, put_block_list, put_blocks
from benchmarks.machine import peak_resident_bytes, resident_bytes, wait_until_idle
from benchmarks.report import Figure, Section, at_most
from runcache.testing.live_server import LiveServer

MIB: Final = 1024 * 1024
MB: Final = 1_000_000
CLIENTS: Final = 32
ENTRY_BYTES: Final = 1024 * MIB
BLOCKS: Final = 16
RECEIVED_BYTES: Final = 64 * MIB
QUICK_RECEIVED_BYTES: Final = 8 * MIB
# 64 KiB each 20 ms: 3 MiB/s a client, 100 MiB/s in all, in either direction.
PIECE_BYTES: Final = 64 * 1024
PAUSE_SECONDS: Final = 0.02
HOLD_SECONDS: Final = 5
LIMIT: Final = at_most(200)


@dataclass(frozen=True, slots=True)
class _Found:
    start_bytes: int
    peak_bytes: int


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure both loads; files in `folder` take up to 4 GiB."""
    received_bytes = QUICK_RECEIVED_BYTES if quick else RECEIVED_BYTES
    payload = folder / "payload"
    with payload.open("wb") as file:
        for _ in range(ENTRY_BYTES // MIB):
            file.write(bytes(MIB))
    slow = _slow(folder, payload, received_bytes)
    fast = _fast(folder, received_bytes)
    notes = (
        f"uploads of {ENTRY_BYTES // MIB} MiB, {received_bytes // MIB} MiB of each received",
        f"slow clients move {PIECE_BYTES // 1024} KiB every {PAUSE_SECONDS * 1000:.0f} ms",
    )
    return Section(
        "memory: VmRSS at the start, VmHWM at the end",
        notes,
        (
            Figure(name="a new server", value=slow.start_bytes / MB, unit="MB"),
            Figure(
                name=f"{CLIENTS} trickling uploads and {CLIENTS} slow readers",
                value=slow.peak_bytes / MB,
                unit="MB",
                target=LIMIT,
            ),
            Figure(name=f"{CLIENTS} uploads at full speed", value=fast.peak_bytes / MB, unit="MB"),
        ),
    )


def _slow(folder: Path, payload: Path, received_bytes: int) -> _Found:
    with _server(folder) as server:
        start_bytes = resident_bytes(server.process.pid)
        job = Job.at(server)
        # Two entries, since a link and a blob may be shared by readers, or not.
        downloads = [_save(job, f"entry {number}", payload) for number in range(2)]
        wait_until_idle([server.process.pid])
        uploads = [job.reserve(f"upload {number}") for number in range(CLIENTS)]
        asyncio.run(_trickle(uploads, downloads, received_bytes))
        return _Found(start_bytes, peak_resident_bytes(server.process.pid))


def _fast(folder: Path, received_bytes: int) -> _Found:
    with _server(folder) as server:
        start_bytes = resident_bytes(server.process.pid)
        uploads = [Job.at(server).reserve(f"upload {number}") for number in range(CLIENTS)]
        asyncio.run(_flood(uploads, received_bytes))
        return _Found(start_bytes, peak_resident_bytes(server.process.pid))


async def _trickle(uploads: list[str], downloads: list[str], received_bytes: int) -> None:
    uploaded = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        readers = [
            group.create_task(_read_slowly(downloads[number % len(downloads)], uploaded))
            for number in range(CLIENTS)
        ]
        async with asyncio.TaskGroup() as writers:
            for link in uploads:
                writers.create_task(_upload(link, received_bytes, PAUSE_SECONDS))
        uploaded.set()
        for reader in readers:
            await reader


async def _flood(uploads: list[str], received_bytes: int) -> None:
    async with asyncio.TaskGroup() as group:
        for link in uploads:
            group.create_task(_upload(link, received_bytes, 0))


async def _upload(link: str, received_bytes: int, pause_seconds: float) -> None:
    """Send the head and the first bytes of an upload, then hold still, then go away."""
    async with _connected(link) as (connection, target):
        loop = asyncio.get_running_loop()
        head = f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {ENTRY_BYTES}\r\n\r\n"
        await loop.sock_sendall(connection, head.encode())
        piece = bytes(PIECE_BYTES)
        for _ in range(received_bytes // PIECE_BYTES):
            await loop.sock_sendall(connection, piece)
            await asyncio.sleep(pause_seconds)
        await asyncio.sleep(HOLD_SECONDS)


async def _read_slowly(link: str, end: asyncio.Event) -> None:
    """Take an entry a little at a time until `end`."""
    async with _connected(link) as (connection, target):
        loop = asyncio.get_running_loop()
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await loop.sock_sendall(connection, head.encode())
        first = await loop.sock_recv(connection, PIECE_BYTES)
        if int(first.split(None, 2)[1]) != HTTPStatus.OK:
            message = f"the server answered {first[:200]!r}"
            raise RuntimeError(message)
        while not end.is_set():
            if not await loop.sock_recv(connection, PIECE_BYTES):
                message = "a download ended early"
                raise RuntimeError(message)
            await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def _connected(link: str) -> AsyncIterator[tuple[socket.socket, str]]:
    url = urlsplit(link)
    with socket.socket() as connection:
        # The kernel shall not hold for the client what the client does not take.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE_BYTES)
        connection.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connection, (url.hostname, url.port))
        yield connection, f"{url.path}?{url.query}"


def _save(job: Job, key: str, payload: Path) -> str:
    link, ids = job.reserve(key), block_ids(BLOCKS)
    put_blocks(link, payload, ids, lanes=1)
    put_block_list(link, ids)
    job.finalize(key, payload.stat().st_size)
    return job.find(key)


@contextmanager
def _server(folder: Path) -> Iterator[LiveServer]:
    data = folder / "data"
    try:
        with LiveServer(data, repo_limit="100GB") as server:
            yield server
    finally:
        shutil.rmtree(data, ignore_errors=True)
