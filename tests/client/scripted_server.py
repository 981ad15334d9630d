"""An HTTP server that answers as a test wants it to, in all the ways in which a real one fails."""

import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from runcache.client.connections import Connections
from runcache.client.transfer import Patience, Requests


@dataclass(frozen=True)
class Request:
    """What came, down to the connection that it came on, by number."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True)
class Reply:
    """What is answered. Each way to fail has its field.

    Attributes:
        cut_after: hang up after so many bytes of the body.
        stall_after: say nothing more after so many bytes, until the client hangs up.
        reset: whether to hang up without any answer.
        silent: whether to say nothing at all, until the client hangs up.
        chunked: whether only the end of the connection tells that of the body.
        close: whether to hang up afterwards.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    stall_after: int | None = None
    reset: bool = False
    silent: bool = False
    chunked: bool = False
    close: bool = False


RESET = Reply(reset=True)
SILENCE = Reply(silent=True)


class ScriptedServer:
    """Answers with `answer`, a thread for each connection, and keeps what came in `requests`.

    `is_stalled` is set once it says nothing more to somebody.
    """

    def __init__(
        self, answer: Callable[[Request], Reply], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.connections = itertools.count()
        self.is_stalled = threading.Event()
        self._server = _Listener(self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, scripted: ScriptedServer) -> None:
        self.scripted = scripted
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up, be it in the middle of a handshake."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def __getattr__(self, name: str) -> Callable[[], None]:
        # Whatever the method is, `do_GET` or another.
        if name.startswith("do_"):
            return self._respond
        raise AttributeError(name)

    def setup(self) -> None:
        super().setup()
        self._number = next(self.server.scripted.connections)

    def handle(self) -> None:
        with suppress(ConnectionError):  # The client may hang up when it likes.
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers.items())
        request = Request(self.command, self.path, headers, body, self._number)
        self.server.scripted.requests.append(request)
        reply = self.server.scripted.answer(request)
        if not (reply.silent or reply.reset):
            self._send(reply)
        if reply.silent or reply.stall_after is not None:
            self.server.scripted.is_stalled.set()
            self.rfile.read(1)
        if (
            reply.silent
            or reply.reset
            or reply.close
            or reply.chunked
            or reply.cut_after is not None
        ):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        length = {} if reply.chunked else {"Content-Length": str(len(reply.body))}
        for name, value in {**length, **reply.headers}.items():
            self.send_header(name, value)
        if reply.close or reply.chunked:
            self.send_header("Connection", "close")
        self.end_headers()
        end = reply.cut_after if reply.stall_after is None else reply.stall_after
        self.wfile.write(reply.body[:end])
        self.wfile.flush()


@contextmanager
def scripted(*replies: Reply) -> Iterator[ScriptedServer]:
    """Serve these replies one after the other; the last one again and again."""
    left = list(replies)

    def answer(_: Request) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    with ScriptedServer(answer) as server:
        yield server


@dataclass
class Trying:
    """Requests that pause only on paper. `pauses` are how long they would have been, in seconds."""

    pauses: list[float] = field(default_factory=list)
    silent_seconds: float = 5
    attempts: int = 5
    _opened: list[Requests] = field(default_factory=list)

    def requests(self) -> Requests:
        connections = Connections(silent_seconds=self.silent_seconds, connect_seconds=5)
        self._opened.append(Requests(connections, self.patience()))
        return self._opened[-1]

    def close(self) -> None:
        for requests in self._opened:
            requests.close()

    def patience(self) -> Patience:
        return Patience(attempts=self.attempts, pause=self.pauses.append, jitter=lambda: 1.0)


def ranged(blob: bytes, request: Request, **headers: str) -> Reply:
    """Answer a request for a range as a good server does."""
    wanted = request.headers.get("Range")
    if wanted is None:
        return Reply(200, blob, headers)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last) + 1 if last else len(blob), len(blob))
    if start >= len(blob):
        return Reply(416)
    content_range = f"bytes {start}-{end - 1}/{len(blob)}"
    return Reply(206, blob[start:end], {"Content-Range": content_range, **headers})
