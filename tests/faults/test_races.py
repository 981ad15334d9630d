"""Jobs that want the same key at the same time: one gets it, the others are told."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from runcache.testing import LiveServer
from tests.faults.disk import in_catalog, on_disk
from tests.faults.raw_job import Answer, RawJob
from tests.faults.raw_socket import connect, eventually

JOBS = 24


async def open_jobs(stack: AsyncExitStack, server: LiveServer) -> list[RawJob]:
    """Return jobs that are all different."""
    return [await stack.enter_async_context(RawJob(server)) for _ in range(JOBS)]


def files_of(server: LiveServer, link: str) -> list[Path]:
    """Return what lies in the folder of the blob that a link leads to."""
    blob = link.partition("?")[0].rpartition("/")[2]
    return list((server.data / "blobs" / blob[:2] / blob).glob("*"))


async def test_of_many_jobs_that_save_a_key_over_v2_one_does(shared_server: LiveServer) -> None:
    async with AsyncExitStack() as stack:
        jobs = await open_jobs(stack, shared_server)

        answers = await asyncio.gather(
            *(job.save("raced", f"data of {number}".encode()) for number, job in enumerate(jobs))
        )

        saved = [number for number, answer in enumerate(answers) if answer.status == 200]
        assert len(saved) == 1
        assert answers[saved[0]].body["ok"] is True
        refused = [answer for answer in answers if answer.status != 200]
        assert {(answer.status, answer.twirp_error()) for answer in refused} == {
            (409, "already_exists")
        }
        assert all("already exists" in answer.body["msg"] for answer in refused)
        for job in jobs[:3]:
            assert await job.content("raced") == f"data of {saved[0]}".encode()


async def test_of_many_jobs_that_save_a_key_over_v1_one_does(shared_server: LiveServer) -> None:
    async with AsyncExitStack() as stack:
        jobs = await open_jobs(stack, shared_server)

        answers = await asyncio.gather(
            *(job.save_v1("raced-v1", f"{number}".encode()) for number, job in enumerate(jobs))
        )

        saved = [number for number, answer in enumerate(answers) if answer.status == 204]
        assert len(saved) == 1
        refused = [answer for answer in answers if answer.status != 204]
        assert {answer.status for answer in refused} == {409}
        assert all("already exists" in answer.message() for answer in refused)
        assert await jobs[0].content("raced-v1") == f"{saved[0]}".encode()


async def test_of_many_jobs_over_both_protocols_one_saves(shared_server: LiveServer) -> None:
    async with AsyncExitStack() as stack:
        jobs = await open_jobs(stack, shared_server)

        answers = await asyncio.gather(
            *(
                job.save("raced-both", b"same")
                if number % 2
                else job.save_v1("raced-both", b"same")
                for number, job in enumerate(jobs)
            )
        )

        assert sorted(answer.status for answer in answers)[:2] in ([200, 409], [204, 409])
        assert sum(answer.status == 409 for answer in answers) == JOBS - 1


async def test_the_same_job_may_reserve_again_and_its_older_links_lead_nowhere(
    shared_server: LiveServer,
) -> None:
    async with RawJob(shared_server) as job:
        older = await job.upload_link("reserved twice")
        await job.put_block(older, "A", b"block")
        newer = await job.upload_link("reserved twice")

        refused = [
            await job.put(older, b"late"),
            await job.put_block(older, "B", b"late"),
            await job.put_block_list(older, ["A"]),
        ]

        assert newer.partition("?")[0] != older.partition("?")[0]
        assert [answer.status for answer in refused] == [404, 404, 404]
        assert {answer.azure_error() for answer in refused} == {"BlobNotFound"}
        await job.put(newer, b"data")
        assert (await job.finalize("reserved twice", 4)).body["ok"] is True
        assert await job.content("reserved twice") == b"data"


async def test_bytes_that_arrive_late_go_nowhere(shared_server: LiveServer) -> None:
    async with RawJob(shared_server) as job:
        older = await job.upload_link("late bytes")
        target = older.removeprefix(job.url)
        async with connect(job.url) as (reader, writer):
            head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n"
            writer.write(head.encode() + b"half")
            await eventually(lambda: files_of(shared_server, older))
            newer = await job.upload_link("late bytes")
            await job.put(newer, b"data")
            await job.finalize("late bytes", 4)

            writer.write(b"late")
            status = await reader.readline()

        assert status.startswith(b"HTTP/1.1 404 ")
        assert await job.content("late bytes") == b"data"
        await eventually(lambda: not files_of(shared_server, older))


async def test_bytes_that_arrive_after_the_commit_go_nowhere(shared_server: LiveServer) -> None:
    async with RawJob(shared_server) as job:
        link = await job.upload_link("after commit")
        target = f"{link.removeprefix(job.url)}&comp=block&blockid=B"
        async with connect(job.url) as (reader, writer):
            head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n"
            writer.write(head.encode() + b"half")
            await eventually(lambda: files_of(shared_server, link))
            await job.put(link, b"data")
            await job.finalize("after commit", 4)

            writer.write(b"late")
            status = await reader.readline()

        assert status.startswith(b"HTTP/1.1 404 ")
        assert (await job.put(link, b"late")).status == 404
        assert await job.content("after commit") == b"data"
        assert len(files_of(shared_server, link)) == 1


@pytest.mark.parametrize("count", [2, 8])
async def test_finalizes_at_once_give_the_same_id(shared_server: LiveServer, count: int) -> None:
    key = f"finalized {count} times"
    async with RawJob(shared_server) as job:
        await job.put(await job.upload_link(key), b"data")

        answers = await asyncio.gather(*(job.finalize(key, 4) for _ in range(count)))

    assert [answer.status for answer in answers] == [200] * count
    assert all(answer.body["ok"] for answer in answers)
    assert len({answer.body["entry_id"] for answer in answers}) == 1


async def test_commits_over_v1_at_once_are_all_told_that_it_is_saved(
    shared_server: LiveServer,
) -> None:
    async with RawJob(shared_server) as job:
        cache_id = (await job.reserve_v1("committed over v1")).body["cacheId"]
        await job.patch(cache_id, 0, b"data")

        answers = await asyncio.gather(*(job.commit_v1(cache_id, 4) for _ in range(5)))

        assert {answer.status for answer in answers} == {204}
        assert await job.content("committed over v1") == b"data"


async def test_blocks_of_one_upload_may_come_all_at_once_and_again(
    shared_server: LiveServer,
) -> None:
    blocks = [f"{number:04}".encode() * 1000 for number in range(30)]
    async with RawJob(shared_server) as job:
        link = await job.upload_link("blocks at once")

        puts = await asyncio.gather(
            *(
                job.put_block(link, f"id{number:02}", block)
                for number, block in enumerate(blocks)
                for _ in range(2)
            )
        )
        listed = await job.put_block_list(link, [f"id{number:02}" for number in range(30)])
        finalized = await job.finalize("blocks at once", 30 * 4000)

        assert {put.status for put in (*puts, listed)} == {201}
        assert finalized.body["ok"] is True
        assert await job.content("blocks at once") == b"".join(blocks)
        assert len(files_of(shared_server, link)) == 30


async def test_reserving_again_and_again_at_once_leaves_one_upload(
    shared_server: LiveServer,
) -> None:
    async with RawJob(shared_server) as job, RawJob(shared_server) as another:
        answers = await asyncio.gather(*(job.reserve("again and again") for _ in range(12)))
        refused = await another.reserve("again and again")

        def blob_of(answer: Answer) -> str:
            link: str = answer.body["signed_upload_url"]
            return link.partition("?")[0].rpartition("/")[2]

        puts = [await job.put(answer.body["signed_upload_url"], b"data") for answer in answers]

        assert {answer.status for answer in answers} == {200}
        assert refused.status == 409
        assert sorted(put.status for put in puts) == [201] + [404] * 11
        assert (await job.finalize("again and again", 4)).body["ok"] is True
        assert len({blob_of(answer) for answer in answers}) == 12


async def test_after_all_that_nothing_lies_about(shared_server: LiveServer) -> None:
    async with RawJob(shared_server) as job:
        await asyncio.gather(*(job.save(f"tidy-{number}", b"data") for number in range(20)))

    def is_named() -> bool:
        found, named = on_disk(shared_server.data), in_catalog(shared_server.data)
        return found.parts <= named.parts and found.blobs <= named.blobs

    assert await eventually(is_named)
