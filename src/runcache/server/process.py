"""The server as a process: its socket, its signals, and its drain."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from runcache.config import Settings
from runcache.errors import InvalidSettings
from runcache.server.answers import unreadable
from runcache.server.app import Wired, wired
from runcache.server.logs import configure_logs

BACKLOG: Final = 4096
# Ten keys of 512 characters, percent-encoded, are a long request line.
MAX_HEAD_LINE_BYTES: Final = 64 * 1024
# What the kernel delivers while a thread writes: more costs memory, less costs speed.
READ_BUFFER_BYTES: Final = 1024 * 1024
IDLE_SECONDS: Final = 75
SWITCH_SECONDS: Final = 0.0005
# An upload in blocks is between two requests for less than this.
UPLOAD_PAUSE_SECONDS: Final = 5
_DRAIN_LOOK_EVERY_SECONDS: Final = 0.05

# Our own line a request replaces it: this one would show links with their signatures.
_NO_ACCESS_LOG: Final = logging.getLogger("runcache.no-access-log")
_NO_ACCESS_LOG.disabled = True
_log = structlog.get_logger("runcache.server")


class Connection(web.RequestHandler):
    """A connection whose unreadable requests are answered in our own form."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002  -- the error says more
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  -- see below
    ) -> web.StreamResponse:
        """Answer what never became a request, or what failed beyond every handler.

        `message` is not used: it quotes the request, tokens included.
        """
        if not isinstance(exc, HttpProcessingError | ConnectionError):
            _log.error("request.crashed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("half of the answer is already sent")
        return unreadable(exc)


async def serve(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let running transfers end and refuse new uploads.

    `announce` gets the address once clients can connect.
    """
    configure_logs(settings.log_level)
    # A lookup goes from the loop to the catalog's thread and back: with Python's own 5 ms each of
    # them waits that long for a busy other one. 600 → 725 lookups/s.
    sys.setswitchinterval(SWITCH_SECONDS)
    _raise_descriptor_limit()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with wired(settings) as server, listening(settings, server) as address:
        # What is there now stays to the end: the collector need not look through it each time.
        gc.collect()
        gc.freeze()
        announce(address)
        await stop.wait()
        await _drain(server, settings.drain_for.total_seconds(), stop)


@asynccontextmanager
async def listening(settings: Settings, server: Wired) -> AsyncIterator[str]:
    """Accept connections, and yield the address; on the way out end all of them."""
    tls = await asyncio.to_thread(_tls, settings)
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        listener = await asyncio.get_running_loop().create_server(
            lambda: _connection(runner),
            sock=_bound_socket(settings),
            ssl=tls,
            backlog=BACKLOG,
        )
        try:
            host, port = listener.sockets[0].getsockname()[:2]
            scheme = "https" if settings.tls_cert else "http"
            yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def _connection(runner: web.AppRunner) -> Connection:
    assert runner.server is not None  # noqa: S101  -- setup() has run
    return Connection(
        runner.server,
        loop=asyncio.get_running_loop(),
        access_log=_NO_ACCESS_LOG,
        keepalive_timeout=IDLE_SECONDS,
        max_line_size=MAX_HEAD_LINE_BYTES,
        max_field_size=MAX_HEAD_LINE_BYTES,
        read_bufsize=READ_BUFFER_BYTES,
        auto_decompress=False,
    )


async def _drain(server: Wired, drain_for_seconds: float, stop: asyncio.Event) -> None:
    server.service.drain()
    stop.clear()
    _log.info("draining", transfers=server.transfers.count)
    deadline = asyncio.get_running_loop().time() + drain_for_seconds
    while server.transfers.count or server.service.uploads_in_flight(
        within_seconds=UPLOAD_PAUSE_SECONDS
    ):
        # A second signal does not wait.
        if stop.is_set() or asyncio.get_running_loop().time() >= deadline:
            _log.warning("drain.cut_short", transfers=server.transfers.count)
            return
        await asyncio.sleep(_DRAIN_LOOK_EVERY_SECONDS)
    _log.info("drained")


def _bound_socket(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as exc:
        listener.close()
        message = f"cannot listen on `{settings.host}:{settings.port}`: {exc.strerror}"
        raise InvalidSettings(
            message, hint="name another `--port`, or end what listens there"
        ) from exc
    return listener


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as exc:
        message = f"`tls_cert` and `tls_key` cannot be used: {exc.strerror or exc}"
        raise InvalidSettings(message) from exc
    return context


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
