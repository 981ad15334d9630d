"""Clients on two replicas over PostgreSQL and S3: saved through one, found by the other."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from runcache.client.results import Hit
from runcache.testing import LiveServer
from tests.conformance.jobs import V3, V6, Client, Job, Repository
from tests.conformance.programs import found
from tests.conformance.test_actions_cache import archive_bytes, is_saved
from tests.conformance.test_client_archives import ours, restored, saved
from tests.conformance.test_gh import Gh, Route
from tests.conformance.trees import BLOCKS_ABOVE_BYTES, described
from tests.engines.postgres import Postgres
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS
from tests.replicas import replicas

PATH: Final = "node modules"

each_client = pytest.mark.parametrize("client", [V6, V3], ids=str)


@pytest.fixture(scope="module")
def pair(
    postgres: Postgres, seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[LiveServer]]:
    found("tar")
    folder = tmp_path_factory.mktemp("pair")
    store = seaweedfs.store_url("conformance")
    with (
        postgres.database() as catalog,
        replicas(folder, catalog=catalog, store=store, environ=ENVIRONMENT) as started,
    ):
        yield started.running


@pytest.fixture
def server(pair: list[LiveServer]) -> LiveServer:
    """The replica that jobs use."""
    return pair[0]


@pytest.fixture
def other(pair: list[LiveServer]) -> LiveServer:
    return pair[1]


def moved(job: Job, server: LiveServer) -> Job:
    """Return a job as it is sent to another replica."""
    return replace(job, url=server.url)


@each_client
async def test_a_folder_comes_back_from_the_other_replica(
    repository: Repository, other: LiveServer, client: Client, small: Path
) -> None:
    saving = repository.job(client, workspace=small)
    restoring = moved(repository.job(client), other)

    done = await saving.save("deps-1", PATH)
    back = await restoring.restore("deps-2", "deps-", paths=(PATH,))
    again = await moved(saving, other).save("deps-1", PATH)

    assert is_saved(done)
    assert back.result == "deps-1", back.log
    assert described(restoring.workspace) == described(small)
    assert not is_saved(again)
    assert "already exists" in again.log


async def test_a_folder_that_needs_blocks_comes_back_from_the_other_replica(
    repository: Repository, other: LiveServer, large: Path
) -> None:
    restoring = moved(repository.job(), other)

    done = await repository.job(workspace=large).save("deps-1", PATH)
    back = await restoring.restore("deps-1", paths=(PATH,))

    assert is_saved(done)
    assert back.result == "deps-1", back.log
    assert archive_bytes(back) > BLOCKS_ABOVE_BYTES
    assert described(restoring.workspace) == described(large)


async def test_our_client_and_the_official_one_find_what_the_other_saved(
    repository: Repository, other: LiveServer, small: Path
) -> None:
    official = repository.job(workspace=small)
    mine = moved(repository.job(workspace=small), other)
    restoring = repository.job(), moved(repository.job(), other)

    await official.save("theirs", PATH)
    await saved(mine, "ours", PATH)
    back = await restoring[0].restore("ours", paths=(PATH,))
    hit = await restored(restoring[1], "theirs", PATH)

    assert back.result == "ours", back.log
    assert isinstance(hit, Hit)
    assert [described(job.workspace) for job in restoring] == [described(small)] * 2


def test_a_snapshot_shares_packs_with_one_that_came_through_another_replica(
    repository: Repository, other: LiveServer, small: Path
) -> None:
    first, second = repository.job(workspace=small), moved(repository.job(workspace=small), other)
    restoring = repository.job()

    with ours(first) as client:
        whole = client.save([PATH], key="deps-1")
    with ours(second) as client:
        shared = client.save([PATH], key="deps-2")
    with ours(restoring) as client:
        hit = client.restore([PATH], key="deps-2")

    assert whole.created
    assert shared.created
    assert hit is not None
    assert shared.new_bytes < whole.new_bytes / 100
    assert described(restoring.workspace) == described(small)


async def test_gh_lists_and_deletes_through_any_replica(
    repository: Repository, pair: list[LiveServer], small: Path, tmp_path: Path
) -> None:
    token = await asyncio.to_thread(pair[0].api_token, repository.name, can_write=True)
    one, other = (Gh(Route(server, token, token), tmp_path, repository.name) for server in pair)
    await repository.job(workspace=small).save("npm-1", PATH)
    await repository.job(workspace=small).save("npm-2", PATH)

    listed = other.listed("--sort", "created_at", "--order", "asc")
    deleted = one("cache", "delete", "npm-1")

    assert listed == [{"key": "npm-1"}, {"key": "npm-2"}]
    assert (deleted.returncode, deleted.stderr) == (0, "")
    assert other.listed() == [{"key": "npm-2"}]
