"""Every route that there is, as those see it who may not use it."""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from functools import cache
from typing import Any, Final

import pytest
import pytest_asyncio

from runcache.server.auth import digest_of
from runcache.server.ui.headers import PREFIX
from runcache.server.ui.session import COOKIE, SESSIONS, Ticket, new_ticket
from tests.faults.raw_job import VERSION, Answer
from tests.server.caretaker import Caretaker, Rights, caretaker
from tests.server.serving import Served

KEY: Final = "npm-secret"
REF: Final = "refs/heads/main"
# What any route that changes something could want, all in one.
MESSAGE: Final[Mapping[str, Any]] = {
    "key": KEY,
    "version": VERSION,
    "versions": [VERSION],
    "restore_keys": ["npm-"],
    "size_bytes": 4,
    "size": 4,
    "cacheSize": 4,
    "packs": [],
    "reason": "to see what happens",
    "ref": REF,
    "query": "query{viewer{login}}",
    "max_cache_retention_days": 1,
    "max_cache_size_gb": 1,
    "repo_cache_size_limit_in_gb": 1,
}
# These answer a question, though it comes in a body.
QUESTIONS: Final = {"/graphql", "/api/graphql", "/runcache/v1/repos/{owner}/{repo}/explain"}
# Whoever deletes, saves or sets something changes one of them.
TABLES: Final = ("entries", "entry_blobs", "uploads", "holds", "origins", "limits", "api_tokens")
# These tell nothing of what is kept, to anybody.
OPEN: Final = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/ui/sign-in"}


def routes_of(server: Served) -> Iterator[tuple[str, str]]:
    """Yield method and template of every route."""
    for route in server.wired.app.router.routes():
        assert route.resource is not None
        yield route.method, route.resource.canonical


def target(template: str, **names: object) -> str:
    """Return a path with a query that any route could want."""
    path = template.format_map(
        defaultdict(
            lambda: "0", {"enterprise": "any", "cache_id": names["id"], "entry_id": names["id"]}
        )
        | names
    )
    return f"{path}?key={KEY}&keys={KEY}&version={VERSION}&ref={REF}&of={names['id']}"


@cache
def ticket_of(token: str) -> Ticket:
    """Return what a browser that has signed in with a token keeps in its cookie."""
    return new_ticket(digest_of(token))


async def sent(caller: Caretaker, method: str, path: str) -> Answer:
    """Send a request as a program, or below `/ui/` as a browser that has signed in."""
    body: bytes | dict[str, str] | None = None
    if method not in {"GET", "HEAD"}:
        body = json.dumps(MESSAGE).encode()
    headers = {"Authorization": f"Bearer {caller.token}"}
    if path.startswith(PREFIX):
        sessions = caller.server.wired.app[SESSIONS]
        ticket = ticket_of(caller.token)
        headers = {"Cookie": f"{COOKIE}={sessions.seal(ticket)}"}
        if body is not None:
            id_ = re.sub(r".*[?&]of=", "", path)
            limits = {"size": "1B", "unused_for": "1s"}
            body = {"csrf": sessions.csrf_of(ticket), "id": id_, "all": "1", **limits}
    async with caller.session.request(
        method, f"{caller.url}{path}", data=body, headers=headers, allow_redirects=False
    ) as response:
        return Answer(response.status, await response.read(), response.headers)


def facts_of(server: Served) -> dict[str, list[tuple[object, ...]]]:
    """Return what the catalog holds, but for what is written behind a commit or a deed."""
    with closing(sqlite3.connect(server.settings.data / "catalog.sqlite3")) as catalog:
        return {
            table: catalog.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  -- see below
            for table in TABLES
        }


@pytest_asyncio.fixture
async def secret(server: Served) -> AsyncIterator[Caretaker]:
    """Somebody who may do everything with a repository that keeps something."""
    async with caretaker(server, "octo/secret", can_write=True) as secret:
        yield secret


@pytest.mark.parametrize("rights", [{"is_admin": True}, {"owners": ["octo"]}, {}])
async def test_a_token_that_only_reads_changes_nothing_on_any_route(
    server: Served, secret: Caretaker, rights: Rights
) -> None:
    entry = await secret.saved(KEY)
    names = {"owner": "octo", "repo": "secret", "org": "octo", "id": entry.id}
    changing = [
        (method, template)
        for method, template in routes_of(server)
        if method not in {"GET", "HEAD"}
    ]
    async with caretaker(server, "octo/secret", **rights) as reader:
        before = facts_of(server)

        answers = {
            (method, template): await sent(reader, method, target(template, **names))
            for method, template in changing
        }

        assert facts_of(server) == before
    assert len(changing) > 30
    for (method, template), answer in answers.items():
        if template not in {*QUESTIONS, "/ui/sign-out"}:
            assert answer.status >= 400, (method, template, answer)


async def test_nothing_is_told_without_a_token(server: Served, secret: Caretaker) -> None:
    entry = await secret.saved(KEY)
    names = {"owner": "octo", "repo": "secret", "org": "octo", "id": entry.id}
    async with Caretaker(server, "none", "octo/secret") as stranger:
        for method, template in routes_of(server):
            answer = await sent(stranger, method, target(template, **names))

            assert b"npm-" not in answer.body, (method, template, answer)
            assert answer.status != 200 or template in OPEN, (method, template, answer)


async def test_a_token_of_one_repository_sees_nothing_of_another(
    server: Served, secret: Caretaker
) -> None:
    entry = await secret.saved(KEY)
    async with caretaker(server, "octo/mine", can_write=True) as owner:
        await owner.saved("mine")
        for method, template in routes_of(server):
            of_secret = {"owner": "octo", "repo": "secret", "org": "octo", "id": entry.id}
            of_nothing = {"owner": "octo", "repo": "nobody", "org": "nobody", "id": 4711}

            there = await sent(owner, method, target(template, **of_secret))
            nowhere = await sent(owner, method, target(template, **of_nothing))

            about = (method, template, there, nowhere)
            assert there.status == nowhere.status, about
            same = there.body.replace(b"secret", b"nobody").replace(b"octo", b"nobody")
            if "{" in template:
                assert same == nowhere.body.replace(b"octo", b"nobody"), about
            assert b"npm-secret" not in there.body, about
            assert b"octo/secret" not in there.body or "{repo}" in template, about

    listed = await secret.authorized("GET", secret.caches)
    assert listed.body["total_count"] == 1


async def test_an_id_of_another_repository_is_unknown(server: Served, secret: Caretaker) -> None:
    entry = await secret.saved(KEY)
    async with caretaker(server, "octo/mine", can_write=True) as owner:
        for method, template in routes_of(server):
            if "_id}" not in template or "{repo}" not in template:
                continue
            names = {"owner": "octo", "repo": "mine", "id": entry.id}

            answer = await sent(owner, method, target(template, **names))

            assert answer.status == 404, (method, template, answer)

    listed = await secret.authorized("GET", secret.caches)
    assert listed.body["total_count"] == 1


async def test_every_operation_has_a_name_of_its_own(server: Served) -> None:
    async with caretaker(server) as reader:
        document = (await reader.authorized("GET", "/openapi.json")).body

    names = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if "operationId" in operation
    ]
    assert len(names) == len(set(names)) > 20
