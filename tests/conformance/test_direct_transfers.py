"""Clients whose bytes come straight from a bucket, or through the server where they must."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import opendal
import pytest

from runcache.testing import LiveServer
from runcache.testing.live_server import COMMAND
from tests.conformance.jobs import V6, V6_OVER_V1, Client, Job, Repository
from tests.conformance.test_actions_cache import is_saved
from tests.conformance.test_azure_names import by_azure_name
from tests.conformance.test_sccache import SOURCE, compiled
from tests.conformance.trees import MIB, described, plant
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS
from tests.faults.raw_socket import eventually

LINK: Final = "/devstoreaccount1/actions-cache/{blob}"
PACK: Final = "/runcache/v1/uploads/{upload_id}/packs/{number}"
MANIFEST: Final = "/runcache/v1/uploads/{upload_id}/manifest"


@pytest.fixture(scope="module")
def server(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("direct")
    with LiveServer(
        folder / "data",
        environ=ENVIRONMENT,
        store=seaweedfs.store_url(secrets.token_hex(8)),
        direct_transfers="true",
    ) as server:
        yield server
    shutil.rmtree(folder)


class Log:
    """What a server logs from now on."""

    def __init__(self, server: LiveServer) -> None:
        self._file = server.log
        self._start = server.log.stat().st_size

    def lines(self) -> list[dict[str, object]]:
        with self._file.open("rb") as file:
            file.seek(self._start)
            # The last one may be on its way.
            return [json.loads(line) for line in file.read().split(b"\n")[:-1]]

    def events(self, name: str) -> list[dict[str, object]]:
        return [line for line in self.lines() if line["event"] == name]

    def answers(self, *routes: str) -> list[tuple[object, object]]:
        """Return method and status of requests to these routes."""
        found = [line for line in self.events("request") if line["route"] in routes]
        return [(line["method"], line["status"]) for line in found]

    def moved_bytes(self) -> list[object]:
        """Return how many bytes of blobs each request moved, where it moved any."""
        return [line["blob_bytes"] for line in self.events("request") if line["blob_bytes"]]


@pytest.mark.parametrize("client", [V6, V6_OVER_V1], ids=str)
async def test_githubs_client_follows_to_the_bucket(
    server: LiveServer, repository: Repository, client: Client, small: Path
) -> None:
    saving = repository.job(client, workspace=small)
    restoring = repository.job(client)
    saved = await saving.save("deps-1", "node modules")
    log = Log(server)

    restored = await restoring.restore("deps-1", paths=("node modules",))

    assert is_saved(saved)
    assert restored.result == "deps-1", restored.log
    assert described(restoring.workspace) == described(small)
    assert log.answers(LINK) == [("GET", 307)]
    assert log.moved_bytes() == []


async def test_what_githubs_client_saves_in_chunks_comes_from_the_bucket_once_it_is_composed(
    server: LiveServer, repository: Repository
) -> None:
    saving, early, late = (repository.job(V6_OVER_V1) for _ in range(3))
    plant(saving.workspace / "deps", size_bytes=34 * MIB)
    log = Log(server)
    saved = await saving.save("deps-1")
    first = await early.restore("deps-1")
    await eventually(lambda: log.events("composed"))
    log = Log(server)

    second = await late.restore("deps-1")

    assert is_saved(saved)
    assert first.result == second.result == "deps-1", first.log + second.log
    assert described(early.workspace) == described(late.workspace) == described(saving.workspace)
    assert log.answers(LINK) == [("GET", 307)]


async def test_azures_library_which_asks_in_its_own_way_is_answered_by_the_server(
    server: LiveServer, repository: Repository, small: Path
) -> None:
    saving = by_azure_name(repository.job(V6, workspace=small))
    restoring = by_azure_name(repository.job(V6))
    await saving.save("deps-1", "node modules")
    log = Log(server)

    restored = await restoring.restore("deps-1", paths=("node modules",))

    assert restored.result == "deps-1", restored.log
    assert described(restoring.workspace) == described(small)
    assert set(log.answers(LINK)) == {("HEAD", 200), ("GET", 206)}


@pytest.mark.parametrize("version", ["v2", "v1"])
def test_opendal_follows_with_its_ranges(
    server: LiveServer, repository: Repository, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = repository.job()
    monkeypatch.setenv("ACTIONS_RESULTS_URL", job.url)
    monkeypatch.setenv("ACTIONS_CACHE_URL", job.url)
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", job.token)
    monkeypatch.setenv("ACTIONS_CACHE_SERVICE_V2", "true" if version == "v2" else "")
    storage = opendal.Operator("ghac", version="v1", root="/cargo/")
    body = os.urandom(MIB)
    storage.write("registry/index", body)
    log = Log(server)

    found = storage.stat("registry/index").content_length
    read = [storage.read("registry/index"), storage.read("registry/index", offset=1000, size=24)]

    assert found == MIB
    assert read == [body, body[1000:1024]]
    assert log.answers(LINK) == [("GET", 307)] * 3


def test_sccache_follows(server: LiveServer, repository: Repository) -> None:
    cold = compiled(repository.job(), SOURCE)
    log = Log(server)

    warm = compiled(repository.job(), SOURCE)

    assert (warm.hits, warm.misses, warm.errors) == (1, 0, 0)
    assert warm.code == cold.code
    assert {status for _, status in log.answers(LINK)} == {307}


def test_our_client_sends_and_fetches_past_the_server(
    server: LiveServer, repository: Repository
) -> None:
    saving, restoring = repository.job(), repository.job()
    plant(saving.workspace / "deps", size_bytes=34 * MIB)
    log = Log(server)

    ours(saving, "save")
    ours(restoring, "restore")

    assert described(restoring.workspace) == described(saving.workspace)
    assert log.moved_bytes() == []
    assert set(log.answers(PACK, MANIFEST)) == {("POST", 204)}
    # That of the manifest: where the packs are is said by the lookup.
    assert log.answers(LINK) == [("GET", 307)]


def ours(job: Job, command: str) -> None:
    job.workspace.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(job.home),
        "RUNCACHE_URL": job.url,
        "RUNCACHE_TOKEN": job.token,
    }
    subprocess.run(
        [*COMMAND, command, "--key", "deps-1", "--path", "deps", "--on-error", "fail"],
        cwd=job.workspace,
        env=environment,
        check=True,
    )
