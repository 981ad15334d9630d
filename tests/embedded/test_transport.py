"""The cache without a server: the same, in one process or in several at once."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from blake3 import blake3

from runcache.client.environment import Given
from runcache.client.results import Format
from runcache.client.transports import SnapshotUpload
from runcache.embedded import EmbeddedTransport
from runcache.errors import (
    DigestMismatch,
    EntryExists,
    InvalidRepository,
    InvalidSettings,
    PackGone,
)
from runcache.testing import LiveServer
from tests.client.machines import Machine
from tests.client.test_client import each_format
from tests.conformance.trees import MIB, described, plant

SAVE: Final = """
import json, sys
from msgspec.structs import asdict
from pathlib import Path
from runcache.client.environment import Environment, Given
from runcache.library import open_client

data, folder, home, key = sys.argv[1:]
environment = Environment(Given(data=data), variables={"HOME": home}, folder=Path(folder))
with open_client(environment, warn=print) as client:
    print(json.dumps(asdict(client.save(["deps"], key=key))))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def machine(
    tmp_path: Path, data: Path, name: str, *, repo: str | None = None, ref: str | None = None
) -> Machine:
    return Machine(tmp_path / name, Given(data=str(data), repo=repo, ref=ref))


@each_format
def test_what_is_saved_is_restored(tmp_path: Path, data: Path, form: Format) -> None:
    saving, restoring = (machine(tmp_path, data, name) for name in ("one", "two"))
    plant(saving.workspace / "deps", size_bytes=3 * MIB)

    saved = saving.save("deps-1", format=form)
    hit = restoring.restore("deps-2", "deps-")

    assert (saved.created, saved.scope) == (True, "refs/heads/main")
    assert hit is not None
    assert (hit.matched_key, hit.format, hit.size_bytes) == ("deps-1", form, saved.size_bytes)
    assert described(restoring.workspace) == described(saving.workspace)
    assert not saving.save("deps-1", format=form).created


def test_nothing_is_none(tmp_path: Path, data: Path) -> None:
    assert machine(tmp_path, data, "one").restore("deps-1", "deps-") is None


def test_only_what_changed_is_stored(tmp_path: Path, data: Path) -> None:
    saving = machine(tmp_path, data, "one")
    for number in range(20):
        saving.write(f"deps/{number}", os.urandom(100_000))
    saving.save("deps-1")
    saving.write("deps/7", "changed")

    saved = saving.save("deps-2")
    restored = machine(tmp_path, data, "two")
    restored.restore("deps-2")

    assert saved.new_bytes < 100_000 < saved.size_bytes
    assert described(restored.workspace) == described(saving.workspace)


def test_branches_see_each_other_as_github_has_it(tmp_path: Path, data: Path) -> None:
    on_main = machine(tmp_path, data, "main", ref="refs/heads/main")
    on_topic = machine(tmp_path, data, "topic", ref="refs/heads/topic")
    for each in (on_main, on_topic):
        each.write("deps/file")
    on_main.save("of-main")
    on_topic.save("of-topic")

    assert on_topic.restore("of-main") is not None
    assert on_main.restore("of-topic") is None


def test_repositories_do_not_see_each_other(tmp_path: Path, data: Path) -> None:
    saving = machine(tmp_path, data, "one", repo="octo/one")
    saving.write("deps/file")
    saving.save("deps-1")

    assert machine(tmp_path, data, "two", repo="octo/other").restore("deps-1") is None
    assert machine(tmp_path, data, "three", repo="Octo/One").restore("deps-1") is not None


def test_a_repository_that_cannot_be_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(InvalidRepository):
        machine(tmp_path, data, "one", repo="no slash").restore("k")


def test_settings_are_those_of_the_server(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_REPO_LIMIT", "1MB")
    saving = machine(tmp_path, data, "one")
    for number in range(4):
        saving.write("deps/file", os.urandom(400_000))
        saving.save(f"deps-{number}", base="none")

    kept = [number for number in range(4) if saving.restore(f"deps-{number}", lookup_only=True)]

    assert kept == [2, 3]


def test_a_setting_that_cannot_be_is_refused(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_REPO_LIMIT", "plenty")

    with pytest.raises(InvalidSettings):
        machine(tmp_path, data, "one").restore("k")


def test_a_server_on_the_same_folder_has_the_same_entries(tmp_path: Path, data: Path) -> None:
    local = machine(tmp_path, data, "one", repo="octo/hello")
    local.write("deps/file", "saved without a server")
    with LiveServer(data) as server:
        local.save("deps-1")
        remote = Machine(tmp_path / "two", Given(url=server.url, token=server.job_token()))
        remote.restore("deps-1")
        remote.write("deps/file", "saved over HTTP")
        remote.save("deps-2")

        local.restore("deps-2")

    assert remote.read("deps/file") == local.read("deps/file") == b"saved over HTTP"


@pytest.mark.parametrize("count", [4])
def test_several_processes_save_different_keys_at_once(
    tmp_path: Path, data: Path, count: int
) -> None:
    machines = [machine(tmp_path, data, f"m{number}") for number in range(count)]
    for number, each in enumerate(machines):
        each.write("deps/file", f"of {number} " * 50_000)

    saves = in_processes(data, [(each, f"deps-{n}") for n, each in enumerate(machines)])

    assert all(save["created"] for save in saves)
    for number, each in enumerate(machines):
        restored = machine(tmp_path, data, f"r{number}")
        restored.restore(f"deps-{number}")
        assert restored.read("deps/file") == each.read("deps/file")


def test_of_several_processes_with_one_key_one_wins(tmp_path: Path, data: Path) -> None:
    machines = [machine(tmp_path, data, f"m{number}") for number in range(4)]
    for number, each in enumerate(machines):
        each.write("deps/file", f"of {number}")

    saves = in_processes(data, [(each, "deps-1") for each in machines])
    restored = machine(tmp_path, data, "r")
    restored.restore("deps-1")

    (winner,) = [number for number, save in enumerate(saves) if save["created"]]
    assert restored.read("deps/file") == f"of {winner}".encode()


def in_processes(data: Path, saves: list[tuple[Machine, str]]) -> list[dict[str, object]]:
    """Save `deps` of each machine, all at once, each in a process of its own."""

    def save(each: Machine, key: str) -> dict[str, object]:
        folders = [str(folder) for folder in (data, each.workspace, each.home)]
        command = [sys.executable, "-c", SAVE, *folders, key]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    with ThreadPoolExecutor(len(saves)) as pool:
        return list(pool.map(lambda one: save(*one), saves))


def test_several_threads_may_use_it_at_once(tmp_path: Path, data: Path) -> None:
    machines = [machine(tmp_path, data, f"m{number}") for number in range(4)]
    with machines[0].client() as shared, ThreadPoolExecutor(4) as pool:
        for number, each in enumerate(machines):
            each.write("deps/file", f"of {number}")
        clients = [shared] * 4
        keys = [f"k-{number}" for number in range(4)]
        saves = list(pool.map(lambda c, k: c.save(["deps"], key=k), clients, keys))

    assert all(saved.created for saved in saves)


def test_entries_that_rotted_are_a_miss_and_gone(tmp_path: Path, data: Path) -> None:
    saving, restoring = (machine(tmp_path, data, name) for name in ("one", "two"))
    saving.write("deps/file", os.urandom(100_000))
    saving.save("deps-1")
    for part in (data / "blobs").rglob("*"):
        if part.is_file() and part.stat().st_size > 90_000:
            part.write_bytes(os.urandom(part.stat().st_size))

    first = restoring.restore("deps-1")
    again = restoring.restore("deps-1", lookup_only=True)

    assert first is None
    assert "cannot be restored" in restoring.warnings[0]
    assert again is None


def test_a_pack_that_is_not_there_is_refused(tmp_path: Path, data: Path) -> None:
    with machine(tmp_path, data, "one").client() as client:
        transport = client._transport  # noqa: SLF001  -- below what clients do
        assert isinstance(transport, EmbeddedTransport)
        upload = transport.reserve_snapshot("k", "v", ())
        digests = {"blake3": bytes(32), "sha256": bytes(32)}
        with pytest.raises(DigestMismatch):
            transport.put_manifest(upload, memoryview(b"manifest"), **digests)
        put_whole(transport, upload)
        with pytest.raises(PackGone):
            transport.commit(upload, ["999-0"])
        transport.abandon(upload)
        transport.abandon(upload)

        assert transport.reserve_snapshot("k", "v", ()).id != upload.id


def put_whole(transport: EmbeddedTransport, upload: SnapshotUpload) -> None:
    body = b"manifest"
    transport.put_manifest(
        upload,
        memoryview(body),
        blake3=blake3(body).digest(),
        sha256=hashlib.sha256(body).digest(),
    )


def test_two_jobs_do_not_reserve_the_same_key(tmp_path: Path, data: Path) -> None:
    with (
        machine(tmp_path, data, "one").client() as one,
        machine(tmp_path, data, "two").client() as two,
    ):
        one._transport.reserve_snapshot("k", "v", ())  # noqa: SLF001  -- as above
        with pytest.raises(EntryExists):
            two._transport.reserve_snapshot("k", "v", ())  # noqa: SLF001  -- as above


def test_what_looks_after_entries_is_not_imported_for_a_save() -> None:
    code = "import runcache.embedded, sys; print(*sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    late = {"catalog.listing", "catalog.near", "details", "listing", "service.management"}
    assert not {f"runcache.{name}" for name in late} & set(ran.stdout.split())
