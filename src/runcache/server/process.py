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
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from runcache.config import Settings
from runcache.errors import InvalidSettings
from runcache.server.answers import unreadable
from runcache.server.app import Wired, wired
from runcache.server.keys import SigningKey, key_of
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


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a worker has from its parent: `lifeline` is a pipe that ends when the parent does."""

    key: SigningKey
    listener: socket.socket
    lifeline: int


async def serve(
    settings: Settings, *, announce: Callable[[str], None], inherited: Inherited | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then let running transfers end and refuse new uploads.

    `announce` gets the address once clients can connect. A worker without its parent ends at once.

    Raises:
        InvalidSettings, CatalogUnavailable, StoreUnavailable: it cannot serve.
    """
    configure_logs(settings.log_level)
    # A lookup goes from the loop to the catalog's thread and back: with Python's own 5 ms each of
    # them waits that long for a busy other one. 600 → 725 lookups/s.
    sys.setswitchinterval(SWITCH_SECONDS)
    _raise_descriptor_limit()
    stop, orphaned = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Ctrl-C reaches a worker as well as its parent, which passes it on.
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if inherited else stop.set)
    if inherited is not None:
        _watch(inherited.lifeline, stop, orphaned)
    key = inherited.key if inherited else await asyncio.to_thread(key_of, settings)
    with inherited.listener if inherited else bound_socket(settings) as listener:
        async with (
            wired(settings, key) as server,
            listening(settings, server, listener) as listening_at,
        ):
            # What is there now stays to the end: the collector need not look through it each time.
            gc.collect()
            gc.freeze()
            announce(listening_at.url)
            await stop.wait()
            if not orphaned.is_set():
                await _leave(server, settings, stop, end_idle=listening_at.end_idle)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens, with a final slash, and how to end connections that do nothing."""

    url: str
    end_idle: Callable[[], None]


@asynccontextmanager
async def listening(
    settings: Settings, server: Wired, listener: socket.socket
) -> AsyncIterator[Listening]:
    """Accept connections; on the way out end all of them."""
    tls = await asyncio.to_thread(_tls, settings)
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        accepting = await asyncio.get_running_loop().create_server(
            lambda: _connection(runner), sock=listener, ssl=tls, backlog=BACKLOG
        )
        try:
            host, port = listener.getsockname()[:2]
            scheme = "https" if settings.tls_cert else "http"
            url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
            assert runner.server is not None  # noqa: S101  -- setup() has run
            yield Listening(url, runner.server.pre_shutdown)
        finally:
            accepting.close()
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


async def _leave(
    server: Wired, settings: Settings, stop: asyncio.Event, *, end_idle: Callable[[], None]
) -> None:
    """Say that this server is about to go, and go once nobody needs it; a second `stop` is enough.

    Until a proxy in front has noticed it does everything as ever: no request shall fail.
    """
    server.service.leave()
    stop.clear()
    if settings.drain_after:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.drain_after.total_seconds())
            return
        # Of those that were used meanwhile, each has ended with its answer.
        end_idle()
    await _drain(server, settings.drain_for.total_seconds(), stop)


async def _drain(server: Wired, drain_for_seconds: float, stop: asyncio.Event) -> None:
    server.service.drain()
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


def _watch(lifeline: int, stop: asyncio.Event, orphaned: asyncio.Event) -> None:
    """Set both when the other end of a pipe, to which nobody ever writes, is gone."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(lifeline)
        orphaned.set()
        stop.set()

    loop.add_reader(lifeline, end)


def bound_socket(settings: Settings) -> socket.socket:
    """Return a socket for the address of a server, which does not listen yet.

    Raises:
        InvalidSettings: something else listens there, or there is no such address.
    """
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
