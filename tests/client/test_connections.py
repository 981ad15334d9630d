"""Connections: kept, renewed when they went stale, through proxies, trusted or not."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runcache.client.connections import Connections, origin_of
from runcache.client.proxies import Proxies
from runcache.errors import ServerUnreachable, ServerUntrusted, UnexpectedAnswer
from tests.client.scripted_server import RESET, SILENCE, Reply, ScriptedServer, scripted
from tests.server.certificate import make_certificate

OK = Reply(200, b"fine")


@pytest.fixture
def connections() -> Iterator[Connections]:
    connections = Connections(silent_seconds=5)
    yield connections
    connections.close()


def body_of(connections: Connections, url: str, method: str = "GET") -> bytes:
    return connections.send(method, url, {}).message(1000)


def test_a_connection_is_used_again_once_its_answer_was_read(connections: Connections) -> None:
    with scripted(OK) as server:
        bodies = [body_of(connections, server.url) for _ in range(3)]

    assert bodies == [b"fine"] * 3
    assert [request.connection for request in server.requests] == [0, 0, 0]


def test_two_answers_at_once_have_a_connection_each(connections: Connections) -> None:
    with scripted(OK) as server:
        first = connections.send("GET", server.url, {})
        second = connections.send("GET", server.url, {})
        bodies = [first.message(10), second.message(10)]

    assert bodies == [b"fine"] * 2
    assert [request.connection for request in server.requests] == [0, 1]


def test_a_connection_whose_answer_was_not_read_is_not_used_again(
    connections: Connections,
) -> None:
    with scripted(Reply(200, b"x" * 100_000), OK) as server:
        connections.send("GET", server.url, {}).close()

        assert body_of(connections, server.url) == b"fine"
    assert [request.connection for request in server.requests] == [0, 1]


def test_a_kept_connection_that_the_server_has_closed_is_replaced_in_silence(
    connections: Connections,
) -> None:
    with scripted(OK, RESET, OK) as server:
        body_of(connections, server.url)

        assert body_of(connections, server.url, "POST") == b"fine"
    assert [request.connection for request in server.requests] == [0, 0, 1]


def test_a_new_connection_that_breaks_is_an_error(connections: Connections) -> None:
    with scripted(RESET) as server, pytest.raises(ServerUnreachable):
        connections.send("GET", server.url, {})


def test_an_answer_that_ends_early_is_an_error(connections: Connections) -> None:
    with scripted(Reply(200, b"half an answer", cut_after=4)) as server:
        answer = connections.send("GET", server.url, {})
        with pytest.raises(ServerUnreachable):
            answer.message(1000)
        answer.close()


def test_an_answer_without_a_length_ends_with_its_connection(connections: Connections) -> None:
    with scripted(Reply(200, b"until the end", chunked=True)) as server:
        assert body_of(connections, server.url) == b"until the end"


def test_a_message_that_never_ends_is_not_read_to_its_end(connections: Connections) -> None:
    with scripted(Reply(200, b"x" * 2000)) as server, pytest.raises(UnexpectedAnswer):
        body_of(connections, server.url)


def test_what_a_server_says_before_it_has_read_all_is_heard(connections: Connections) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            connection.shutdown(socket.SHUT_WR)
            # With bytes of the client unread, closing resets the connection.
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        try:
            answer = connections.send("PUT", url, {}, memoryview(bytes(64 * 1024**2)))
            status = answer.status
            answer.close()
        except ServerUnreachable:
            status = 413  # The reset was faster than the answer, which is TCP's to decide.
        thread.join()

    assert status == 413


def test_to_close_ends_what_waits(connections: Connections) -> None:
    errors: list[Exception] = []
    with scripted(SILENCE) as server:

        def wait() -> None:
            try:
                connections.send("GET", server.url, {})
            except ServerUnreachable as exc:
                errors.append(exc)

        thread = threading.Thread(target=wait)
        thread.start()
        while not server.requests:
            pass
        connections.close()
        thread.join()

    assert len(errors) == 1
    with pytest.raises(ServerUnreachable):
        connections.send("GET", server.url, {})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/x",
        "file:///etc/passwd",
        "http://",
        "http://host:99999/",
        "http://host/a b",
        "http://host/\r\nX-Header: y",
        "http://hóst/",
        "http://[::1/",
        "//host/x",
    ],
)
def test_a_link_that_cannot_be_one_is_not_followed(connections: Connections, url: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        connections.send("GET", url, {})


def test_what_does_not_speak_http_is_unreachable(connections: Connections) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"220 mail.example.com ESMTP\r\n")
            connection.close()

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(ServerUnreachable):
            connections.send("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/", {})
        thread.join()


def test_a_name_that_nobody_knows_is_unreachable(connections: Connections) -> None:
    with pytest.raises(ServerUnreachable) as caught:
        connections.send("GET", "http://no-such-host.invalid/", {})

    assert caught.value.reason == "nobody knows its name"


class TestProxies:
    """Requests that go through somebody else."""

    def test_plain_requests_name_their_target_and_carry_the_proxys_credentials(self) -> None:
        with scripted(OK) as proxy:
            address = proxy.url.replace("http://", "http://us%40er:p%3Ass@")
            connections = Connections(Proxies({"http": address}))
            body = body_of(connections, "http://cache.example.com/path?sig=1")
            connections.close()

        (request,) = proxy.requests
        assert body == b"fine"
        assert request.target == "http://cache.example.com/path?sig=1"
        assert request.headers["Host"] == "cache.example.com"
        credentials = base64.b64encode(b"us@er:p:ss").decode()
        assert request.headers["Proxy-Authorization"] == f"Basic {credentials}"

    def test_encrypted_ones_go_through_a_tunnel(self) -> None:
        with scripted(Reply(403, close=True)) as proxy:
            connections = Connections(Proxies({"https": proxy.url}))
            with pytest.raises(ServerUnreachable):
                connections.send("GET", "https://cache.example.com/secret", {})
            connections.close()

        (request,) = proxy.requests
        assert (request.method, request.target) == ("CONNECT", "cache.example.com:443")

    def test_this_machine_is_reached_without(self) -> None:
        with scripted(OK) as server, scripted(Reply(502)) as proxy:
            connections = Connections(Proxies({"http": proxy.url}))
            body = body_of(connections, server.url)
            connections.close()

        assert body == b"fine"
        assert not proxy.requests


class TestTrust:
    """Certificates count if the system trusts who signed them."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        certificate, key = make_certificate(tmp_path)
        combined = tmp_path / "combined.pem"
        combined.write_bytes(certificate.read_bytes() + key.read_bytes())
        return combined

    @pytest.fixture
    def server(self, certificate: Path) -> Iterator[ScriptedServer]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        with ScriptedServer(lambda _: OK, tls=context) as server:
            yield server

    def test_a_certificate_of_nobody_is_not_trusted(
        self, connections: Connections, server: ScriptedServer
    ) -> None:
        with pytest.raises(ServerUntrusted) as caught:
            connections.send("GET", server.url, {})

        assert "self-signed certificate" in str(caught.value)

    def test_one_that_the_system_is_told_to_trust_is(
        self, server: ScriptedServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        connections = Connections()

        body = body_of(connections, server.url)
        connections.close()

        assert body == b"fine"


def test_an_origin_shows_nothing_that_is_secret() -> None:
    assert origin_of("https://user:secret@host:8080/path?sig=secret#x") == "https://host:8080"
