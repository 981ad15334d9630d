"""Bad input over the wire: a clear error in the protocol's own form, nothing lost, no traceback."""

import asyncio
import base64
import hashlib
import hmac
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from runcache.server.keys import LINKS, own_signing_key
from runcache.server.links import Links
from runcache.service import now_ms
from runcache.testing import LiveServer
from runcache.wire.artifactcache import CACHES_PATH, LOOKUP_PATH
from runcache.wire.azure_blob import MAX_BLOCK_LIST_BYTES
from runcache.wire.twirp import SERVICE_PATH, Method
from tests.faults.disk import execute
from tests.faults.raw_job import VERSION, Answer, RawJob
from tests.faults.raw_socket import connect, converse

JSON: Final = "application/json"
PROTOBUF: Final = "application/protobuf"
TWIRP: Final = [SERVICE_PATH + method for method in Method]
NO_TOKEN_MESSAGE: Final = "the token is missing, invalid or expired"
IDLE_CONNECTIONS: Final = 10_000

# Opens idle connections in a process of its own, tells when all are there, and waits for its end.
IDLER: Final = """
import resource, socket, sys, time
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connections = []
for _ in range(count):
    connections.append(socket.create_connection((host, port), timeout=30))
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that says as much as it can in its log."""
    server = LiveServer(tmp_path_factory.mktemp("hostile") / "data", log_level="debug")
    yield server
    server.kill()


class Log:
    """What the server wrote down, in whole lines."""

    def __init__(self, server: LiveServer) -> None:
        self._path = server.log
        self._read_bytes = 0

    def new_lines(self) -> list[str]:
        """Return the lines that were not returned before."""
        with self._path.open("rb") as log:
            log.seek(self._read_bytes)
            said, _, _ = log.read().rpartition(b"\n")
        self._read_bytes += len(said) + bool(said)
        return said.decode().splitlines()


@pytest.fixture(scope="module")
def log(server: LiveServer) -> Log:
    return Log(server)


@pytest.fixture(autouse=True)
def _nothing_is_lost(server: LiveServer, log: Log) -> Iterator[None]:
    """See after each test that nothing went wrong inside, and that no secret was written down."""
    secrets: list[str] = []
    mint = server.job_token

    def remembering(**arguments: Any) -> str:  # noqa: ANN401  -- those of the method
        secrets.append(mint(**arguments))
        return secrets[-1]

    server.job_token = remembering  # type: ignore[method-assign]
    yield
    server.job_token = mint  # type: ignore[method-assign]
    for line in log.new_lines():
        event = json.loads(line)
        assert event["level"] != "error", event
        assert "exception" not in event, event
        assert "Traceback" not in line
        assert "sig=" not in line
        for secret in secrets:
            assert secret not in line
            assert secret.rpartition(".")[2] not in line


@pytest.fixture
async def job(server: LiveServer) -> AsyncIterator[RawJob]:
    async with RawJob(server) as job:
        yield job


async def raw(server: LiveServer, head: str, body: bytes = b"") -> Answer:
    """Send a request of one's own making, and return the answer to it."""
    request = head.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    said = await converse(server.url, request + b"\r\nConnection: close\r\n\r\n" + body)
    status_line, _, rest = said.partition(b"\r\n")
    fields, _, content = rest.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in fields.decode().splitlines())
    is_json = headers.get("Content-Type", "").startswith(JSON)
    return Answer(
        int(status_line.split()[1]),
        json.loads(content) if is_json else content.decode(),
        headers,
    )


async def save(job: RawJob, key: str, data: bytes = b"data") -> str:
    """Save an entry, and return a link to it."""
    assert (await job.save(key, data)).body["ok"] is True
    link = await job.download_link(key)
    assert link is not None
    return link


class TestTwirp:
    """Protocol v2."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'"key"',
            b'{"key":',
            b'{"key":1,"version":"v"}',
            b'{"key":["k"],"version":"v"}',
            b'{"key":"\xff","version":"v"}',
            b'{"key":"\\ud800","version":"v"}',
            b"[" * 60_000,
            b'{"a":' * 9000 + b"1" + b"}" * 9000,
            b"\xef\xbb\xbf{}",
        ],
    )
    @pytest.mark.parametrize("path", TWIRP)
    async def test_what_is_no_json_message_is_malformed(
        self, job: RawJob, path: str, body: bytes
    ) -> None:
        answer = await job.authorized("POST", path, data=body, headers={"Content-Type": JSON})

        assert (answer.status, answer.twirp_error()) == (400, "malformed")

    @pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x12\x7fk", b"\x12\x01\xff", b"{}"])
    @pytest.mark.parametrize("path", TWIRP)
    async def test_what_is_no_protobuf_message_is_malformed(
        self, job: RawJob, path: str, body: bytes
    ) -> None:
        answer = await job.authorized("POST", path, data=body, headers={"Content-Type": PROTOBUF})

        # Errors are JSON whatever the codec (protocol §2.3).
        assert answer.status == 400
        assert answer.twirp_error() in {"malformed", "invalid_argument"}

    @pytest.mark.parametrize("size", ["5.5", '""', '"abc"', '"9223372036854775808"', "true", "{}"])
    async def test_a_size_that_is_no_int64_is_malformed(self, job: RawJob, size: str) -> None:
        body = f'{{"key":"k","version":"v","size_bytes":{size}}}'
        answer = await job.authorized(
            "POST", SERVICE_PATH + Method.FINALIZE, data=body, headers={"Content-Type": JSON}
        )

        assert (answer.status, answer.twirp_error()) == (400, "malformed")

    @pytest.mark.parametrize("path", TWIRP)
    async def test_a_body_that_is_too_long_is_refused(self, job: RawJob, path: str) -> None:
        body = b'{"key":"' + b"k" * 100_000 + b'"}'
        answer = await job.authorized("POST", path, data=body, headers={"Content-Type": JSON})

        assert (answer.status, answer.twirp_error()) == (413, "malformed")

    async def test_a_body_that_never_ends_is_refused(self, server: LiveServer, job: RawJob) -> None:
        head = (
            f"POST {SERVICE_PATH}{Method.FIND} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n"
            f"Authorization: Bearer {job.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        async with connect(server.url) as (reader, writer), asyncio.timeout(30):
            writer.write(head.encode())
            answered = asyncio.ensure_future(reader.readline())
            while not answered.done():
                writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0)

            assert (await answered).startswith(b"HTTP/1.1 413 ")

    async def test_another_content_type_is_malformed(self, job: RawJob) -> None:
        answer = await job.authorized(
            "POST", TWIRP[0], data=b"<key/>", headers={"Content-Type": "text/xml"}
        )

        assert (answer.status, answer.twirp_error()) == (400, "malformed")

    @pytest.mark.parametrize(
        "key", ["", "a,b", "a\0b", "k" * 513, "\U0001f980" * 257, ",", "k" * 20_000]
    )
    async def test_what_is_no_key_is_refused_by_every_method(self, job: RawJob, key: str) -> None:
        answers = [
            await job.reserve(key),
            await job.finalize(key, 1),
            await job.find(key),
            await job.find("key", "good", key),
        ]

        assert {(answer.status, answer.twirp_error()) for answer in answers} == {
            (400, "invalid_argument")
        }
        assert all(answer.body["msg"].startswith("invalid key: ") for answer in answers)

    @pytest.mark.parametrize("version", ["", "a\0b", "v" * 513])
    async def test_what_is_no_version_is_refused(self, job: RawJob, version: str) -> None:
        answers = [
            await job.reserve("key", version=version),
            await job.finalize("key", 1, version=version),
            await job.find("key", version=version),
        ]

        assert {(answer.status, answer.twirp_error()) for answer in answers} == {
            (400, "invalid_argument")
        }

    async def test_ten_keys_are_looked_up_and_eleven_are_not(self, job: RawJob) -> None:
        keys = [f"{number}" * 400 for number in range(10)]

        ten = await job.find(*keys)
        eleven = await job.find(*keys, "eleventh")

        assert (ten.status, ten.body) == (200, {"ok": False})
        assert (eleven.status, eleven.twirp_error()) == (400, "invalid_argument")
        assert "10" in eleven.body["msg"]

    async def test_keys_that_look_like_something_else_are_keys(self, job: RawJob) -> None:
        for key in (
            "../../etc/passwd",
            "%2e%2e%2f",
            "'; DROP TABLE entries; --",
            "k\n\r\t\x7f",
            "%",
        ):
            await save(job, key, key.encode())
            assert await job.content(key) == key.encode()

    @pytest.mark.parametrize("size_bytes", [-1, 0, 3, 5, 2**63 - 1])
    async def test_a_finalize_of_another_size_fails_and_the_upload_goes_on(
        self, job: RawJob, size_bytes: int
    ) -> None:
        key = f"size {size_bytes}"
        await job.put(await job.upload_link(key), b"data")

        refused = await job.finalize(key, size_bytes)

        assert (refused.status, refused.twirp_error()) == (400, "invalid_argument")
        assert await job.content(key) is None
        assert (await job.finalize(key, 4)).body["ok"] is True
        assert await job.content(key) == b"data"

    async def test_a_finalize_may_be_repeated(self, job: RawJob) -> None:
        await job.put(await job.upload_link("repeated"), b"data")

        first, again = await job.finalize("repeated", 4), await job.finalize("repeated", 4)
        other = await job.finalize("repeated", 5)

        assert first.body == again.body
        assert first.body["ok"] is True
        assert (other.status, other.twirp_error()) == (400, "invalid_argument")

    async def test_an_upload_that_never_was_cannot_be_finalized(
        self, job: RawJob, server: LiveServer
    ) -> None:
        await job.upload_link("mine")
        async with RawJob(server) as another:
            answers = [await job.finalize("never reserved", 4), await another.finalize("mine", 0)]

        assert {(answer.status, answer.twirp_error()) for answer in answers} == {(404, "not_found")}

    async def test_an_upload_that_has_expired_is_gone(
        self, job: RawJob, server: LiveServer
    ) -> None:
        link = await job.upload_link("expired")
        await job.put(link, b"data")
        await asyncio.to_thread(
            execute, server.data, "UPDATE uploads SET expires_at = 0 WHERE key = 'expired'"
        )

        finalized = await job.finalize("expired", 4)
        put = await job.put(link, b"data")

        assert (finalized.status, finalized.twirp_error()) == (404, "not_found")
        assert (put.status, put.azure_error()) == (404, "BlobNotFound")
        await save(job, "expired")

    @pytest.mark.parametrize(
        "target", ["Nope", "CreateCacheEntry/", "createcacheentry", "../x", ""]
    )
    async def test_an_unknown_method_is_a_bad_route(self, job: RawJob, target: str) -> None:
        answer = await job.authorized(
            "POST", SERVICE_PATH + target, data=b"{}", headers={"Content-Type": JSON}
        )

        assert (answer.status, answer.twirp_error()) == (404, "bad_route")

    async def test_another_http_method_is_not_allowed(self, job: RawJob) -> None:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = await job.authorized(method, TWIRP[0])
            assert (answer.status, answer.twirp_error()) == (405, "bad_route")
            assert answer.headers["Allow"] == "POST"

    async def test_the_artifact_service_beside_it_is_answered_at_once(self, job: RawJob) -> None:
        # ACTIONS_RESULTS_URL is also where artifacts go: what is not JSON costs clients 30 s.
        answer = await job.authorized(
            "POST",
            "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact",
            data=b"{}",
        )

        assert (answer.status, answer.twirp_error()) == (404, "bad_route")


class TestArtifactcache:
    """Protocol v1."""

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b'{"key":"k"}', b'{"key":1,"version":"v"}', b"\xff", b"[" * 60_000],
    )
    async def test_what_is_no_message_is_refused(self, job: RawJob, body: bytes) -> None:
        reserved = await job.authorized("POST", CACHES_PATH, data=body)
        committed = await job.authorized("POST", f"{CACHES_PATH}/1", data=body)

        assert [reserved.status, committed.status] == [400, 400]
        assert reserved.message()
        assert committed.message()

    async def test_a_body_that_is_too_long_is_refused(self, job: RawJob) -> None:
        answer = await job.authorized("POST", CACHES_PATH, data=b" " * 100_000)

        assert answer.status == 413
        assert answer.message()

    @pytest.mark.parametrize(
        "query", ["", "?keys=k", "?version=v", "?keys=&version=v", "?keys=k,&version=v"]
    )
    async def test_a_lookup_without_keys_or_version_is_refused(
        self, job: RawJob, query: str
    ) -> None:
        answer = await job.authorized("GET", LOOKUP_PATH + query)

        assert answer.status == 400
        assert answer.message()

    @pytest.mark.parametrize("key", ["k" * 513, "a%00b", "%F0%9F%A6%80" * 257])
    async def test_what_is_no_key_is_refused(self, job: RawJob, key: str) -> None:
        looked_up = await job.find_v1(key)

        assert looked_up.status == 400
        assert looked_up.message().startswith("invalid key: ")

    @pytest.mark.parametrize("key", ["", "a,b", "a\0b", "k" * 513])
    async def test_what_is_no_key_is_not_reserved(self, job: RawJob, key: str) -> None:
        answer = await job.reserve_v1(key)

        assert answer.status == 400
        assert answer.message().startswith("invalid key: ")

    async def test_eleven_keys_are_too_many(self, job: RawJob) -> None:
        answer = await job.find_v1(*(f"key-{number}" for number in range(11)))

        assert answer.status == 400
        assert "10" in answer.message()

    async def test_bytes_that_are_no_text_are_a_miss(self, job: RawJob) -> None:
        assert (await job.find_v1("%ed%a0%80%ff")).status == 204
        listed = await job.authorized("GET", f"{CACHES_PATH}?key=%ed%a0%80%ff%00")
        assert (listed.status, listed.body["totalCount"]) == (200, 0)

    @pytest.mark.parametrize(
        "content_range",
        [
            None,
            "bytes",
            "bytes 4-0/*",
            "bytes -4/*",
            "bytes 0-4",
            "bytes 0-4/4",
            "items 0-3/*",
            "bytes 0-99999999999999999999/*",
        ],
    )
    async def test_what_is_no_range_is_refused(
        self, job: RawJob, content_range: str | None
    ) -> None:
        cache_id = (await job.reserve_v1(f"range {content_range}")).body["cacheId"]
        headers = {} if content_range is None else {"Content-Range": content_range}

        answer = await job.authorized(
            "PATCH", f"{CACHES_PATH}/{cache_id}", data=b"data", headers=headers
        )

        assert answer.status == 400
        assert answer.message()

    @pytest.mark.parametrize("data", [b"", b"dat", b"data!", b"x" * 900_000])
    async def test_a_chunk_must_fit_its_range(self, job: RawJob, data: bytes) -> None:
        cache_id = (await job.reserve_v1(f"chunk of {len(data)}")).body["cacheId"]

        answer = await job.authorized(
            "PATCH",
            f"{CACHES_PATH}/{cache_id}",
            data=data,
            headers={"Content-Range": "bytes 0-3/*"},
        )

        assert answer.status == 400
        assert answer.message()
        assert (await job.patch(cache_id, 0, b"data")).status == 204
        assert (await job.commit_v1(cache_id, 4)).status == 204

    async def test_ranges_that_leave_a_gap_or_overlap_are_refused_at_commit(
        self, job: RawJob
    ) -> None:
        cache_id = (await job.reserve_v1("gap")).body["cacheId"]
        for start, data in ((0, b"data"), (6, b"data")):
            assert (await job.patch(cache_id, start, data)).status == 204

        gap = await job.commit_v1(cache_id, 10)
        await job.patch(cache_id, 4, b"dat")
        overlap = await job.commit_v1(cache_id, 10)

        assert (gap.status, overlap.status) == (400, 400)
        assert "gap" in gap.message()
        assert "overlap" in overlap.message()
        assert await job.content("gap") is None

    async def test_a_commit_of_another_size_fails_and_the_upload_goes_on(self, job: RawJob) -> None:
        cache_id = (await job.reserve_v1("size")).body["cacheId"]
        await job.patch(cache_id, 0, b"data")

        refused = [await job.commit_v1(cache_id, size) for size in (0, 3, 5)]
        negative = await job.commit_v1(cache_id, -1)

        assert {answer.status for answer in (*refused, negative)} == {400}
        assert (await job.commit_v1(cache_id, 4)).status == 204
        assert await job.content("size") == b"data"

    @pytest.mark.parametrize(
        "cache_id", ["0", "999999", "-1", "abc", "9" * 40, "1%00", "1/2", "%2e"]
    )
    async def test_an_upload_that_never_was_is_not_found(self, job: RawJob, cache_id: str) -> None:
        answers = [
            await job.authorized("POST", f"{CACHES_PATH}/{cache_id}", json={"size": 4}),
            await job.authorized(
                "PATCH",
                f"{CACHES_PATH}/{cache_id}",
                data=b"data",
                headers={"Content-Range": "bytes 0-3/*"},
            ),
        ]

        assert {answer.status for answer in answers} == {404}
        assert all(answer.message() for answer in answers)

    async def test_the_upload_of_another_job_is_not_found(
        self, job: RawJob, server: LiveServer
    ) -> None:
        cache_id = (await job.reserve_v1("not yours")).body["cacheId"]
        async with RawJob(server) as another:
            answers = [
                await another.patch(cache_id, 0, b"data"),
                await another.commit_v1(cache_id, 4),
            ]

        assert {answer.status for answer in answers} == {404}

    async def test_an_upload_over_v2_cannot_be_committed_over_v1(self, job: RawJob) -> None:
        await job.put(await job.upload_link("mixed"), b"data")
        next_id = (await job.reserve_v1("mixed next")).body["cacheId"]

        answer = await job.commit_v1(next_id - 1, 4)

        assert answer.status == 400
        assert answer.message()
        assert (await job.finalize("mixed", 4)).body["ok"] is True


class TestBlobLinks:
    """What Azure's clients send."""

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "InvalidXmlDocument"),
            (b"<BlockList>", "InvalidXmlDocument"),
            (b"<Other/>", "InvalidXmlDocument"),
            (b"{}", "InvalidXmlDocument"),
            (b"<BlockList><Latest><x/></Latest></BlockList>", "InvalidXmlDocument"),
            (b'<!DOCTYPE x [<!ENTITY e "e">]><BlockList/>', "InvalidXmlDocument"),
            (b'<?xml version="1.0" encoding="x-nope"?><BlockList/>', "InvalidXmlDocument"),
            (b"<BlockList><Latest>A</Latest><Latest>A</Latest></BlockList>", "InvalidBlockList"),
            (b"<BlockList><Latest>never sent</Latest></BlockList>", "InvalidBlockList"),
            (b"<BlockList><Latest></Latest></BlockList>", "InvalidBlockList"),
        ],
    )
    async def test_a_bad_block_list_is_refused_and_the_upload_goes_on(
        self, job: RawJob, body: bytes, code: str
    ) -> None:
        link = await job.upload_link(f"list {hashlib.sha256(body).hexdigest()}")
        await job.put_block(link, "A", b"data")

        answer = await job.put(f"{link}&comp=blocklist", body)

        assert (answer.status, answer.azure_error()) == (400, code)
        assert (await job.put_block_list(link, ["A"])).status == 201

    async def test_fifty_thousand_and_one_blocks_are_too_many(self, job: RawJob) -> None:
        link = await job.upload_link("too many blocks")

        answer = await job.put_block_list(link, [f"{number:05}" for number in range(50_001)])

        assert (answer.status, answer.azure_error()) == (400, "InvalidBlockList")
        assert "50000" in answer.body

    async def test_a_block_list_that_is_too_long_is_refused(self, job: RawJob) -> None:
        link = await job.upload_link("long list")

        answer = await job.put(f"{link}&comp=blocklist", b" " * (MAX_BLOCK_LIST_BYTES + 1))

        assert (answer.status, answer.azure_error()) == (413, "RequestBodyTooLarge")

    @pytest.mark.parametrize(
        "parameters",
        [
            "comp=block",
            "comp=block&blockid=",
            "comp=nope",
            f"comp=block&blockid={'A' * 89}",
            "comp=block&blockid=%00",
            "comp=block&blockid=%ff",
            "comp=appendblock",
        ],
    )
    async def test_a_bad_parameter_is_refused(self, job: RawJob, parameters: str) -> None:
        link = await job.upload_link(f"parameter {parameters}".replace(",", ""))

        answer = await job.put(f"{link}&{parameters}", b"data")

        assert (answer.status, answer.azure_error()) == (400, "InvalidQueryParameterValue")
        assert (await job.put(link, b"data")).status == 201

    @pytest.mark.parametrize("name", ["Range", "x-ms-range"])
    @pytest.mark.parametrize("span", ["bytes=4-", "bytes=4-9", "bytes=999-", "bytes=-0"])
    async def test_a_range_outside_is_unsatisfiable(
        self, job: RawJob, name: str, span: str
    ) -> None:
        link = await save(job, f"outside {name} {span}")

        answer = await job.request("GET", link, headers={name: span})

        assert (answer.status, answer.azure_error()) == (416, "InvalidRange")

    @pytest.mark.parametrize("span", ["bytes=3-1", "bytes=0-1,2-3", "items=0-1", "bytes=a-b", "x"])
    async def test_what_is_no_range_is_ignored(self, job: RawJob, span: str) -> None:
        link = await save(job, f"ignored {span}".replace(",", ""))

        answer = await job.request("GET", link, headers={"Range": span})

        assert (answer.status, answer.body) == (200, b"data")

    async def test_a_body_that_breaks_off_leaves_the_upload_as_it_was(
        self, job: RawJob, server: LiveServer
    ) -> None:
        link = await job.upload_link("breaks off")
        target = link.removeprefix(job.url)
        for framing in ("Content-Length: 100", "Transfer-Encoding: chunked"):
            head = f"PUT {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
            await converse(server.url, head.encode() + b"5\r\nhello", hangs_up=True)

        assert (await job.put(link, b"data")).status == 201
        assert (await job.finalize("breaks off", 4)).body["ok"] is True
        assert await job.content("breaks off") == b"data"

    async def test_every_altered_link_is_refused_without_a_hint(
        self, job: RawJob, server: LiveServer
    ) -> None:
        link = await save(job, "linked")
        write = await job.upload_link("link to write")
        other = await save(job, "other")

        requests = await asyncio.to_thread(lambda: list(altered_links(server, link, write, other)))
        bodies: set[str] = set()
        for method, altered in requests:
            answer = await job.request(method, altered, data=b"data" if method == "PUT" else None)
            assert answer.status == 403, (method, altered)
            if method != "HEAD":
                assert answer.azure_error() == "AuthenticationFailed"
                bodies.add(answer.body)

        # Whatever is wrong with a link, a stranger learns nothing from it.
        assert len(bodies) == 1
        assert await job.get(link) == b"data"

    async def test_what_clients_add_to_a_link_does_not_break_it(self, job: RawJob) -> None:
        link = await save(job, "added")

        for added in ("&timeout=30", "&comp=", "&foo=%ff%00&&=&", "&TIMEOUT=1"):
            assert await job.get(link + added) == b"data"
        base, _, query = link.partition("?")
        resorted = "&".join(sorted(query.split("&"), reverse=True))
        assert await job.get(f"{base}?timeout=1&{resorted}") == b"data"

    @pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS"])
    async def test_another_method_is_not_allowed(self, job: RawJob, method: str) -> None:
        link = await save(job, f"method {method}")

        answer = await job.request(method, link)

        assert answer.status == 405
        assert answer.azure_error()
        assert await job.get(link) == b"data"


def altered_links(
    server: LiveServer, link: str, write: str, other: str
) -> Iterator[tuple[str, str]]:
    """Yield requests with links that are almost those that were given, or are old."""
    path, _, query = link.partition("?")
    expiry, purpose, resource_type, signature = query.split("&")
    flipped = ("A" if signature[4] != "A" else "B") + signature[5:]
    later = f"se={int(expiry.removeprefix('se=')) + 1}"
    for altered in (
        path,
        f"{path}?{expiry}&{purpose}&{resource_type}",
        f"{path}?{expiry}&{purpose}&{resource_type}&sig=",
        f"{path}?{expiry}&{purpose}&{resource_type}&sig={flipped}",
        f"{path}?{expiry}&{purpose}&{resource_type}&{signature}%00",
        f"{path}?{expiry}&{purpose}&{resource_type}&{signature.upper()}",
        f"{path}?{later}&{purpose}&{resource_type}&{signature}",
        f"{path}?se=&{purpose}&{resource_type}&{signature}",
        f"{path}?{purpose}&{resource_type}&{signature}",
        f"{path}?{expiry}&sp=w&{resource_type}&{signature}",
        f"{path}?{expiry}&sp=rw&{resource_type}&{signature}",
        f"{path}?{expiry}&{purpose}&sr=c&{signature}",
        f"{other.partition('?')[0]}?{query}",
        f"{path.rpartition('/')[0]}/{'0' * 32}?{query}",
        f"{path}/?{query}",
        f"{path}/..?{query}",
        f"{path}%00?{query}",
        *(f"{link}&{again}" for again in (expiry, purpose, resource_type, signature)),
        f"{link}&%73ig=x",
        f"{link}&SIG=x",
        f"{link}&sp=w",
        f"{link.replace('sig=', 'sig=%zz')}",
    ):
        yield "GET", altered
        yield "HEAD", altered
    yield "PUT", link
    yield "PUT", f"{link}&comp=blocklist"
    yield "GET", write
    yield "HEAD", write
    key = own_signing_key(server.data / "signing.key").derived(LINKS)
    expired = Links(key, link_ttl=timedelta(seconds=-1), now=now_ms)
    blob = path.rpartition("/")[2]
    yield "GET", expired.for_download(server.url.rstrip("/"), blob)
    strange = Links(b"x" * 32, link_ttl=timedelta(hours=1), now=now_ms)
    yield "GET", strange.for_download(server.url.rstrip("/"), blob)


class TestTokens:
    """Who may ask at all."""

    async def test_every_token_that_does_not_count_gets_the_same_answer(
        self, server: LiveServer
    ) -> None:
        messages: set[str] = set()
        for token in await asyncio.to_thread(lambda: list(wrong_tokens(server))):
            async with RawJob(server, token=token) as job:
                over_v2 = [await job.find("key"), await job.reserve("key")]
                over_v1 = [await job.find_v1("key"), await job.reserve_v1("key")]
                over_rest = await job.authorized("GET", "/repos/octo/hello/actions/cache/usage")
            assert {answer.status for answer in (*over_v2, *over_v1, over_rest)} == {401}, token
            assert {answer.twirp_error() for answer in over_v2} == {"unauthenticated"}
            messages |= {answer.body["msg"] for answer in over_v2}
            messages |= {answer.message() for answer in over_v1}
            assert over_rest.message()

        assert messages == {NO_TOKEN_MESSAGE}

    @pytest.mark.parametrize(
        "authorization",
        ["", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic Og==", "Digest x", "Negotiate x"],
    )
    async def test_no_token_is_no_token(self, server: LiveServer, authorization: str) -> None:
        async with RawJob(server) as job:
            answer = await job.request(
                "POST",
                job.url + TWIRP[0],
                data=b"{}",
                headers={"Authorization": authorization, "Content-Type": JSON},
            )
            without = await job.request("GET", f"{job.url}{LOOKUP_PATH}?keys=k&version=v")

        assert (answer.status, answer.twirp_error()) == (401, "unauthenticated")
        assert without.status == 401
        assert without.message()

    async def test_a_job_token_opens_no_rest_api(self, job: RawJob) -> None:
        answer = await job.authorized("GET", "/repos/octo/hello/actions/cache/usage")

        assert answer.status == 401
        assert answer.message()


def wrong_tokens(server: LiveServer) -> Iterator[str]:
    """Yield tokens that are almost right."""
    good = server.job_token()
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    other_key = b"another key of another server!!!"

    def signed(head: dict[str, object], body: object, key: bytes = other_key) -> str:
        text = f"{segment(head)}.{segment(body)}"
        digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
        return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    yield "x"
    yield "a.b.c"
    yield f"{header}.{payload}."
    yield f"{header}.{payload}"
    yield f"{header}.{payload}.{signature[::-1]}"
    yield f"{header}.{segment({**claims, 'repository': 'octo/other'})}.{signature}"
    for algorithm in ("none", "None", "NONE", "HS512", "RS256", ""):
        yield f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{payload}."
        yield f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{payload}.{signature}"
    yield signed({"alg": "HS256", "typ": "JWT"}, claims)
    yield signed({"alg": "HS256", "kid": "../../../dev/null"}, claims, key=b"")
    yield signed({"alg": "HS256", "jwk": {"kty": "oct", "k": "eA"}}, claims, key=b"x")
    yield server.job_token(ttl=timedelta(seconds=-40))
    yield server.api_token("octo/hello") + "x"
    yield "rc_0_" + "0" * 64
    yield good + "A" * 20_000


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class TestHttp:
    """What is no request, or none for us."""

    @pytest.mark.parametrize(
        "target",
        [
            "/devstoreaccount1/actions-cache/../../signing.key",
            "/devstoreaccount1/actions-cache/..%2F..%2Fsigning.key",
            "/devstoreaccount1/actions-cache/%2e%2e/%2e%2e/catalog.sqlite3",
            "/devstoreaccount1/actions-cache//etc/passwd",
            "/devstoreaccount1/actions-cache/\\..\\..\\signing.key",
            "/devstoreaccount1/actions-cache/....//....//signing.key",
            "/devstoreaccount1/actions-cache/%00",
            "/devstoreaccount1/actions-cache/",
        ],
    )
    async def test_no_path_leads_out_of_the_store(self, server: LiveServer, target: str) -> None:
        for method in ("GET", "HEAD", "PUT"):
            answer = await raw(server, f"{method} {target} HTTP/1.1\nHost: x\nContent-Length: 0")
            assert answer.status in {403, 404}
            assert answer.headers["x-ms-request-id"]
            if method != "HEAD":
                assert answer.azure_error()

    @pytest.mark.parametrize(
        "target",
        [
            "/../../etc/passwd",
            "//etc/passwd",
            "/%2e%2e/signing.key",
            "/nope",
            "/.git/config",
            "//",
            "//evil.example/healthz",
            "/devstoreaccount1%2Factions-cache%2Fx",
        ],
    )
    async def test_what_is_not_there_is_not_found(self, server: LiveServer, target: str) -> None:
        answer = await raw(server, f"GET {target} HTTP/1.1\nHost: x")

        assert answer.status == 404

    @pytest.mark.parametrize(
        "target",
        [
            "http://example.com/healthz",
            "https://example.com:443/healthz",
            "http://127.0.0.1@example.com/healthz",
            "http://example.com@127.0.0.1/healthz",
            "http://[2001:db8::1]/healthz",
            "http://127.0.0.1.example.com/healthz",
            "http://localhost.example.com/healthz",
            "ftp://example.com/healthz",
            f"http://example.com{SERVICE_PATH}{Method.FIND}",
            "http://example.com/devstoreaccount1/actions-cache/x",
        ],
    )
    async def test_a_request_for_another_host_is_refused(
        self, server: LiveServer, target: str
    ) -> None:
        answer = await raw(server, f"GET {target} HTTP/1.1\nHost: example.com")

        assert answer.status == 421

    async def test_nothing_is_forwarded_to_another_host(self, server: LiveServer) -> None:
        was_asked = asyncio.Event()

        def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            was_asked.set()
            writer.close()

        elsewhere = await asyncio.start_server(listen, "127.0.0.1", 0)
        async with elsewhere:
            port = elsewhere.sockets[0].getsockname()[1]
            requests = [
                f"GET http://elsewhere.example:{port}/healthz HTTP/1.1\nHost: 127.0.0.1:{port}",
                f"CONNECT elsewhere.example:{port} HTTP/1.1\nHost: 127.0.0.1:{port}",
                f"CONNECT 127.0.0.1:{port} HTTP/1.1\nHost: 127.0.0.1:{port}",
            ]
            statuses = [(await raw(server, request)).status for request in requests]

        assert statuses[:2] == [421, 421]
        assert statuses[2] in {404, 405, 421}
        assert not was_asked.is_set()

    async def test_a_request_in_absolute_form_for_us_works(
        self, server: LiveServer, job: RawJob
    ) -> None:
        link = await save(job, "absolute form")

        healthz = await raw(server, f"GET {server.url}healthz HTTP/1.1\nHost: x")
        blob = await raw(server, f"GET {link} HTTP/1.1\nHost: x")

        assert (healthz.status, healthz.body) == (200, {"status": "ok"})
        assert (blob.status, blob.body) == (200, "data")

    @pytest.mark.parametrize(
        "head",
        [
            "GET /healthz HTTP/1.1\nHost: x\nX-Long: " + "a" * 100_000,
            "GET /healthz HTTP/1.1\nHost: x\n" + "a" * 100_000 + ": x",
            "GET /" + "a" * 100_000 + " HTTP/1.1\nHost: x",
            "GET /healthz?" + "a" * 100_000 + " HTTP/1.1\nHost: x",
        ],
        ids=["value", "name", "path", "query"],
    )
    async def test_a_line_that_is_too_long_is_refused(self, server: LiveServer, head: str) -> None:
        answer = await raw(server, head)

        assert answer.status == 431
        assert answer.message()

    async def test_the_longest_lookup_of_protocol_v1_is_not_too_long(self, job: RawJob) -> None:
        keys = [f"{number}" + "%F0%9F%A6%80" * 255 for number in range(10)]

        assert (await job.find_v1(*keys)).status == 204

    @pytest.mark.parametrize(
        "head",
        [
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nContent-Length: 5\nTransfer-Encoding: chunked",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nContent-Length: 5",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nContent-Length: 5, 5",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nContent-Length: +5",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nContent-Length: -5",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nContent-Length: 0x5",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nContent-Length : 5",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nTransfer-Encoding: xchunked",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nTransfer-Encoding: chunked, identity",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\n Transfer-Encoding: chunked",
            f"POST {TWIRP[0]} HTTP/1.1\nHost: x\nTransfer\0Encoding: chunked",
        ],
    )
    async def test_a_body_whose_length_can_be_read_in_two_ways_is_refused(
        self, server: LiveServer, head: str
    ) -> None:
        smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

        said = await converse(
            server.url, head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + smuggled
        )

        assert said.startswith(b"HTTP/1.0 400 ")
        # What follows is not taken for a request of its own.
        assert said.count(b"Content-Length: ") == 1

    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
            b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
            b"FROB /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: x\r\n" * 5000 + b"\r\n",
            b"\r\n\r\n\r\n\0\0\0\0\r\n\r\n",
        ],
    )
    async def test_what_is_no_http_is_refused(
        self, server: LiveServer, request_bytes: bytes
    ) -> None:
        said = await converse(server.url, request_bytes)

        assert said.startswith((b"HTTP/1.0 400 ", b"HTTP/1.0 431 "))
        content = json.loads(said.partition(b"\r\n\r\n")[2])
        assert content["message"] == content["msg"]

    @pytest.mark.parametrize("host", ['evil"><script>', "a b", "", "x" * 300, "a@b", "a/b"])
    async def test_no_link_is_made_for_a_host_that_cannot_be(
        self, server: LiveServer, host: str
    ) -> None:
        body = json.dumps({"key": f"host {host}".replace(",", ""), "version": VERSION}).encode()
        token = server.job_token()

        answer = await raw(
            server,
            f"POST {SERVICE_PATH}{Method.CREATE} HTTP/1.1\nHost: {host}\nContent-Type: {JSON}"
            f"\nAuthorization: Bearer {token}\nContent-Length: {len(body)}",
            body,
        )

        if answer.status == 200:
            assert f"http://{host}/" in answer.body["signed_upload_url"]
            assert host == "x" * 300
        else:
            assert (answer.status, answer.twirp_error()) == (400, "malformed")

    async def test_requests_may_follow_each_other_on_a_connection_whatever_they_are(
        self, server: LiveServer
    ) -> None:
        token = server.job_token()
        bad = (
            f"POST {TWIRP[0]} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: 1\r\n\r\n{{"
        )
        async with connect(server.url) as (reader, writer), asyncio.timeout(30):
            for _ in range(50):
                writer.write(bad.encode())
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            said = await reader.read()

        assert said.count(b"HTTP/1.1 400 ") == 50
        assert said.count(b"HTTP/1.1 200 OK") == 1

    async def test_ten_thousand_idle_connections_do_not_keep_others_waiting(
        self, server: LiveServer, job: RawJob
    ) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < IDLE_CONNECTIONS + 500:
            pytest.skip(f"needs more file descriptors than {hard}")
        host, port = server.url.removeprefix("http://").rstrip("/").split(":")
        await save(job, "behind ten thousand")
        idler = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", IDLER, host, port, str(IDLE_CONNECTIONS)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert idler.stdout is not None
        try:
            async with asyncio.timeout(60):
                assert await idler.stdout.readline() == b"connected\n"
            asked_at = time.monotonic()
            async with RawJob(server) as another:
                content = await another.content("behind ten thousand")
            seconds = time.monotonic() - asked_at
        finally:
            idler.kill()
            await idler.communicate()

        assert content == b"data"
        assert seconds < 5
