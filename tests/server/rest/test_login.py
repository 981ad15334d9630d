"""What programs ask before they use GitHub's REST API."""

import re
from typing import Final

import pytest

from tests.faults.raw_job import RawJob
from tests.server.caretaker import Caretaker

# They share a server, which is on the loop of the session.
pytestmark = pytest.mark.asyncio(loop_scope="session")

VIEWER: Final = "query UserCurrent{viewer{login}}"


@pytest.mark.parametrize("path", ["/", "/api/v3/"])
async def test_the_root_tells_a_token_what_it_may_do(owner: Caretaker, path: str) -> None:
    answer = await owner.authorized("GET", path)

    assert answer.status == 200
    assert "repo" in answer.headers["X-OAuth-Scopes"].split(", ")
    assert answer.body["actions_caches_url"] == (
        f"{owner.url}{path}repos/{{owner}}/{{repo}}/actions/caches"
    )


async def test_the_root_is_there_without_a_token(owner: Caretaker) -> None:
    answer = await owner.request("GET", f"{owner.url}/", headers={"Authorization": ""})

    assert answer.status == 200
    assert "X-OAuth-Scopes" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/api/v3/", "/rate_limit", "/api/v3/rate_limit"])
async def test_a_wrong_token_is_refused_even_where_none_is_needed(
    owner: Caretaker, path: str
) -> None:
    answer = await owner.request(
        "GET", f"{owner.url}{path}", headers={"Authorization": "token rc_wrong"}
    )

    assert (answer.status, answer.message()) == (401, "Bad credentials")


async def test_nobody_is_limited(owner: Caretaker) -> None:
    answer = await owner.request("GET", f"{owner.url}/rate_limit")

    rate = answer.body["rate"]
    assert answer.body == {"resources": {"core": rate}, "rate": rate}
    assert rate["remaining"] == rate["limit"]
    assert rate["used"] == 0
    assert answer.headers["X-RateLimit-Limit"] == str(rate["limit"])
    assert answer.headers["X-RateLimit-Reset"] == str(rate["reset"])


@pytest.mark.parametrize("path", ["/graphql", "/api/graphql"])
async def test_the_viewer_is_the_token(owner: Caretaker, path: str) -> None:
    answer = await owner.authorized("POST", path, json={"query": VIEWER, "variables": {}})

    assert answer.status == 200
    assert re.fullmatch("token-[0-9a-f]{12}", answer.body["data"]["viewer"]["login"])


@pytest.mark.parametrize("query", ["{viewer{email}}", "mutation{viewer{login}}", 7, None])
async def test_no_other_query_is_answered(owner: Caretaker, query: object) -> None:
    answer = await owner.authorized("POST", "/graphql", json={"query": query})

    assert (answer.status, list(answer.body)) == (200, ["errors"])


async def test_a_query_without_a_token_is_refused(owner: Caretaker) -> None:
    answer = await owner.request("POST", f"{owner.url}/graphql", json={"query": VIEWER})

    assert (answer.status, answer.message()) == (401, "Requires authentication")


async def test_the_token_of_a_job_is_none_of_these(owner: Caretaker) -> None:
    async with RawJob(owner.server) as job:
        answer = await job.authorized("GET", owner.caches)

    assert (answer.status, answer.message()) == (401, "Bad credentials")
