"""Cookies that end, cannot be forged, and name no token."""

from datetime import timedelta

import pytest

from runcache.server.keys import SigningKey
from runcache.server.ui.session import SESSION_TTL, Sessions, Ticket, new_ticket
from tests.in_process import Clock

KEY = SigningKey(b"k" * 32)
DIGEST = "d" * 64


def test_a_ticket_is_read_as_it_was_sealed() -> None:
    sessions = Sessions(KEY, now=Clock())

    for ticket in (Ticket("abc"), Ticket("abc", DIGEST)):
        assert sessions.opened(sessions.seal(ticket)) == ticket


def test_a_ticket_counts_for_twelve_hours() -> None:
    clock = Clock()
    sessions = Sessions(KEY, now=clock)
    cookie = sessions.seal(Ticket("abc", DIGEST))

    clock.advance(SESSION_TTL - timedelta(milliseconds=1))
    assert sessions.opened(cookie) is not None
    clock.advance(timedelta(milliseconds=1))
    assert sessions.opened(cookie) is None


def test_a_ticket_of_another_server_counts_for_nothing() -> None:
    cookie = Sessions(SigningKey(b"x" * 32), now=Clock()).seal(Ticket("abc", DIGEST))

    assert Sessions(KEY, now=Clock()).opened(cookie) is None


def test_a_session_outlives_the_key_that_it_began_with() -> None:
    ticket = new_ticket(DIGEST)
    before = Sessions(KEY, now=Clock())
    rotated = Sessions(SigningKey(b"x" * 32, former=(KEY.secret,)), now=Clock())

    assert rotated.opened(before.seal(ticket)) == ticket
    assert rotated.is_csrf_of(ticket, before.csrf_of(ticket))
    assert before.opened(rotated.seal(ticket)) is None
    assert not before.is_csrf_of(ticket, rotated.csrf_of(ticket))


@pytest.mark.parametrize(
    "cookie",
    [
        None,
        "",
        "x",
        "a.b.c",
        "x" * 5000,
        # Without a signature.
        "eyJhbGciOiJub25lIn0.eyJzaWQiOiJhIiwidG9rIjoiZCIsImV4cCI6OTk5OTk5OTk5OTk5OX0.",
        "\udcff",
    ],
)
def test_what_is_no_ticket_is_none(cookie: str | None) -> None:
    assert Sessions(KEY, now=Clock()).opened(cookie) is None


def test_a_ticket_that_was_altered_is_none() -> None:
    sessions = Sessions(KEY, now=Clock())
    header, payload, signature = sessions.seal(Ticket("abc", DIGEST)).split(".")
    other_payload = sessions.seal(Ticket("abd", DIGEST)).split(".")[1]

    assert sessions.opened(f"{header}.{other_payload}.{signature}") is None
    assert sessions.opened(f"{header}.{payload}.{signature[:-2]}") is None


def test_each_session_has_a_secret_of_its_own_for_its_forms() -> None:
    sessions = Sessions(KEY, now=Clock())
    one, two = new_ticket(DIGEST), new_ticket(DIGEST)

    assert one.session_id != two.session_id
    assert sessions.csrf_of(one) != sessions.csrf_of(two)
    assert sessions.csrf_of(one) == sessions.csrf_of(Ticket(one.session_id))
