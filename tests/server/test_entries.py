"""A single entry and its files, over the native protocol."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from runcache.model import Entry, Inputs, PackName
from tests.faults.raw_job import Answer
from tests.in_process import MAIN, SNAPSHOT, body_of, digests_of, job
from tests.server.caretaker import Caretaker, caretaker
from tests.server.serving import Served, serving
from tests.snapshot.manifests import SAMPLE

# They share a server, which is on the loop of this module.
pytestmark = pytest.mark.asyncio(loop_scope="module")

PACK: Final = b"pack"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def owner(server: Served) -> AsyncIterator[Caretaker]:
    """Somebody whose token reads one repository, and no more."""
    async with caretaker(server) as owner:
        yield owner


async def saved_snapshot(owner: Caretaker, manifest: bytes) -> Entry:
    snapshots = owner.server.wired.service.snapshots
    grant = job(repository=owner.repository)
    inputs = Inputs(paths=("deps", "lock"), compression="x", system="Linux", cross_os=False)
    upload, _ = await snapshots.reserve(grant, "k", SNAPSHOT, (), inputs=inputs)
    pack = PackName(upload.id, 0)
    await snapshots.write_pack(
        grant, pack, body_of(PACK), announced_bytes=len(PACK), **digests_of(PACK)
    )
    await snapshots.write_manifest(
        grant, upload.id, body_of(manifest), announced_bytes=len(manifest), **digests_of(manifest)
    )
    return await snapshots.commit(grant, upload.id, [pack])


async def asked(owner: Caretaker, entry_id: object, rest: str = "", **other: str) -> Answer:
    repository = other.get("repository", owner.repository)
    path = f"/runcache/v1/repos/{repository}/entries/{entry_id}{rest}"
    return await owner.authorized("GET", path)


def paths_in(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [file["path"] for file in answer.body["files"]]


async def test_an_entry_is_described(owner: Caretaker) -> None:
    entry = await saved_snapshot(owner, SAMPLE.encode())

    answer = await asked(owner, entry.id)

    assert answer.status == 200
    expected: dict[str, Any] = {
        "id": entry.id,
        "repository": owner.repository,
        "ref": MAIN,
        "key": "k",
        "version": SNAPSHOT,
        "format": "snapshot",
        "size_bytes": entry.size_bytes,
        "own_bytes": entry.size_bytes,
        "shared_bytes": 0,
        "blob_count": 2,
        "created_at": entry.created_at,
        "last_accessed_at": entry.created_at,
        "restored_at": [],
    }
    origin = answer.body.pop("origin")
    assert answer.body == expected
    assert origin["paths"] == ["deps", "lock"]
    assert origin["ref"] == MAIN


async def test_names_count_in_any_case(owner: Caretaker) -> None:
    entry = await owner.saved("k")

    answer = await asked(owner, entry.id, repository=owner.repository.upper())

    assert (answer.status, answer.body["format"]) == (200, "archive")


async def test_files_are_listed_a_page_at_a_time(owner: Caretaker) -> None:
    entry = await saved_snapshot(owner, SAMPLE.encode())

    first = await asked(owner, entry.id, "/files?limit=4")
    second = await asked(owner, entry.id, f"/files?limit=4&after={first.body['next']}")
    found = await asked(owner, entry.id, "/files?search=A/")

    assert paths_in(first) == ["deps", "deps/a", "deps/a/b", "deps/big"]
    assert paths_in(second) == ["deps/link", "lock"]
    assert (first.body["total_count"], second.body["next"]) == (6, None)
    assert (paths_in(found), found.body["total_count"]) == (["deps/a/b"], 1)


async def test_an_archive_has_no_list_of_files(owner: Caretaker) -> None:
    entry = await owner.saved("k")

    answer = await asked(owner, entry.id, "/files")

    assert (answer.status, answer.body["files"]) == (200, None)


@pytest.mark.parametrize("rest", ["", "/files"])
@pytest.mark.parametrize("entry_id", ["0", "999", "x", "-1", "9" * 40])
async def test_an_entry_that_is_not_there_is_not_found(
    owner: Caretaker, entry_id: str, rest: str
) -> None:
    answer = await asked(owner, entry_id, rest)

    assert (answer.status, answer.body["code"]) == (404, "not_found")


@pytest.mark.parametrize("rest", ["", "/files"])
async def test_a_token_of_another_repository_finds_nothing(
    server: Served, owner: Caretaker, rest: str
) -> None:
    entry = await saved_snapshot(owner, SAMPLE.encode())

    async with caretaker(server) as stranger:
        asked_there = await asked(stranger, entry.id, rest, repository=owner.repository)
        asked_here = await asked(stranger, entry.id, rest)

    assert asked_there.status == asked_here.status == 404


@pytest.mark.parametrize("rest", ["", "/files"])
async def test_a_job_token_is_none_here(owner: Caretaker, rest: str) -> None:
    entry = await owner.saved("k")
    owner.token = owner.server.job_token()

    answer = await asked(owner, entry.id, rest)

    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=0", "limit=10001", "after=x"])
async def test_a_parameter_that_cannot_be_is_refused(owner: Caretaker, query: str) -> None:
    entry = await saved_snapshot(owner, SAMPLE.encode())

    answer = await asked(owner, entry.id, f"/files?{query}")

    assert (answer.status, answer.body["code"]) == (400, "invalid_argument")


async def test_a_manifest_that_is_none_is_refused_with_a_way_out(owner: Caretaker) -> None:
    entry = await saved_snapshot(owner, b"garbage")

    answer = await asked(owner, entry.id, "/files")

    assert answer.status == 400
    assert answer.body["message"].startswith("the files of this entry cannot be listed: ")
    assert answer.body["hint"]
