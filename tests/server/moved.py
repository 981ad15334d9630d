"""Transfers behind a server of their own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import BinaryIO, Final

from aiohttp import web

from runcache.server.metrics import Metrics
from runcache.server.transfers import MOVED_BYTES, Transfers
from runcache.store.blobs import FileBytes, Piece

KIB: Final = 1024
MIB: Final = 1024 * KIB
HEAD: Final = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seconds:
    """A clock that stands still until it is moved."""

    now: float = 0

    def __call__(self) -> float:
        return self.now


@dataclass
class Moved:
    """Transfers behind a server, their clock and metrics, and what became of each request."""

    seconds: Seconds = field(default_factory=Seconds)
    metrics: Metrics = field(default_factory=Metrics)
    transfers: Transfers = field(init=False)
    ends: list[tuple[type[BaseException] | None, int]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.transfers = Transfers(self.metrics, seconds=self.seconds)

    @asynccontextmanager
    async def served(
        self, handler: Handler, *, certificate: SSLContext | None = None
    ) -> AsyncIterator[None]:
        async def noted(request: web.Request) -> web.StreamResponse:
            error: BaseException | None = None
            try:
                return await handler(request)
            except BaseException as exc:
                error = exc
                raise
            finally:
                self.ends.append((type(error) if error else None, request.get(MOVED_BYTES, 0)))

        app = web.Application()
        app.router.add_route("*", "/", noted)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate).start()
            self.url = "http://{}:{}/".format(*runner.addresses[0])
            yield
        finally:
            await runner.cleanup()

    def sending(self, *pieces: tuple[Path, int, int], announced: int | None = None) -> Handler:
        """Return a handler that sends pieces of files."""

        async def parts() -> AsyncGenerator[Piece, None]:
            for path, offset, count in pieces:
                async with opened(path) as file:
                    yield FileBytes(file, offset, count)

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            total = sum(count for _, _, count in pieces)
            response.content_length = total if announced is None else announced
            return await self.transfers.send(request, response, parts())

        return handler

    def receiving(self, into: bytearray) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            async for data in self.transfers.received(request):
                assert isinstance(data, bytes)
                into.extend(data)
            return web.Response(status=201)

        return handler

    def shown(self, metric: str, direction: str) -> float:
        text = f'runcache_{metric}{{direction="{direction}"}} '
        lines = self.metrics.exposition().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(text)), 0)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[BinaryIO]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        yield file
    finally:
        file.close()
