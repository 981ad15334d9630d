"""Explanations over the native protocol: who is told what."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from runcache.access import scopes_for
from runcache.server.context import JOB_TOKENS
from tests.faults.raw_job import VERSION, Answer, RawJob
from tests.in_process import MAIN
from tests.server.caretaker import Caretaker, caretaker
from tests.server.serving import Served, serving

# They share a server, which is on the loop of this module.
pytestmark = pytest.mark.asyncio(loop_scope="module")

PULL = "refs/pull/7/merge"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def owner(server: Served) -> AsyncIterator[Caretaker]:
    """Somebody whose token reads one repository, and no more."""
    async with caretaker(server) as owner:
        yield owner


def job_of(owner: Caretaker, ref: str, repository: str | None = None) -> RawJob:
    token = owner.server.wired.app[JOB_TOKENS].mint(
        repository=repository or owner.repository,
        scopes=scopes_for(ref=ref),
        ttl=timedelta(hours=1),
    )
    return RawJob(owner.server, token=token)


async def asked(caller: RawJob, repository: str, **members: object) -> Answer:
    body = {"key": "npm-1", "versions": [VERSION], **members}
    return await caller.authorized("POST", f"/runcache/v1/repos/{repository}/explain", json=body)


async def test_a_hit_is_explained(owner: Caretaker) -> None:
    entry = await owner.saved("npm-1")

    answer = await asked(owner, owner.repository.upper(), ref=PULL, restore_keys=["npm-"])

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body["answer"]["id"] == entry.id
    assert answer.body["kind"] == "exact"
    assert [scope["role"] for scope in answer.body["scopes"]] == ["own", "default"]
    outcomes = [step["outcome"] for step in answer.body["steps"]]
    assert outcomes == ["nothing"] * 4 + ["answered"] + ["not_reached"] * 3
    assert answer.body["nearest"] == []


async def test_paths_make_the_version_that_is_looked_for(owner: Caretaker) -> None:
    await owner.saved("npm-1", version="another")

    answer = await asked(owner, owner.repository, paths=["~/.npm"], compression="gzip")

    assert answer.body["question"]["inputs"]["paths"] == ["~/.npm"]
    assert len(answer.body["versions"]) == 1
    assert answer.body["nearest"][0]["cause"] == "other_version"


async def test_without_a_ref_it_is_the_default_branch(owner: Caretaker) -> None:
    answer = await asked(owner, owner.repository, default_branch="next")

    assert [scope["scope"] for scope in answer.body["scopes"]] == ["refs/heads/next"]


async def test_a_job_hears_of_its_own_scopes_alone(owner: Caretaker) -> None:
    await owner.saved("npm-1", ref=PULL)
    async with job_of(owner, MAIN) as on_main, job_of(owner, PULL) as on_pull:
        hidden = await asked(on_main, owner.repository, ref=PULL)
        found = await asked(on_pull, owner.repository)
    told = await asked(owner, owner.repository)

    assert [near["cause"] for near in hidden.body["nearest"]] == ["nothing_saved"]
    assert found.body["answer"]["scope"] == PULL
    assert found.body["question"]["ref"] == PULL
    assert [scope["role"] for scope in found.body["scopes"]] == ["own", "granted"]
    assert told.body["nearest"][0]["cause"] == "unreadable_scope"


async def test_what_a_token_does_not_reach_is_not_there(owner: Caretaker) -> None:
    await owner.saved("npm-1", repository="octo/private")
    async with job_of(owner, MAIN, repository="octo/else") as job:
        answers = [
            await asked(owner, "octo/private"),
            await asked(owner, "octo/never-was"),
            await asked(job, "octo/private"),
        ]

    for answer in answers:
        assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert len({answer.body["message"] for answer in answers}) == 1


@pytest.mark.parametrize("token", ["", "rc_0_0", "nonsense"])
async def test_without_a_token_that_counts_nothing_is_told(owner: Caretaker, token: str) -> None:
    async with RawJob(owner.server, token=token or "x") as stranger:
        answer = await asked(stranger, owner.repository)

    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"key": 1}, "malformed"),
        ({"key": "a,b"}, "invalid_argument"),
        ({"versions": []}, "invalid_argument"),
        ({"ref": "main"}, "invalid_argument"),
        ({"default_branch": "a..b"}, "invalid_argument"),
        ({"paths": ["x"] * 257}, "malformed"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    owner: Caretaker, members: dict[str, object], code: str
) -> None:
    answer = await asked(owner, owner.repository, **members)

    assert (answer.status, answer.body["code"]) == (400, code)


async def test_asking_is_no_access(owner: Caretaker) -> None:
    entry = await owner.saved("npm-1")

    for _ in range(3):
        await asked(owner, owner.repository)
    await owner.server.wired.service.record_accesses(link_ms=0)

    answer = await asked(owner, owner.repository)
    assert answer.body["answer"]["last_accessed_at"] == entry.created_at
