"""How much is kept, over GitHub's REST API."""

import json
import re
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.server.caretaker import Caretaker, caretaker
from tests.server.serving import Served

# They share a server, which is on the loop of the session.
pytestmark = pytest.mark.asyncio(loop_scope="session")

NEXT: Final = re.compile(r'<([^>]+)>; rel="next"')


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def acme(shared: Served) -> AsyncIterator[Caretaker]:
    """Somebody who looks after all of `acme`, whose three repositories keep something."""
    async with caretaker(shared, "acme/small", owners=["acme"]) as acme:
        await acme.saved("key", b"1")
        await acme.saved("key", b"4444", repository="acme/large")
        await acme.saved("other", b"4444", repository="acme/large")
        await acme.saved("key", b"22", repository="acme/middle")
        await acme.saved("key", b"another owner", repository="acme-two/other")
        yield acme


@pytest.mark.parametrize("kind", ["orgs", "organizations"])
async def test_an_owner_keeps_what_all_repositories_keep(acme: Caretaker, kind: str) -> None:
    answer = await acme.authorized("GET", f"/api/v3/{kind}/ACME/actions/cache/usage")

    assert answer.status == 200
    assert answer.body == {
        "total_active_caches_size_in_bytes": 11,
        "total_active_caches_count": 4,
    }


@pytest.mark.parametrize("kind", ["orgs", "organizations"])
async def test_repositories_are_listed_the_largest_first(acme: Caretaker, kind: str) -> None:
    answer = await acme.authorized("GET", f"/{kind}/acme/actions/cache/usage-by-repository")

    assert answer.body == {
        "total_count": 3,
        "repository_cache_usages": [
            {
                "full_name": f"acme/{name}",
                "active_caches_size_in_bytes": size_bytes,
                "active_caches_count": count,
            }
            for name, size_bytes, count in (("large", 8, 2), ("middle", 2, 1), ("small", 1, 1))
        ],
    }
    assert "Link" not in answer.headers


async def test_repositories_are_listed_page_by_page(acme: Caretaker) -> None:
    first = await acme.authorized("GET", "/orgs/acme/actions/cache/usage-by-repository?per_page=2")
    (url,) = NEXT.findall(first.headers["Link"])
    second = await acme.request("GET", url, headers={"Authorization": f"token {acme.token}"})

    names = [
        usage["full_name"]
        for answer in (first, second)
        for usage in answer.body["repository_cache_usages"]
    ]
    assert names == ["acme/large", "acme/middle", "acme/small"]
    assert 'rel="next"' not in second.headers["Link"]
    assert second.body["total_count"] == 3


async def test_an_owner_that_nobody_has_heard_of_keeps_nothing(shared: Served) -> None:
    async with caretaker(shared, owners=["nobody"]) as nobody:
        usage = await nobody.authorized("GET", "/orgs/nobody/actions/cache/usage")
        listed = await nobody.authorized("GET", "/orgs/nobody/actions/cache/usage-by-repository")

    assert set(usage.body.values()) == {0}
    assert listed.body == {"total_count": 0, "repository_cache_usages": []}


async def test_the_server_keeps_what_all_owners_keep(shared: Served, acme: Caretaker) -> None:
    async with caretaker(shared, is_admin=True) as admin:
        before = await admin.authorized("GET", "/enterprises/any/actions/cache/usage")
        await acme.saved("one more", b"666666", repository="another/owner")
        after = await admin.authorized("GET", "/enterprises/any/actions/cache/usage")

    grown = {name: after.body[name] - before.body[name] for name in after.body}
    assert grown == {"total_active_caches_size_in_bytes": 6, "total_active_caches_count": 1}


@pytest.mark.parametrize(
    "path",
    [
        "/orgs/octo/actions/cache/usage",
        "/orgs/octo/actions/cache/usage-by-repository",
        "/orgs/a%20b/actions/cache/usage",
        "/enterprises/acme/actions/cache/usage",
        "/repos/octo/hello/actions/cache/usage",
        "/repos/acme/%2e%2e/actions/cache/usage",
    ],
)
async def test_what_a_token_does_not_reach_is_not_there(acme: Caretaker, path: str) -> None:
    known = await acme.authorized("GET", path)
    unknown = await acme.authorized("GET", "/orgs/never-heard-of/actions/cache/usage")

    assert (known.status, known.body) == (unknown.status, unknown.body)
    assert json.loads(json.dumps(known.body))["message"] == "Not Found"
