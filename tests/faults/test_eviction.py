"""What is evicted is gone for lookups at once, and for those who already restore it not at all."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from runcache.testing import LiveServer
from tests.faults.conftest import StartServer
from tests.faults.disk import execute, on_disk
from tests.faults.native_job import MANIFEST, NativeJob
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import eventually, slow_connection

MIB: Final = 1024 * 1024
# The client gives up when nothing comes for so long (protocol §5.1).
PATIENCE_OF_CLIENTS_SECONDS: Final = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with default settings."""
    server = LiveServer(tmp_path_factory.mktemp("eviction") / "data")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that keeps 100 KB of each repository."""
    server = LiveServer(tmp_path_factory.mktemp("limited") / "data", repo_limit="100KB")
    yield server
    server.kill()


async def run(*arguments: str, data: Path) -> None:
    """Run a command of runcache on a data folder that a server uses, too."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runcache.cli.main", *arguments, "--data", str(data))
    )
    assert await process.wait() == 0


async def forget_all(data: Path) -> None:
    await run("forget", "--repo-limit", "0", data=data)


async def link_to(job: RawJob, key: str) -> str:
    link = await job.download_link(key)
    assert link is not None
    return link


class SlowDownload:
    """A download by a client that reads on only when it is told to."""

    def __init__(self, connection: socket.socket, url: str, link: str) -> None:
        self._file = connection.makefile("rb", buffering=0)
        target = link.removeprefix(url)
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self._file.read(1) or b""

    def read(self, size_bytes: int) -> bytes:
        read = bytearray()
        while len(read) < size_bytes and (data := self._file.read(size_bytes - len(read))):
            read += data
        return bytes(read)


async def test_a_slow_restore_gets_every_byte_of_an_entry_that_is_evicted_meanwhile(
    server: LiveServer,
) -> None:
    data = os.urandom(8 * MIB)
    async with RawJob(server) as job:
        await job.save("evicted", data, blocks=16)
        link = await link_to(job, "evicted")
        with slow_connection(server.url) as connection:
            download = await asyncio.to_thread(SlowDownload, connection, job.url, link)
            read = await asyncio.to_thread(download.read, 1000)

            await forget_all(server.data)
            await run("prune", data=server.data)
            is_found = await job.content("evicted")
            read += await asyncio.to_thread(download.read, len(data) - 1000)

    assert b"\r\nContent-Length: 8388608\r\n" in download.head
    assert is_found is None
    assert read == data


async def test_a_slow_restore_gets_every_byte_though_the_file_is_deleted_meanwhile(
    server: LiveServer,
) -> None:
    data = os.urandom(8 * MIB)
    async with RawJob(server) as job:
        await job.save("deleted", data)
        link = await link_to(job, "deleted")
        with slow_connection(server.url) as connection:
            download = await asyncio.to_thread(SlowDownload, connection, job.url, link)
            read = await asyncio.to_thread(download.read, 1000)

            await forget_all(server.data)
            # As if its links had ended long ago.
            await asyncio.to_thread(execute, server.data, "UPDATE blobs SET kept_until = 0")
            await run("prune", data=server.data)
            left = await asyncio.to_thread(on_disk, server.data)
            read += await asyncio.to_thread(download.read, len(data) - 1000)

    assert left.parts == frozenset()
    assert read == data


async def test_a_link_works_although_its_entry_was_evicted(server: LiveServer) -> None:
    data = os.urandom(MIB)
    async with RawJob(server) as job:
        await job.save("linked", data, blocks=4)
        link = await link_to(job, "linked")

        await forget_all(server.data)
        await run("prune", data=server.data)

        assert await job.content("linked") is None
        assert await job.get(link) == data
        part = await job.request("GET", link, headers={"Range": "bytes=300000-300009"})
        assert (part.status, part.body) == (206, data[300_000:300_010])
        head = await job.request("HEAD", link)
        assert head.headers["Content-Length"] == str(MIB)
        # Its key is free, and what is saved there is another blob.
        await job.save("linked", b"another")
        assert await job.content("linked") == b"another"
        assert await job.get(link) == data


async def test_fifty_readers_of_a_new_entry_do_not_stall(server: LiveServer) -> None:
    data = os.urandom(8 * MIB)
    pauses: list[float] = []
    loop = asyncio.get_running_loop()

    async def restore(job: RawJob) -> bool:
        link = await link_to(job, "read by many")
        read = bytearray()
        asked_at = loop.time()
        async with job.session.get(link) as response:
            async for piece in response.content.iter_any():
                pauses.append(loop.time() - asked_at)
                asked_at = loop.time()
                read += piece
        return bytes(read) == data

    async with RawJob(server) as job:
        await job.save("read by many", data, blocks=8)
        begun = [loop.create_future() for _ in range(50)]
        for number, begin in enumerate(begun):
            loop.call_later(number * 0.1, begin.set_result, None)

        async def restore_after(begin: asyncio.Future[None]) -> bool:
            await begin
            return await restore(job)

        are_equal = await asyncio.gather(*map(restore_after, begun))

    assert all(are_equal)
    assert max(pauses) < PATIENCE_OF_CLIENTS_SECONDS


async def keys_left(job: RawJob, *keys: str) -> set[str]:
    return {key for key in keys if await job.content(key) is not None}


def saved_in(data: Path, repository: str) -> set[str]:
    """Return the keys in the catalog, without touching any."""
    rows = execute(
        data,
        "SELECT key FROM entries JOIN repositories ON repositories.id = repository_id"
        " WHERE name = ?",
        repository,
    )
    return {str(row[0]) for row in rows}


async def swept(server: LiveServer, repository: str, expected: set[str]) -> None:
    """Wait until a sweep left these entries of a repository, and no other."""
    await eventually(lambda: saved_in(server.data, repository) == expected)


def job_of(server: LiveServer, repository: str) -> RawJob:
    return RawJob(server, token=server.job_token(repository=repository))


async def test_above_repo_limit_the_least_recently_used_goes(limited: LiveServer) -> None:
    async with job_of(limited, "octo/lru") as job:
        await job.save("a", os.urandom(40_000))
        await job.save("b", os.urandom(40_000))
        assert await job.content("a") is not None

        saved = await job.save("c", os.urandom(40_000))

        assert saved.body["ok"] is True
        await swept(limited, "octo/lru", {"a", "c"})
        assert await keys_left(job, "a", "b", "c") == {"a", "c"}


async def test_an_entry_above_repo_limit_is_saved_and_only_it_goes(limited: LiveServer) -> None:
    async with job_of(limited, "octo/huge") as job:
        await job.save("a", os.urandom(40_000))
        await job.save("b", os.urandom(40_000))

        saved = await job.save("huge", os.urandom(150_000))

        assert saved.body["ok"] is True
        await swept(limited, "octo/huge", {"a", "b"})
        assert await keys_left(job, "a", "b", "huge") == {"a", "b"}


async def test_what_is_evicted_counts_no_more(limited: LiveServer) -> None:
    token = await asyncio.to_thread(limited.api_token, "octo/counted")
    async with job_of(limited, "octo/counted") as job, RawJob(limited, token=token) as owner:
        for key in ("a", "b", "c"):
            await job.save(key, os.urandom(40_000))
        await swept(limited, "octo/counted", {"b", "c"})

        usage = await owner.authorized("GET", "/repos/octo/counted/actions/cache/usage")

    assert usage.body == {
        "full_name": "octo/counted",
        "active_caches_size_in_bytes": 80_000,
        "active_caches_count": 2,
    }


async def test_above_total_limit_the_least_recently_used_of_all_goes(
    start_server: StartServer,
) -> None:
    server = await asyncio.to_thread(start_server, total_limit="100KB")
    async with job_of(server, "octo/one") as one, job_of(server, "octo/two") as two:
        await two.save("oldest", os.urandom(40_000))
        await one.save("a", os.urandom(40_000))
        await one.save("b", os.urandom(40_000))

        await swept(server, "octo/two", set())
        assert await two.content("oldest") is None
        assert await keys_left(one, "a", "b") == {"a", "b"}


async def test_packs_that_two_snapshots_share_live_until_the_last_one_goes(
    start_server: StartServer,
) -> None:
    server = await asyncio.to_thread(start_server)
    token = await asyncio.to_thread(server.api_token, "octo/hello")
    common, old, new = (os.urandom(100_000) for _ in range(3))
    async with NativeJob(server) as job, RawJob(server, token=token) as owner:
        await job.save_snapshot("first", common, old)
        found = await job.lookup("first")
        await job.save_snapshot("second", new, bases="auto", shared=["1-0"])

        # What is left must be as large as the second one, each blob of it counted once.
        limit = f"{200_000 + len(MANIFEST)}B"
        await run("forget", "--repo-limit", limit, data=server.data)
        await run("prune", data=server.data)
        kept = await asyncio.to_thread(on_disk, server.data)
        packs = [await job.get(blob["url"]) for blob in found.body["blobs"][1:]]
        # As if all links had ended long ago.
        await asyncio.to_thread(execute, server.data, "UPDATE blobs SET kept_until = 0")
        await run("prune", data=server.data)
        left = await asyncio.to_thread(on_disk, server.data)

        assert await job.snapshot("first") is None
        assert packs == [common, old]
        assert await job.snapshot("second") == [new, common]
        assert (len(kept.blobs), len(left.blobs)) == (5, 3)
        usage = await owner.authorized("GET", "/repos/octo/hello/actions/cache/usage")
        assert usage.body["active_caches_size_in_bytes"] == 200_000 + len(MANIFEST)
        await forget_all(server.data)
        await asyncio.to_thread(execute, server.data, "UPDATE blobs SET kept_until = 0")
        await run("prune", data=server.data)
        assert not (await asyncio.to_thread(on_disk, server.data)).blobs


async def test_the_base_of_a_running_upload_is_kept_though_it_is_evicted(
    start_server: StartServer,
) -> None:
    server = await asyncio.to_thread(start_server)
    common = os.urandom(100_000)
    async with NativeJob(server) as job:
        await job.save_snapshot("first", common)
        upload_id = await job.upload("second", "auto")

        await forget_all(server.data)
        await asyncio.to_thread(execute, server.data, "UPDATE blobs SET kept_until = 0")
        await run("prune", data=server.data)
        await job.put_manifest(upload_id)
        committed = await job.commit(upload_id, ["1-0"])

        assert committed.status == 200
        assert await job.snapshot("first") is None
        assert await job.snapshot("second") == [common]


@pytest.fixture(scope="module")
def choosy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that takes no entry above 1 MB."""
    server = LiveServer(tmp_path_factory.mktemp("choosy") / "data", entry_limit="1MB")
    yield server
    server.kill()


async def test_a_whole_body_above_entry_limit_is_refused(choosy: LiveServer) -> None:
    async with RawJob(choosy) as job:
        link = await job.upload_link("whole")

        refused = await job.put(link, os.urandom(2_000_000))

        assert (refused.status, refused.azure_error()) == (413, "RequestBodyTooLarge")
        assert "1000000" in refused.body
        # The job may still save less.
        assert (await job.put(link, os.urandom(1_000_000))).status == 201
        assert (await job.finalize("whole", 1_000_000)).body["ok"] is True


async def test_blocks_above_entry_limit_together_are_refused(choosy: LiveServer) -> None:
    async with RawJob(choosy) as job:
        link = await job.upload_link("blocks")
        first = await job.put_block(link, "A", os.urandom(600_000))

        refused = await job.put_block(link, "B", os.urandom(600_000))

        assert first.status == 201
        assert (refused.status, refused.azure_error()) == (413, "RequestBodyTooLarge")


async def test_a_finalize_above_entry_limit_says_so(choosy: LiveServer) -> None:
    async with RawJob(choosy) as job:
        await job.upload_link("finalized")

        refused = await job.finalize("finalized", 2_000_000)

        assert refused.status == 200
        assert refused.body["ok"] is False
        assert "at most 1000000 bytes" in refused.body["message"]


async def test_chunks_above_entry_limit_are_refused(choosy: LiveServer) -> None:
    async with RawJob(choosy) as job:
        cache_id = (await job.reserve_v1("chunks")).body["cacheId"]

        refused = await job.patch(cache_id, 0, os.urandom(2_000_000))

        assert refused.status == 413
        assert "at most 1000000 bytes" in refused.message()
