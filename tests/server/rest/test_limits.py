"""Limits and policies over GitHub's REST API."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest
import pytest_asyncio

from runcache.retention import LimitValues
from runcache.server.context import MANAGEMENT
from tests.faults.raw_job import Answer
from tests.server.caretaker import Caretaker, caretaker, new_repository
from tests.server.serving import Served

# They share a server, which is on the loop of the session.
pytestmark = pytest.mark.asyncio(loop_scope="session")

DAYS: Final = "max_cache_retention_days"
SIZE: Final = "max_cache_size_gb"
POLICY: Final = "repo_cache_size_limit_in_gb"
SETTABLE: Final = [
    ("PUT", "retention-limit", DAYS, 7),
    ("PUT", "storage-limit", SIZE, 10),
    ("PATCH", "usage-policy", POLICY, 10),
]


@pytest_asyncio.fixture(loop_scope="session")
async def boss(shared: Served) -> AsyncIterator[Caretaker]:
    """Somebody who may change all that an owner has, who is new."""
    name = new_repository().replace("octo", "boss").replace("/", "-")
    async with caretaker(shared, f"{name}/repo", owners=[name], can_write=True) as boss:
        yield boss


def owner_path(boss: Caretaker, kind: str = "organizations") -> str:
    return f"/{kind}/{boss.repository.partition('/')[0]}/actions/cache"


async def told(caller: Caretaker, path: str) -> object:
    answer = await caller.authorized("GET", path)
    assert answer.status == 200, answer
    (value,) = answer.body.values()
    return value


async def put(caller: Caretaker, path: str, body: object, *, method: str = "PUT") -> Answer:
    return await caller.authorized(method, path, data=json.dumps(body).encode())


@pytest.mark.parametrize(("method", "name", "member", "default"), SETTABLE)
async def test_a_limit_that_is_set_is_told(
    owner: Caretaker, method: str, name: str, member: str, default: int
) -> None:
    path = f"{owner.cache}/{name}"
    before = await told(owner, path)

    answer = await put(owner, path, {member: 3}, method=method)

    assert (answer.status, answer.body) == (204, b"")
    assert (before, await told(owner, f"/api/v3{path}")) == (default, 3)


async def test_one_limit_leaves_the_other_as_it_is(owner: Caretaker) -> None:
    await put(owner, f"{owner.cache}/retention-limit", {DAYS: 3})
    await put(owner, f"{owner.cache}/storage-limit", {SIZE: 2})

    limits = await owner.server.wired.app[MANAGEMENT].limits(owner.repository)
    assert limits.own == LimitValues(2 * 10**9, timedelta(days=3))


@pytest.mark.parametrize("kind", ["orgs", "organizations"])
async def test_a_limit_of_an_owner_counts_for_its_repositories(boss: Caretaker, kind: str) -> None:
    await put(boss, f"{owner_path(boss, kind)}/storage-limit", {SIZE: 4})
    await put(boss, f"{owner_path(boss, kind)}/retention-limit", {DAYS: 5})

    assert await told(boss, f"{owner_path(boss)}/storage-limit") == 4
    assert await told(boss, f"{boss.cache}/storage-limit") == 4
    assert await told(boss, f"{boss.cache}/usage-policy") == 4
    assert await told(boss, f"{boss.cache}/retention-limit") == 5


async def test_the_lowest_limit_counts(boss: Caretaker) -> None:
    await put(boss, f"{owner_path(boss)}/storage-limit", {SIZE: 4})
    await put(boss, f"{boss.cache}/storage-limit", {SIZE: 9})
    above = await told(boss, f"{boss.cache}/storage-limit")
    await put(boss, f"{boss.cache}/storage-limit", {SIZE: 3})
    below = await told(boss, f"{boss.cache}/storage-limit")

    assert (above, below) == (4, 3)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "Problems parsing JSON"),
        (b"{", 400, "Problems parsing JSON"),
        (b"[]", 400, "Body should be a JSON object"),
        (b"{}", 422, "Validation Failed"),
        (b'{"max_cache_size_gb": null}', 422, "Validation Failed"),
        (b'{"max_cache_size_gb": "3"}', 422, "Validation Failed"),
        (
            b'{"max_cache_size_gb": 0}',
            400,
            "invalid limit: `max_cache_size_gb` is not from 1 to 10000",
        ),
        (
            b'{"max_cache_size_gb": 10001}',
            400,
            "invalid limit: `max_cache_size_gb` is not from 1 to 10000",
        ),
        (b'{"max_cache_size_gb": 3}' + b" " * 70_000, 413, "the body exceeds 65536 bytes"),
    ],
)
async def test_a_body_that_is_wrong_changes_nothing(
    owner: Caretaker, body: bytes, status: int, message: str
) -> None:
    answer = await owner.authorized("PUT", f"{owner.cache}/storage-limit", data=body)

    assert (answer.status, answer.message()) == (status, message)
    assert answer.body["status"] == str(status)
    assert await told(owner, f"{owner.cache}/storage-limit") == 10


async def test_the_server_tells_its_limits_and_keeps_them(shared: Served) -> None:
    path = "/enterprises/any/actions/cache"
    async with caretaker(shared, is_admin=True, can_write=True) as admin:
        days = await told(admin, f"{path}/retention-limit")
        size = await told(admin, f"{path}/storage-limit")
        policy = await admin.authorized("GET", f"{path}/usage-policy")
        refused = [
            await put(admin, f"{path}/retention-limit", {DAYS: 3}),
            await put(admin, f"{path}/storage-limit", {SIZE: 3}),
            await put(admin, f"{path}/usage-policy", {POLICY: 3}, method="PATCH"),
        ]

    assert (days, size) == (7, 10)
    assert policy.body == {POLICY: 10, f"max_{POLICY}": 10}
    assert [answer.status for answer in refused] == [403] * 3
    assert "`repo_limit`" in refused[0].message()


@pytest.mark.parametrize("rest", ["retention-limit", "storage-limit", "usage-policy"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_only_who_reaches_all_of_the_server_hears_of_its_limits(
    boss: Caretaker, rest: str, method: str
) -> None:
    verb = "PATCH" if (method, rest) == ("PUT", "usage-policy") else method

    answer = await boss.authorized(verb, f"/enterprises/any/actions/cache/{rest}")

    assert (answer.status, answer.message()) == (404, "Not Found")


async def test_who_has_a_repository_does_not_hear_of_its_owner(owner: Caretaker) -> None:
    async with caretaker(owner.server, "boss/repo", can_write=True) as one:
        limits = await one.authorized("GET", "/organizations/boss/actions/cache/storage-limit")
        usage = await one.authorized("GET", "/orgs/boss/actions/cache/usage")
        setting = await put(one, "/organizations/boss/actions/cache/storage-limit", {SIZE: 1})

    assert [limits.status, usage.status, setting.status] == [404] * 3


async def test_who_only_reads_sets_nothing(boss: Caretaker) -> None:
    name = boss.repository.partition("/")[0]
    async with caretaker(boss.server, boss.repository, owners=[name]) as reader:
        answers = [
            await put(reader, f"{reader.cache}/storage-limit", {SIZE: 3}),
            await put(reader, f"{owner_path(reader)}/storage-limit", {SIZE: 3}),
        ]

    assert [answer.status for answer in answers] == [403, 403]
    assert answers[0].message() == "Resource not accessible by personal access token"
    assert await told(boss, f"{boss.cache}/storage-limit") == 10
