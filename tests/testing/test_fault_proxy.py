"""The proxy carries what it is given, and shows a fault from the moment it is told to."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

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

SHORT = 0.2
ENOUGH = 10.0
LARGE = b"x" * 3_000_000


class Echo(BaseHTTPRequestHandler):
    """Answers a PUT with its own body, and a GET with a large one."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(LARGE)

    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: connections break here on purpose."""


@pytest.fixture(scope="module")
def target() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(target: int) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", target) as proxy:
        yield proxy


def connect(proxy: FaultProxy, *, within_seconds: float = ENOUGH) -> HTTPConnection:
    return HTTPConnection(proxy.host, proxy.port, timeout=within_seconds)


def put(connection: HTTPConnection, body: bytes) -> bytes:
    connection.request("PUT", "/", body)
    return connection.getresponse().read()


def get(connection: HTTPConnection) -> HTTPResponse:
    connection.request("GET", "/")
    return connection.getresponse()


def test_without_a_fault_it_carries_every_byte(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as connection:
        assert put(connection, b"small") == b"small"
        assert put(connection, LARGE) == LARGE

    assert proxy.accepted == 1


def test_one_side_may_end_before_the_other(proxy: FaultProxy) -> None:
    with closing(socket.create_connection((proxy.host, proxy.port), ENOUGH)) as client:
        client.sendall(b"PUT / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
        client.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: client.recv(1000), b""))

    assert said.endswith(b"\r\n\r\nhi")


def test_answers_are_late(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as connection, proxy.injected(Latency(SHORT)):
        begun = time.monotonic()
        put(connection, b"late")

        assert time.monotonic() - begun >= SHORT


@pytest.mark.parametrize("fault", [Reset(), Refusal()])
def test_open_connections_are_reset(proxy: FaultProxy, fault: Fault) -> None:
    with closing(connect(proxy)) as connection:
        put(connection, b"before")
        assert connection.sock is not None
        with proxy.injected(fault), pytest.raises(ConnectionResetError):
            connection.sock.recv(1)


def test_new_connections_are_reset(proxy: FaultProxy) -> None:
    proxy.inject(Reset())

    with closing(connect(proxy)) as connection, pytest.raises(ConnectionError):
        put(connection, b"never")


def test_nobody_listens_and_then_somebody_does_at_the_same_port(proxy: FaultProxy) -> None:
    with proxy.injected(Refusal()), pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port), ENOUGH)

    with closing(connect(proxy)) as connection:
        assert put(connection, b"again") == b"again"


def test_what_was_held_back_moves_on(proxy: FaultProxy) -> None:
    with closing(connect(proxy, within_seconds=SHORT)) as connection:
        proxy.inject(HalfOpen())
        with pytest.raises(TimeoutError):
            put(connection, b"held")
        proxy.heal()
        assert connection.sock is not None
        connection.sock.settimeout(ENOUGH)

        assert connection.sock.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_an_answer_drips(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as connection, proxy.injected(Drip(SHORT)):
        begun = time.monotonic()
        connection.request("PUT", "/", b"drop")
        assert connection.sock is not None

        assert [connection.sock.recv(1) for _ in range(2)] == [b"H", b"T"]
        assert time.monotonic() - begun >= SHORT


def test_bytes_come_at_a_rate(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as connection, proxy.injected(Throttle(10_000_000)):
        begun = time.monotonic()
        assert get(connection).read() == LARGE

        assert time.monotonic() - begun >= 0.2


def test_a_connection_is_cut_in_the_middle(proxy: FaultProxy) -> None:
    proxy.inject(Cut(after_bytes=100_000))
    with closing(connect(proxy)) as connection, pytest.raises(ConnectionResetError):
        get(connection).read()
    proxy.heal()

    with closing(connect(proxy)) as connection:
        assert get(connection).read() == LARGE


def test_requests_are_answered_with_an_error(proxy: FaultProxy) -> None:
    with proxy.injected(HttpError(503, code="SlowDown")), closing(connect(proxy)) as connection:
        connection.request("PUT", "/", LARGE)
        answer = connection.getresponse()

        assert answer.status == 503
        assert b"<Code>SlowDown</Code>" in answer.read()


def test_only_some_methods_are_refused(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as connection:
        proxy.inject(HttpError(507, methods=frozenset({"PUT"})))

        assert get(connection).read() == LARGE
        connection.request("PUT", "/", b"no")
        assert connection.getresponse().status == 507


def test_requests_pass_again_on_the_same_connection(proxy: FaultProxy) -> None:
    with closing(connect(proxy)) as connection:
        with proxy.injected(HttpError(500, methods=frozenset({"DELETE"}))):
            assert put(connection, LARGE) == LARGE

        assert put(connection, b"after") == b"after"
        assert proxy.accepted == 1


def test_it_stops_while_connections_are_open(target: int) -> None:
    proxy = FaultProxy("127.0.0.1", target)
    with closing(connect(proxy)) as connection:
        put(connection, b"open")
        proxy.stop()
        assert connection.sock is not None

        with pytest.raises(ConnectionResetError):
            connection.sock.recv(1)
