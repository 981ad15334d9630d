"""Several servers over one database and one store, and what spreads jobs over them."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runcache.testing import LiveServer

LOOK_EVERY_SECONDS: Final = 0.1
_BUFFER_BYTES: Final = 256 * 1024


class Replicas:
    """Starts replicas, which have a signing key in common. Their methods block.

    Attributes:
        running: those that were started, the oldest first; tests stop or kill them as they like.
        key_file: their signing key.
    """

    def __init__(
        self, folder: Path, *, catalog: str, store: str, environ: Mapping[str, str]
    ) -> None:
        self.running: list[LiveServer] = []
        self.key_file = folder / "signing.keys"
        self.key_file.write_text(secrets.token_hex(32))
        self._folder = folder
        self._settings = {"catalog": catalog, "store": store}
        self._environ = environ

    def start(self, **settings: str) -> LiveServer:
        """Start one more."""
        server = LiveServer(
            self._folder / f"replica{len(self.running)}",
            environ=self._environ,
            **self._settings | {"signing_key_file": str(self.key_file)} | settings,
        )
        self.running.append(server)
        return server


@contextmanager
def replicas(
    folder: Path,
    *,
    catalog: str,
    store: str,
    environ: Mapping[str, str],
    count: int = 2,
    **settings: str,
) -> Iterator[Replicas]:
    """Start replicas, and kill all that still run at the end of the block."""
    started = Replicas(folder, catalog=catalog, store=store, environ=environ)
    try:
        for _ in range(count):
            started.start(**settings)
        yield started
    finally:
        for server in started.running:
            server.kill()


class Balancer:
    """Passes connections on to servers in turn, as a proxy in front of replicas does.

    Those that do not say that they are ready get no new connection, and where one cannot be reached
    the next one is tried.

    Attributes:
        url: where it listens, with a final slash.
        servers: the addresses of the servers, which tests may change at any time.
        ready: those that were ready when they were asked last.
    """

    def __init__(self, servers: list[str]) -> None:
        self.url = ""
        self.servers = servers
        self.ready: list[str] = []
        self._next = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Balancer"]:
        """Listen until the end of the block."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}/"
        await self._look()
        looking = asyncio.create_task(self._look_again_and_again())
        try:
            yield self
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            server.close()

    async def _look(self) -> None:
        servers = list(self.servers)
        answers = zip(servers, await asyncio.gather(*map(_is_ready, servers)), strict=True)
        self.ready = [server for server, is_ready in answers if is_ready]

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            await self._look()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reached = await self._reached()
            if reached is not None:
                there, back = reached
                with suppress(ConnectionError):
                    await asyncio.gather(_copy(reader, back), _copy(there, writer))
                back.close()
        finally:
            writer.close()

    async def _reached(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in range(len(self.ready)):
            self._next += 1
            url = urlsplit(self.ready[self._next % len(self.ready)])
            with suppress(OSError):
                return await asyncio.open_connection(url.hostname, url.port)
        return None


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_BUFFER_BYTES):
            target.write(data)
            await target.drain()
    finally:
        # What ends on one side ends on the other; nobody here sends on after an end.
        target.close()


async def _is_ready(server: str) -> bool:
    url = urlsplit(server)
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            with closing(writer):
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"HTTP/1.1 200 ")
