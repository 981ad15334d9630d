"""The native protocol over HTTP."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest

from runcache.access import scopes_for
from runcache.catalog.opening import open_catalog
from runcache.model import MAX_PACKS, MatchKind
from runcache.server.context import JOB_TOKENS
from runcache.server.transfers import TAKE_OVER_FROM_BYTES
from runcache.service import now_ms
from runcache.wire import native as wire
from runcache.wire.entries import ENTRY_PATH, FILES_PATH
from runcache.wire.explain import EXPLAIN_PATH
from tests.faults.native_job import MANIFEST, SNAPSHOT, NativeJob, digests_of
from tests.faults.raw_job import VERSION, Answer
from tests.faults.raw_socket import connect, eventually
from tests.in_process import REPOSITORY
from tests.server.serving import Served, serving

FEATURE: Final = "refs/heads/feature"
SIBLING: Final = "refs/heads/sibling"


@pytest.fixture
async def job(server: Served) -> AsyncIterator[NativeJob]:
    """A job on the default branch."""
    async with NativeJob(server) as job:
        yield job


@asynccontextmanager
async def job_on(
    server: Served, ref: str, *, repository: str = REPOSITORY, event: str = "push"
) -> AsyncIterator[NativeJob]:
    token = server.wired.app[JOB_TOKENS].mint(
        repository=repository, scopes=scopes_for(ref=ref, event=event), ttl=timedelta(hours=1)
    )
    async with NativeJob(server, token=token) as job:
        yield job


def error_of(answer: Answer) -> str:
    """Return the code of an error, which must have its form."""
    assert answer.headers["Content-Type"] == "application/json", answer
    assert answer.body.keys() <= {"code", "message", "hint"}, answer
    assert answer.body["message"]
    code = answer.body["code"]
    assert code in set(wire.ErrorCode)
    assert isinstance(code, str)
    return code


async def test_what_was_saved_is_restored(job: NativeJob) -> None:
    upload_id = await job.upload("key")
    sent = [
        await job.put_pack(upload_id, 7, b"seven"),
        await job.put_pack(upload_id, 0, b"zero"),
        await job.put_manifest(upload_id),
    ]

    committed = await job.commit(upload_id, [f"{upload_id}-7", f"{upload_id}-0"])

    size_bytes = len(MANIFEST) + 9
    assert [answer.status for answer in sent] == [204, 204, 204]
    assert committed.status == 200
    assert committed.body == {"entry_id": upload_id, "size_bytes": size_bytes, "created": True}
    again = await job.commit(upload_id, [f"{upload_id}-7", f"{upload_id}-0"])
    assert (again.status, again.body) == (200, committed.body)
    assert await job.snapshot("key") == [b"seven", b"zero"]


async def test_a_hit_tells_all_about_the_entry(job: NativeJob) -> None:
    saved = await job.save_snapshot("npm-1", b"pack")

    found = await job.lookup("npm-2", "npm-")

    decoded = wire.decode_found(json.dumps(found.body).encode())
    assert decoded is not None
    assert (decoded.entry_id, decoded.key, decoded.kind) == (
        saved.body["entry_id"],
        "npm-1",
        MatchKind.RESTORE_KEY,
    )
    assert (decoded.scope, decoded.version) == ("refs/heads/main", SNAPSHOT)
    assert decoded.size_bytes == sum(blob.size_bytes for blob in decoded.blobs)
    assert [blob.name for blob in decoded.blobs] == ["manifest", f"{decoded.entry_id}-0"]


async def test_a_miss_is_an_answer(job: NativeJob) -> None:
    found = await job.lookup("key")

    assert (found.status, found.body) == (200, {"hit": False})


async def test_archives_are_found_too(job: NativeJob) -> None:
    await job.save("key", b"archive")

    found = await job.lookup("key", versions=[SNAPSHOT, VERSION])

    (blob,) = found.body["blobs"]
    assert (found.body["version"], blob["name"], blob["size_bytes"]) == (VERSION, "archive", 7)
    assert await job.get(blob["url"]) == b"archive"


async def test_a_peek_gives_no_links(job: NativeJob) -> None:
    await job.save_snapshot("key", b"pack")

    found = await job.lookup("key", peek=True)

    assert found.body["hit"] is True
    assert "blobs" not in found.body


async def test_ranges_of_a_pack_can_be_read(job: NativeJob) -> None:
    await job.save_snapshot("key", b"0123456789")
    found = await job.lookup("key")

    part = await job.request("GET", found.body["blobs"][1]["url"], headers={"Range": "bytes=3-6"})

    assert (part.status, part.body) == (206, b"3456")


async def test_links_can_be_renewed_as_long_as_the_entry_is_there(
    server: Served, job: NativeJob
) -> None:
    saved = await job.save_snapshot("key", b"pack")
    path = wire.LINKS_PATH.format(entry_id=saved.body["entry_id"])

    renewed = await job.authorized("POST", path)
    async with job_on(server, SIBLING, repository="octo/other") as stranger:
        refused = [
            await stranger.authorized("POST", path),
            await job.authorized("POST", wire.LINKS_PATH.format(entry_id=99)),
            await job.authorized("POST", wire.LINKS_PATH.format(entry_id="x")),
            await job.authorized("POST", wire.LINKS_PATH.format(entry_id="9" * 19)),
        ]

    assert [blob["name"] for blob in renewed.body["blobs"]] == ["manifest", "1-0"]
    assert await job.get(renewed.body["blobs"][1]["url"]) == b"pack"
    assert {(answer.status, error_of(answer)) for answer in refused} == {(404, "not_found")}


async def test_a_base_comes_with_links_and_is_shared(job: NativeJob) -> None:
    await job.save_snapshot("first", b"common", b"old")

    reserved = await job.reserve_snapshot("second", "auto")

    (base,) = reserved.body["bases"]
    assert [blob["name"] for blob in base["blobs"]] == ["manifest", "1-0", "1-1"]
    assert await job.get(base["blobs"][0]["url"]) == MANIFEST
    upload_id = reserved.body["upload_id"]
    await job.put_manifest(upload_id)
    committed = await job.commit(upload_id, ["1-0"])
    assert committed.body["size_bytes"] == len(MANIFEST) + 6
    assert await job.snapshot("second") == [b"common"]


async def test_the_usage_of_a_repository_counts_shared_packs_once(
    server: Served, job: NativeJob
) -> None:
    await job.save_snapshot("first", b"common")
    await job.save_snapshot("second", bases=[1], shared=["1-0"])

    usage = await server.wired.service.usage(REPOSITORY)

    assert (usage.entry_count, usage.size_bytes) == (2, 2 * len(MANIFEST) + 6)


async def test_an_upload_that_is_given_up_frees_its_key(server: Served, job: NativeJob) -> None:
    upload_id = await job.upload("key")
    await job.put_pack(upload_id, 0, b"pack")
    path = wire.UPLOAD_PATH.format(upload_id=upload_id)

    given_up = await job.authorized("DELETE", path)
    again = await job.authorized("DELETE", path)
    late = await job.put_pack(upload_id, 1, b"late")

    assert (given_up.status, given_up.body) == (204, b"")
    assert [(answer.status, error_of(answer)) for answer in (again, late)] == [
        (404, "not_found")
    ] * 2
    async with NativeJob(server) as another:
        assert (await another.save_snapshot("key", b"of another")).status == 200


async def test_a_report_of_damage_is_taken(server: Served, job: NativeJob) -> None:
    saved = await job.save_snapshot("key", b"pack")
    path = wire.DAMAGE_PATH.format(entry_id=saved.body["entry_id"])

    taken = await job.authorized("POST", path, json={"reason": "wrong digest"})
    unknown = await job.authorized(
        "POST", wire.DAMAGE_PATH.format(entry_id=99), json={"reason": "wrong digest"}
    )
    too_long = await job.authorized("POST", path, json={"reason": "x" * 501})
    metrics = await job.request("GET", f"{server.url}metrics")

    assert taken.status == 204
    assert (unknown.status, error_of(unknown)) == (404, "not_found")
    assert (too_long.status, error_of(too_long)) == (400, "malformed")
    assert "runcache_damage_reports_total 1.0" in metrics.body


class TestPacks:
    """What is received, and what is refused."""

    @pytest.mark.parametrize("size_bytes", [0, 1, 100_000, TAKE_OVER_FROM_BYTES + 12_345])
    async def test_one_of_any_size_arrives(self, job: NativeJob, size_bytes: int) -> None:
        data = os.urandom(size_bytes)

        await job.save_snapshot("key", data, data[::-1])

        assert await job.snapshot("key") == [data, data[::-1]]

    @pytest.mark.parametrize("size_bytes", [10, TAKE_OVER_FROM_BYTES])
    async def test_one_with_another_digest_is_refused(
        self, server: Served, job: NativeJob, size_bytes: int
    ) -> None:
        upload_id = await job.upload("key")
        path = wire.PACK_PATH.format(upload_id=upload_id, number=0)

        refused = await job.authorized(
            "PUT", path, data=BytesIO(bytes(size_bytes)), headers=digests_of(b"another")
        )

        assert (refused.status, error_of(refused)) == (400, "digest_mismatch")
        assert not list((server.settings.data / "blobs").glob("*/*/*"))
        assert (await job.put_pack(upload_id, 0, b"right")).status == 204

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {wire.BLAKE3_HEADER: "a" * 64},
            {wire.BLAKE3_HEADER: "a" * 64, wire.SHA256_HEADER: "g" * 64},
            {wire.BLAKE3_HEADER: "a" * 63, wire.SHA256_HEADER: "a" * 64},
        ],
    )
    async def test_one_without_digests_is_refused(
        self, job: NativeJob, headers: dict[str, str]
    ) -> None:
        upload_id = await job.upload("key")

        for path in (
            wire.PACK_PATH.format(upload_id=upload_id, number=0),
            wire.MANIFEST_PATH.format(upload_id=upload_id),
        ):
            refused = await job.authorized("PUT", path, data=b"pack", headers=headers)
            assert (refused.status, error_of(refused)) == (400, "malformed")

    @pytest.mark.parametrize("number", ["x", "-1", "1000000", "01", "%F0", "1-0"])
    async def test_a_number_is_one(self, job: NativeJob, number: str) -> None:
        upload_id = await job.upload("key")
        path = f"/runcache/v1/uploads/{upload_id}/packs/{number}"

        refused = await job.authorized("PUT", path, data=b"x", headers=digests_of(b"x"))

        assert (refused.status, error_of(refused)) == (400, "malformed")

    async def test_one_that_ends_early_is_not_kept(self, server: Served, job: NativeJob) -> None:
        upload_id = await job.upload("key")
        path = wire.PACK_PATH.format(upload_id=upload_id, number=0)
        head = (
            f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {job.token}\r\n"
            f"Content-Length: 9000000\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in digests_of(b"").items())
            + "\r\n"
        )
        async with connect(job.url) as (_, writer):
            writer.write(head.encode() + bytes(5_000_000))
            await writer.drain()
            await eventually(lambda: list((server.settings.data / "blobs").glob("*/*/*")))

        await eventually(lambda: not list((server.settings.data / "blobs").glob("*/*/*")))
        assert (await job.put_pack(upload_id, 0, b"whole")).status == 204

    async def test_one_without_an_announced_length_is_taken(self, job: NativeJob) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"in "
            yield b"pieces"

        upload_id = await job.upload("key")

        sent = await job.put_pack(upload_id, 0, b"in pieces", body=pieces())

        assert sent.status == 204

    async def test_above_entry_limit_none_is_taken(self, tmp_path: Path) -> None:
        async with serving(tmp_path, entry_limit="1KB") as server, NativeJob(server) as job:
            upload_id = await job.upload("key")

            refused = [
                await job.put_pack(upload_id, 0, bytes(1001)),
                await job.put_manifest(upload_id, bytes(1001)),
            ]

            assert {(answer.status, error_of(answer)) for answer in refused} == {(413, "too_large")}
            assert refused[0].body["hint"]


@asynccontextmanager
async def jobs_of_branches(server: Served) -> AsyncIterator[tuple[NativeJob, NativeJob]]:
    async with job_on(server, FEATURE) as feature, job_on(server, SIBLING) as sibling:
        yield feature, sibling


class TestIsolation:
    """What a job can learn of what it may not read: nothing."""

    async def test_packs_of_a_sibling_cannot_be_told_from_packs_that_never_were(
        self, server: Served
    ) -> None:
        async with jobs_of_branches(server) as (feature, sibling):
            hidden = (await sibling.save_snapshot("hidden", b"secret")).body["entry_id"]
            begun = await sibling.upload("begun")
            await sibling.put_pack(begun, 0, b"secret")
            upload_id = await feature.upload("key")
            await feature.put_manifest(upload_id)

            answers = [
                await feature.commit(upload_id, [name])
                for name in (f"{hidden}-0", f"{hidden}-1", f"{begun}-0", "99999-0", "0-0")
            ]

        assert {answer.status for answer in answers} == {412}
        assert {error_of(answer) for answer in answers} == {"pack_gone"}
        assert len({json.dumps(answer.body) for answer in answers}) == 1

    async def test_entries_of_a_sibling_cannot_be_told_from_entries_that_never_were(
        self, server: Served
    ) -> None:
        async with jobs_of_branches(server) as (feature, sibling):
            hidden = (await sibling.save_snapshot("hidden", b"secret")).body["entry_id"]
            answers = []
            for entry_id in (hidden, 99999):
                links = wire.LINKS_PATH.format(entry_id=entry_id)
                damage = wire.DAMAGE_PATH.format(entry_id=entry_id)
                found = await feature.lookup("hidden")
                reserved = await feature.reserve_snapshot("key", [entry_id])
                answers.append(
                    [
                        found.body,
                        reserved.body["bases"],
                        (await feature.authorized("POST", links)).body,
                        (await feature.authorized("POST", damage, json={"reason": ""})).body,
                        (await feature.commit(entry_id, [])).body,
                    ]
                )

        assert answers[0] == answers[1]

    async def test_uploads_of_others_cannot_be_told_from_uploads_that_never_were(
        self, server: Served
    ) -> None:
        async with jobs_of_branches(server) as (feature, sibling):
            begun = await sibling.upload("begun")
            answers = [
                [
                    answer.body
                    for answer in (
                        await feature.put_pack(upload_id, 0, b"evil"),
                        await feature.put_manifest(upload_id),
                        await feature.commit(upload_id, []),
                        await feature.authorized(
                            "DELETE", wire.UPLOAD_PATH.format(upload_id=upload_id)
                        ),
                    )
                ]
                for upload_id in (begun, 99999)
            ]
            assert (await sibling.put_manifest(begun)).status == 204

        assert answers[0] == answers[1]


class TestRefusals:
    """Every refusal has the form and the status of the protocol."""

    async def test_without_a_token_nothing_is_done(self, server: Served, job: NativeJob) -> None:
        upload_id = await job.upload("key")
        requests = [
            ("POST", wire.FIND_PATH),
            ("POST", wire.UPLOADS_PATH),
            ("POST", wire.LINKS_PATH.format(entry_id=1)),
            ("POST", wire.DAMAGE_PATH.format(entry_id=1)),
            ("PUT", wire.PACK_PATH.format(upload_id=upload_id, number=0)),
            ("PUT", wire.MANIFEST_PATH.format(upload_id=upload_id)),
            ("POST", wire.UPLOAD_LINKS_PATH.format(upload_id=upload_id)),
            ("POST", wire.PACK_PATH.format(upload_id=upload_id, number=0)),
            ("POST", wire.MANIFEST_PATH.format(upload_id=upload_id)),
            ("POST", wire.COMMIT_PATH.format(upload_id=upload_id)),
            ("DELETE", wire.UPLOAD_PATH.format(upload_id=upload_id)),
            ("GET", ENTRY_PATH.format(owner="octo", repo="hello", entry_id=1)),
            ("GET", FILES_PATH.format(owner="octo", repo="hello", entry_id=1)),
            ("POST", EXPLAIN_PATH.format(owner="octo", repo="hello")),
        ]
        paths = {
            resource.canonical
            for resource in server.wired.app.router.resources()
            if resource.canonical.startswith(wire.PREFIX)
        }

        answers = [
            await job.request(method, job.url + path, data=b"{}", headers=headers)
            for method, path in requests
            for headers in ({}, {"Authorization": "Bearer no.such.token"})
        ]

        assert {(answer.status, error_of(answer)) for answer in answers} == {
            (401, "unauthenticated")
        }
        assert len(paths) == len({path for _, path in requests})

    async def test_a_job_that_may_only_read_is_told_so(self, server: Served) -> None:
        async with job_on(server, "refs/heads/main", event="pull_request_target") as job:
            refused = await job.reserve_snapshot("key")

        assert (refused.status, error_of(refused)) == (403, "permission_denied")

    async def test_a_key_that_is_taken_is_a_conflict(self, server: Served, job: NativeJob) -> None:
        await job.save_snapshot("saved", b"pack")
        await job.upload("begun")

        async with NativeJob(server) as another:
            refused = [await another.reserve_snapshot(key) for key in ("saved", "begun")]

        assert {(answer.status, error_of(answer)) for answer in refused} == {
            (409, "already_exists")
        }
        assert "hint" in refused[0].body

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (wire.FIND_PATH, "{"),
            (wire.FIND_PATH, "[]"),
            (wire.FIND_PATH, {"key": "k"}),
            (wire.FIND_PATH, {"key": "k", "versions": []}),
            (wire.FIND_PATH, {"key": "k", "versions": ["v"] * 5}),
            (wire.UPLOADS_PATH, {"key": "k"}),
            (wire.UPLOADS_PATH, {"key": "k", "version": "v", "bases": "newest"}),
            (wire.UPLOADS_PATH, {"key": "k", "version": "v", "bases": [1] * 9}),
            (wire.UPLOADS_PATH, {"key": "k", "version": "v", "bases": [-1]}),
            (wire.UPLOADS_PATH, {"key": "k", "version": "v", "bases": [2**63]}),
            (wire.COMMIT_PATH.format(upload_id=1), {}),
            (wire.COMMIT_PATH.format(upload_id=1), {"packs": ["x"]}),
            (wire.COMMIT_PATH.format(upload_id=1), {"packs": ["1-0", "1-0"]}),
            (wire.DAMAGE_PATH.format(entry_id=1), {}),
        ],
    )
    async def test_what_cannot_be_read_is_malformed(
        self,
        job: NativeJob,
        path: str,
        body: object,
    ) -> None:
        sent: dict[str, Any] = {"data": body} if isinstance(body, str) else {"json": body}

        refused = await job.authorized("POST", path, **sent)

        assert (refused.status, error_of(refused)) == (400, "malformed")

    async def test_what_is_no_key_is_refused(self, job: NativeJob) -> None:
        refused = [
            await job.lookup("a,b"),
            await job.lookup("k", versions=[""]),
            await job.lookup("k", *(f"k{number}" for number in range(10))),
            await job.reserve_snapshot(""),
        ]

        assert {(answer.status, error_of(answer)) for answer in refused} == {
            (400, "invalid_argument")
        }

    async def test_a_snapshot_without_a_manifest_or_with_too_many_packs_is_refused(
        self, job: NativeJob
    ) -> None:
        upload_id = await job.upload("key")
        names = [f"{upload_id}-{number}" for number in range(MAX_PACKS + 1)]

        refused = [await job.commit(upload_id, []), await job.commit(upload_id, names)]

        assert [(answer.status, error_of(answer)) for answer in refused] == [
            (400, "invalid_argument")
        ] * 2
        assert "manifest" in refused[0].body["message"]
        assert str(MAX_PACKS) in refused[1].body["message"]

    async def test_a_message_of_any_length_is_not_read(self, job: NativeJob) -> None:
        refused = await job.lookup("k" * wire.MAX_BODY_BYTES)

        assert (refused.status, error_of(refused)) == (413, "too_large")

    async def test_an_unknown_path_or_method_has_the_form_of_the_protocol(
        self, job: NativeJob
    ) -> None:
        unknown = await job.authorized("GET", "/runcache/v1/nothing")
        other_method = await job.authorized("GET", wire.FIND_PATH)

        assert (unknown.status, error_of(unknown)) == (404, "bad_route")
        assert (other_method.status, error_of(other_method)) == (405, "bad_route")
        assert other_method.headers["Allow"] == "POST"

    async def test_while_it_drains_only_what_was_begun_goes_on(
        self, server: Served, job: NativeJob
    ) -> None:
        upload_id = await job.upload("begun")
        server.wired.service.drain()

        refused = await job.reserve_snapshot("new")
        await job.put_pack(upload_id, 0, b"pack")
        await job.put_manifest(upload_id)
        committed = await job.commit(upload_id, [f"{upload_id}-0"])

        assert (refused.status, error_of(refused)) == (503, "unavailable")
        assert committed.status == 200

    async def test_below_min_free_none_is_taken(self, tmp_path: Path) -> None:
        async with serving(tmp_path, min_free="1000TB") as server, NativeJob(server) as job:
            refused = await job.reserve_snapshot("key")

        assert (refused.status, error_of(refused)) == (507, "store_full")
        assert refused.body["hint"]


async def test_clients_of_the_other_protocols_do_not_find_snapshots(job: NativeJob) -> None:
    await job.save_snapshot("key", b"pack")

    over_v2 = await job.find("key")
    over_v1 = await job.find_v1("key")

    assert (over_v2.status, over_v2.body["ok"]) == (200, False)
    assert over_v1.status == 204


async def test_twenty_four_jobs_on_one_key_make_one_entry(server: Served) -> None:
    async def save(number: int) -> Answer:
        async with NativeJob(server) as job:
            return await job.save_snapshot("raced", b"%d" % number)

    answers = await asyncio.gather(*map(save, range(24)))

    statuses = [answer.status for answer in answers]
    assert sorted(statuses) == [200] + [409] * 23
    async with NativeJob(server) as job:
        assert await job.snapshot("raced") == [b"%d" % statuses.index(200)]


async def test_the_oldest_links_go_on_while_new_snapshots_share_their_packs(
    server: Served, job: NativeJob
) -> None:
    # An evicted entry's packs, one of which lives on in another one.
    await job.save_snapshot("first", b"common", b"gone")
    found = await job.lookup("first")
    await job.save_snapshot("second", bases="auto", shared=["1-0"])
    async with open_catalog(server.settings.catalog) as catalog:
        await catalog.entries.forget([1], now_ms=now_ms(), link_ms=3_600_000)

    packs = [await job.get(blob["url"]) for blob in found.body["blobs"][1:]]

    assert packs == [b"common", b"gone"]
    assert await job.snapshot("first") is None
