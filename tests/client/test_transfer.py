"""What is tried again, how often, and after which pauses."""

import time
from email.utils import formatdate

import pytest

from runcache.client.transfer import PASSING, Patience, seconds_of
from runcache.errors import ServerFailed, ServerUnreachable, ServerUntrusted
from tests.client.scripted_server import RESET, SILENCE, Reply, Trying, scripted

OK = Reply(200, b"done")


@pytest.mark.parametrize("status", sorted(PASSING))
def test_a_failure_that_may_pass_is_tried_again(status: int, trying: Trying) -> None:
    with scripted(Reply(status, b"busy"), Reply(status, b"busy"), OK) as server:
        message = trying.requests().send("POST", server.url, {}, b"question")

    assert (message.status, message.body) == (200, b"done")
    assert [request.body for request in server.requests] == [b"question"] * 3
    assert trying.pauses == [0.5, 1.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 501, 507])
def test_a_refusal_is_an_answer_and_not_tried_again(status: int, trying: Trying) -> None:
    with scripted(Reply(status, b"no")) as server:
        message = trying.requests().send("GET", server.url, {})

    assert (message.status, message.body) == (status, b"no")
    assert len(server.requests) == 1
    assert trying.pauses == []


def test_a_connection_that_breaks_is_made_again(trying: Trying) -> None:
    with scripted(RESET, Reply(200, b"half of it", cut_after=4), OK) as server:
        message = trying.requests().send("PUT", server.url, {}, memoryview(b"block"))

    assert message.body == b"done"
    assert [request.body for request in server.requests] == [b"block"] * 3
    assert trying.pauses == [0.5, 1.0]


def test_a_server_that_says_nothing_is_given_up_for_this_time(trying: Trying) -> None:
    trying.silent_seconds = 1.0
    with scripted(SILENCE, OK) as server:
        message = trying.requests().send("GET", server.url, {})

    assert message.body == b"done"
    assert trying.pauses == [0.5]


def test_what_fails_each_time_fails_with_the_last_reason(trying: Trying) -> None:
    with (
        scripted(Reply(503, b'{"code": "unavailable"}')) as server,
        pytest.raises(ServerFailed) as caught,
    ):
        trying.requests().send("GET", f"{server.url}/?sig=secret", {})

    assert len(server.requests) == 5
    assert trying.pauses == [0.5, 1.0, 2.0, 4.0]
    assert caught.value.status == 503
    assert "unavailable" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_nobody_at_the_address_is_unreachable(trying: Trying) -> None:
    with scripted(OK) as server:
        pass

    with pytest.raises(ServerUnreachable) as caught:
        trying.requests().send("GET", f"{server.url}/path?sig=secret", {})

    assert str(caught.value) == f"`{server.url}` cannot be reached: connection refused"
    assert len(trying.pauses) == 4


def test_a_server_may_ask_for_a_longer_pause(trying: Trying) -> None:
    with scripted(Reply(429, headers={"Retry-After": "7"}), OK) as server:
        trying.requests().send("GET", server.url, {})

    assert trying.pauses == [7]


def test_a_pause_that_nobody_would_wait_for_is_the_end(trying: Trying) -> None:
    with (
        scripted(Reply(429, b"slow down", {"Retry-After": "3600"})) as server,
        pytest.raises(ServerFailed) as caught,
    ):
        trying.requests().send("GET", server.url, {})

    assert len(server.requests) == 1
    assert caught.value.retry_after_seconds == 3600


def test_pauses_differ_between_clients_and_have_a_limit() -> None:
    pauses: list[float] = []
    patience = Patience(attempts=9, pause=pauses.append, jitter=lambda: 0.5)

    def fail() -> None:
        raise ServerUnreachable("http://cache", "it is not there")

    with pytest.raises(ServerUnreachable):
        patience.of(fail)

    assert pauses == [0.375, 0.75, 1.5, 3.0, 6.0, 11.25, 11.25, 11.25]


@pytest.mark.parametrize(
    ("server", "cause", "share"),
    [
        ("http://127.0.0.1:1", ConnectionRefusedError(), 0.1),
        ("http://localhost", ConnectionRefusedError(), 0.1),
        ("http://[::1]:1", ConnectionRefusedError(), 0.1),
        ("http://127.0.0.1:1", ConnectionResetError(), 1),
        ("https://cache", ConnectionRefusedError(), 1),
    ],
)
def test_for_a_server_that_is_not_there_on_this_machine_nobody_waits_long(
    server: str, cause: OSError, share: float
) -> None:
    pauses: list[float] = []

    def fail() -> None:
        raise ServerUnreachable(server, "connection refused") from cause

    with pytest.raises(ServerUnreachable):
        Patience(pause=pauses.append, jitter=lambda: 1).of(fail)

    assert pauses == pytest.approx([0.5 * share, share, 2 * share, 4 * share])


def test_a_certificate_that_is_not_trusted_is_not_asked_for_again() -> None:
    pauses: list[float] = []

    def fail() -> None:
        raise ServerUntrusted("https://cache", "self-signed certificate")

    with pytest.raises(ServerUntrusted):
        Patience(pause=pauses.append).of(fail)

    assert pauses == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("0", 0), ("12", 12), ("soon", None), ("-3", None)],
)
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    wait = seconds_of(formatdate(time.time() + 90, usegmt=True))

    assert wait is not None
    assert 80 < wait <= 90
    assert seconds_of("Thu, 01 Jan 1970 00:00:00 GMT") == 0


def test_what_a_server_says_is_shown_without_what_terminals_act_upon(trying: Trying) -> None:
    with scripted(Reply(418, b"\x1b[31mI am\r\n  a teapot\x07" + b"." * 500)) as server:
        message = trying.requests().send("GET", server.url, {})

    assert message.text.startswith("[31mI am a teapot")
    assert len(message.text) == 200


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (
            b'{"message": "the catalog is\\u001b[2J away", "hint": "wait"}',
            "the catalog is [2J away",
        ),
        (b'{"code": "unavailable", "msg": "not now"}', "not now"),
        (b'{"message": 1}', '{"message": 1}'),
        (b"[", "["),
        (b"", "nothing more"),
    ],
)
def test_of_an_error_in_json_its_message_is_shown(body: bytes, shown: str, trying: Trying) -> None:
    with scripted(Reply(418, body, {"Content-Type": "application/json"})) as server:
        message = trying.requests().send("GET", server.url, {})

    assert message.text == shown
