"""What all answers of GitHub's REST API have in common."""

import base64
import re
from typing import Final

import pytest

from tests.faults.raw_socket import converse
from tests.server.caretaker import Caretaker, caretaker
from tests.server.serving import Served

# They share a server, which is on the loop of the session.
pytestmark = pytest.mark.asyncio(loop_scope="session")

RATE: Final = ("limit", "remaining", "used", "reset", "resource")
LINK: Final = re.compile(rb'Link: <([^>]+)>; rel="next"')


async def test_an_answer_says_what_the_api_is_and_what_the_token_may_do(shared: Served) -> None:
    async with caretaker(shared, can_write=True) as owner:
        read = await owner.authorized("GET", owner.caches)
        deleted = await owner.authorized("DELETE", f"/api/v3{owner.caches}/1")

    assert read.headers["Content-Type"] == "application/json; charset=utf-8"
    assert read.headers["X-GitHub-Media-Type"] == "github.v3; format=json"
    assert read.headers["X-GitHub-Api-Version-Selected"] == "2022-11-28"
    assert read.headers["X-OAuth-Scopes"] == "admin:repository, read:org, repo"
    assert read.headers["X-Accepted-OAuth-Scopes"] == "repo"
    assert read.headers["X-Accepted-GitHub-Permissions"] == "actions=read"
    assert read.headers["Vary"] == "Accept, Authorization"
    assert deleted.status == 404
    assert deleted.headers["X-Accepted-GitHub-Permissions"] == "actions=write"
    assert deleted.headers["X-OAuth-Scopes"] == read.headers["X-OAuth-Scopes"]
    assert "X-GitHub-Enterprise-Version" not in read.headers
    assert deleted.headers["X-GitHub-Enterprise-Version"] == "3.19.0"
    for answer in (read, deleted):
        assert all(f"X-RateLimit-{name}" in answer.headers for name in RATE)


@pytest.mark.parametrize(
    ("headers", "status", "selected"),
    [
        ({"X-GitHub-Api-Version": "2022-11-28"}, 200, "2022-11-28"),
        ({"X-GitHub-Api-Version": "2026-03-10"}, 200, "2026-03-10"),
        ({"X-GitHub-Api-Version": "2021-01-01"}, 400, "2022-11-28"),
        ({"X-GitHub-Api-Version": "latest"}, 400, "2022-11-28"),
        ({"Accept": "application/vnd.github.nebula-preview, application/xml"}, 200, "2022-11-28"),
        ({"Content-Type": "text/plain", "User-Agent": ""}, 200, "2022-11-28"),
    ],
)
async def test_only_a_version_that_is_unknown_is_refused(
    shared: Served, headers: dict[str, str], status: int, selected: str
) -> None:
    async with caretaker(shared) as reader:
        answer = await reader.authorized("GET", reader.caches, headers=headers)

    assert answer.status == status
    assert answer.headers["X-GitHub-Api-Version-Selected"] == selected


async def test_a_token_comes_in_any_of_the_forms_that_github_takes(shared: Served) -> None:
    async with caretaker(shared) as reader:
        password = base64.b64encode(f"anybody:{reader.token}".encode()).decode()
        forms = {
            f"Bearer {reader.token}": 200,
            f"token {reader.token}": 200,
            f"Basic {password}": 200,
            f"Basic {reader.token}": 401,
            "": 401,
        }

        statuses = {
            form: (
                await reader.request(
                    "GET", f"{reader.url}{reader.caches}", headers={"Authorization": form}
                )
            ).status
            for form in forms
        }

    assert statuses == forms


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "Requires authentication"),
        ("", "Requires authentication"),
        ("token ", "Requires authentication"),
        ("token rc_wrong", "Bad credentials"),
    ],
)
async def test_no_token_and_a_wrong_one_are_told_apart(
    shared: Served, token: str | None, message: str
) -> None:
    async with caretaker(shared) as reader:
        headers = {} if token is None else {"Authorization": token}
        answer = await reader.request("GET", f"{reader.url}{reader.caches}", headers=headers)

    assert answer.status == 401
    assert answer.body == {
        "message": message,
        "documentation_url": "https://docs.github.com/rest/actions/cache",
        "status": "401",
    }


async def test_a_slash_at_the_end_is_another_path(shared: Served) -> None:
    async with caretaker(shared) as reader:
        answer = await reader.authorized("GET", f"{reader.caches}/")

    assert answer.status == 404


def sent_to_proxy(target: str, owner: Caretaker, host: str) -> bytes:
    head = (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: token {owner.token}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode()


async def test_a_request_as_to_a_proxy_is_answered_if_it_is_for_this_server(
    shared: Served,
) -> None:
    host = "api.github.localhost"
    async with caretaker(shared) as owner:
        for number in range(2):
            await owner.saved(f"key-{number}")
        target = f"http://{host}{owner.caches}?per_page=1&sort=created_at"

        first = await converse(shared.url, sent_to_proxy(target, owner, host))
        (link,) = LINK.findall(first)
        second = await converse(shared.url, sent_to_proxy(link.decode(), owner, host))

    assert b"key-1" in first
    assert link.startswith(f"http://{host}{owner.caches}?".encode())
    assert b"key-0" in second


@pytest.mark.parametrize("host", ["api.github.com", "evil.example", "api.github.localhost.evil"])
async def test_a_request_as_to_a_proxy_for_another_host_is_refused(
    shared: Served, host: str
) -> None:
    async with caretaker(shared) as owner:
        answer = await converse(
            shared.url, sent_to_proxy(f"http://{host}{owner.caches}", owner, host)
        )

    assert answer.startswith(b"HTTP/1.1 421 ")
