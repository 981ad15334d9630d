"""Direct transfers over HTTP: who is led to the bucket, who is not, and what the bucket takes."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from yarl import URL

from runcache.records import EventKind
from runcache.server.context import RECORDS
from runcache.wire import native as wire
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS
from tests.faults.native_job import MANIFEST, NativeJob
from tests.faults.raw_job import Answer
from tests.server.serving import Served, serving

BLOCKS: Final = (b"a" * 6 * 1024**2, b"b" * 1024)
WHOLE: Final = b"".join(BLOCKS)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, seaweedfs: SeaweedFS
) -> AsyncIterator[Served]:
    """A server for all tests, each of which has keys of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in ENVIRONMENT.items():
            patch.setenv(name, text)
        async with serving(
            tmp_path_factory.mktemp("direct"),
            store=seaweedfs.store_url(secrets.token_hex(8)),
            direct_transfers="true",
        ) as server:
            yield server


@pytest_asyncio.fixture(loop_scope="module")
async def job(server: Served) -> AsyncIterator[NativeJob]:
    async with NativeJob(server) as job:
        yield job


@pytest.fixture
def key() -> str:
    return secrets.token_hex(8)


async def asked(
    job: NativeJob, link: str, method: str = "GET", **headers: str
) -> tuple[int, str, bytes]:
    """Return status, `Location` and body of an answer, without following it."""
    async with job.session.request(
        method, URL(link, encoded=True), headers=headers, allow_redirects=False
    ) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.read()


async def link_to(job: NativeJob, key: str) -> str:
    link = await job.download_link(key)
    assert link is not None
    return link


async def sign(job: NativeJob, upload_id: int, data: bytes) -> Answer:
    path = wire.UPLOAD_LINKS_PATH.format(upload_id=upload_id)
    body = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return await job.authorized("POST", path, json=body)


async def put(job: NativeJob, link: Mapping[str, Any], data: bytes) -> int:
    async with job.session.put(
        URL(link["url"], encoded=True), data=data, headers=link["headers"]
    ) as answer:
        return answer.status


async def report(job: NativeJob, path: str, data: bytes) -> Answer:
    body = {"sha256": hashlib.sha256(data).hexdigest()}
    return await job.authorized("POST", path, json=body)


class TestDownloads:
    """Links to blobs."""

    async def test_lead_to_the_bucket_once_a_blob_is_one_object(
        self, server: Served, job: NativeJob, key: str
    ) -> None:
        await job.save(key, b"0123456789")
        link = await link_to(job, key)

        status, location, body = await asked(job, link)
        ranged = await asked(job, link, Range="bytes=2-4")
        async with job.session.get(
            URL(location, encoded=True), headers={"Range": "bytes=2-4"}
        ) as answer:
            part = await answer.read()

        assert link.startswith(server.url)
        assert (status, body) == (307, b"")
        assert ranged[0] == 307
        assert location.startswith("http")
        assert not location.startswith(server.url)
        assert part == b"234"
        assert await job.get(link) == b"0123456789"

    async def test_lead_there_a_moment_after_a_save_in_blocks(
        self, job: NativeJob, key: str
    ) -> None:
        upload = await job.upload_link(key)
        for number, block in enumerate(BLOCKS):
            await job.put_block(upload, f"{number}", block)
        await job.put_block_list(upload, ["0", "1"])
        await job.finalize(key, len(WHOLE))

        async with asyncio.timeout(30):
            while (answer := await asked(job, await link_to(job, key)))[0] != 307:
                assert answer == (200, "", WHOLE)

        assert await job.content(key) == WHOLE

    @pytest.mark.parametrize(
        "headers",
        [
            # Azure's SDKs, on whatever host: BuildKit's is one.
            {"x-ms-version": "2020-10-02", "x-ms-range": "bytes=2-4"},
            {"x-ms-version": "2026-02-06", "Range": "bytes=2-4"},
            {"If-Match": "*", "Range": "bytes=2-4"},
            {"If-None-Match": '"another"', "Range": "bytes=2-4"},
            {"X-Runcache-Direct": "no", "Range": "bytes=2-4"},
        ],
        ids=["x-ms-range", "x-ms-version", "if-match", "if-none-match", "asked"],
    )
    async def test_are_answered_here_where_the_bucket_would_not_be_understood(
        self, job: NativeJob, headers: dict[str, str], key: str
    ) -> None:
        await job.save(key, b"0123456789")

        assert await asked(job, await link_to(job, key), **headers) == (206, "", b"234")

    async def test_of_head_are_answered_here(self, job: NativeJob, key: str) -> None:
        await job.save(key, b"0123456789")

        async with job.session.head(URL(await link_to(job, key), encoded=True)) as head:
            assert (head.status, head.content_length) == (200, 10)

    async def test_that_have_ended_lead_nowhere(self, job: NativeJob, key: str) -> None:
        await job.save(key, b"data")
        link = (await link_to(job, key)).replace("&se=", "&se=1").replace("?se=", "?se=1")

        assert (await asked(job, link))[0] == 403

    async def test_end_with_the_link_that_led_there(
        self, server: Served, job: NativeJob, key: str
    ) -> None:
        await job.save(key, b"data")

        _, location, _ = await asked(job, await link_to(job, key))

        link_ttl = server.settings.link_ttl.total_seconds()
        assert link_ttl - 5 <= int(URL(location, encoded=True).query["X-Amz-Expires"]) <= link_ttl

    async def test_count_as_restores_where_a_download_begins(
        self, server: Served, job: NativeJob, key: str
    ) -> None:
        await job.save(key, b"data")
        link = await link_to(job, key)

        for headers in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=1-3"}):
            assert (await asked(job, link, **headers))[0] == 307
        assert (await asked(job, f"{link}&for=base"))[0] == 307

        records = server.wired.app[RECORDS]
        await records.write()
        assert len(await records.events(None, kinds=[EventKind.RESTORED], prefix=key, limit=9)) == 1

    async def test_are_followed_from_https_to_https_alone(
        self,
        tmp_path: Path,
        s3_store_url: str,
        s3_credentials: None,  # noqa: ARG002
        key: str,
    ) -> None:
        async with (
            serving(
                tmp_path,
                store=s3_store_url,
                direct_transfers="true",
                public_url="https://cache.example.com",
            ) as server,
            NativeJob(server) as job,
        ):
            await job.save_snapshot(key, b"pack")
            found = await job.lookup(key)
            link = URL(found.body["blobs"][0]["url"], encoded=True)
            here = server.url.rstrip("/") + link.raw_path_qs
            reserved = await job.reserve_snapshot("other")

            assert link.scheme == "https"
            assert await asked(job, here) == (200, "", MANIFEST)
            assert reserved.body.keys() == {"upload_id", "bases"}
            assert (await sign(job, reserved.body["upload_id"], b"pack")).status == 404


class TestUploads:
    """Manifests and packs that are put into the bucket."""

    async def test_are_put_there_and_reported_here(self, job: NativeJob, key: str) -> None:
        reserved = await job.reserve_snapshot(key)
        upload_id = reserved.body["upload_id"]
        pack = wire.PACK_PATH.format(upload_id=upload_id, number=0)
        manifest = wire.MANIFEST_PATH.format(upload_id=upload_id)
        answers: list[object] = []
        for path, data in ((pack, b"pack"), (manifest, MANIFEST)):
            link = await sign(job, upload_id, data)
            answers.append((link.status, await put(job, link.body, data)))
            answers.append((await report(job, path, data)).status)

        committed = await job.commit(upload_id, [f"{upload_id}-0"])

        assert reserved.body["direct"] is True
        assert answers == [(200, 200), 204, (200, 200), 204]
        assert committed.body["size_bytes"] == len(MANIFEST) + 4
        assert await job.snapshot(key) == [b"pack"]

    async def test_that_are_lied_about_are_refused_and_the_key_is_free(
        self, job: NativeJob, key: str
    ) -> None:
        upload_id = await job.upload(key)
        path = wire.PACK_PATH.format(upload_id=upload_id, number=0)
        link = await sign(job, upload_id, b"pack")

        other_bytes = await put(job, link.body, b"kcap")
        never_came = await report(job, path, b"pack")
        never_asked = await report(job, path, b"kcap")
        committed = await job.commit(upload_id, [f"{upload_id}-0"])

        assert other_bytes == 400
        assert (never_came.status, never_came.body["code"]) == (400, "invalid_argument")
        assert (never_asked.status, never_asked.body["code"]) == (404, "not_found")
        assert committed.status == 400
        assert (await job.save_snapshot(key, b"pack")).status == 200

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"size_bytes": 0, "sha256": "0" * 64},
            {"size_bytes": -1, "sha256": "0" * 64},
            {"size_bytes": 2**63, "sha256": "0" * 64},
            {"size_bytes": 1, "sha256": "0" * 63},
            {"size_bytes": 1, "sha256": "x" * 64},
            {"size_bytes": 1, "sha256": "0" * 64 + "\n"},
        ],
    )
    async def test_are_announced_by_size_and_digest(
        self, job: NativeJob, body: dict[str, object], key: str
    ) -> None:
        path = wire.UPLOAD_LINKS_PATH.format(upload_id=await job.upload(key))

        refused = await job.authorized("POST", path, json=body)

        assert (refused.status, refused.body["code"]) == (400, "malformed")

    async def test_of_an_upload_that_ended_are_not(self, job: NativeJob, key: str) -> None:
        upload_id = await job.upload(key)
        link = await sign(job, upload_id, b"pack")
        await job.authorized("DELETE", wire.UPLOAD_PATH.format(upload_id=upload_id))
        path = wire.PACK_PATH.format(upload_id=upload_id, number=0)

        late = await put(job, link.body, b"pack")
        answers = [await report(job, path, b"pack"), await sign(job, upload_id, b"pack")]

        assert late == 200
        assert [answer.body["code"] for answer in answers] == ["not_found", "not_found"]

    async def test_need_a_token(self, server: Served, job: NativeJob, key: str) -> None:
        upload_id = await job.upload(key)
        stranger = NativeJob(server, token="none")

        async with stranger:
            answers = [
                await sign(stranger, upload_id, b"pack"),
                await report(stranger, wire.MANIFEST_PATH.format(upload_id=upload_id), b"pack"),
            ]

        assert [answer.status for answer in answers] == [401, 401]

    async def test_are_unknown_to_a_server_with_a_folder(self, tmp_path: Path) -> None:
        async with serving(tmp_path) as server, NativeJob(server) as job:
            reserved = await job.reserve_snapshot("key")
            upload_id = reserved.body["upload_id"]
            answers = [
                await sign(job, upload_id, b"pack"),
                await report(job, wire.MANIFEST_PATH.format(upload_id=upload_id), b"pack"),
            ]

        assert reserved.body.keys() == {"upload_id", "bases"}
        assert [(a.status, a.body["code"]) for a in answers] == [(404, "bad_route")] * 2


async def test_no_signature_goes_to_the_log(
    server: Served, job: NativeJob, key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    link = await sign(job, await job.upload(key), b"pack")
    await put(job, link.body, b"pack")
    await job.save(key, b"data")
    await asked(job, await link_to(job, key))

    said = "".join(capfd.readouterr())

    assert server is not None
    assert "X-Amz" not in said
