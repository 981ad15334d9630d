"""What surrounds every handler, as clients, operators and readers of the log see it."""

import json
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from subprocess import run
from typing import Final
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from structlog.typing import EventDict

from runcache.catalog.opening import open_catalog
from runcache.server.auth import digest_of, new_api_token
from runcache.service import now_ms
from tests.faults.raw_job import Answer, RawJob
from tests.faults.raw_socket import connect, converse, eventually
from tests.in_process import REPOSITORY
from tests.server.serving import Served, serving

ID: Final = re.compile("[0-9a-f]{32}")
DIALECTS: Final = {
    "twirp": "/twirp/github.actions.results.api.v1.CacheService/",
    "artifactcache": "/_apis/artifactcache/",
    "azure_blob": "/devstoreaccount1/",
    "github_rest": "/api/v3/",
    "native": "/runcache/v1/",
}
# A path of each dialect that is there, but not for DELETE.
PRESENT: Final = {
    "twirp": "/twirp/github.actions.results.api.v1.CacheService/CreateCacheEntry",
    "artifactcache": "/_apis/artifactcache/caches",
    "azure_blob": "/devstoreaccount1/actions-cache/0123",
    "github_rest": "/repos/octo/hello/actions/cache/usage",
    "native": "/runcache/v1/find",
}


def said(answer: Answer, dialect: str) -> str:
    """Return the code of an error, or its message where a dialect has no codes."""
    match dialect:
        case "twirp":
            return answer.twirp_error()
        case "azure_blob":
            return answer.azure_error()
        case "native":
            assert answer.body.keys() == {"code", "message"}, answer
            return f"{answer.body['code']}: {answer.message()}"
        case "artifactcache":
            assert answer.body.keys() >= {"message", "typeKey"}, answer
            return answer.message()
        case _:
            assert answer.body["status"] == str(answer.status)
            return answer.message()


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the id of a request, which is in one header and not in the other."""
    name, other = "x-ms-request-id", "X-GitHub-Request-Id"
    if name not in headers:
        name, other = other, name
    assert other not in headers
    assert ID.fullmatch(headers[name])
    return headers[name]


async def get(server: Served, path: str, *, method: str = "GET", **headers: str) -> Answer:
    async with RawJob(server) as job:
        return await job.request(method, f"{job.url}{path}", headers=headers)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("twirp", "bad_route"),
        ("artifactcache", "not found"),
        ("azure_blob", "InvalidInput"),
        ("github_rest", "Not Found"),
        ("native", "bad_route: not found"),
    ],
)
async def test_what_is_not_there_is_404_in_the_form_of_the_dialect(
    server: Served, dialect: str, expected: str
) -> None:
    answer = await get(server, f"{DIALECTS[dialect]}no/such/thing")

    assert answer.status == 404
    assert said(answer, dialect) == expected
    request_id_of(answer.headers)


@pytest.mark.parametrize("path", ["/favicon.ico", "/api/v3", "/twirp", "/_apis", "//twirp/"])
async def test_any_other_path_is_a_404_in_json(server: Served, path: str) -> None:
    answer = await get(server, path)

    assert answer.status == 404
    assert answer.message() == "Not Found"


@pytest.mark.parametrize(
    ("dialect", "expected", "allowed"),
    [
        ("twirp", "bad_route", "POST"),
        ("artifactcache", "method not allowed", "GET,HEAD,POST"),
        ("azure_blob", "InvalidInput", "GET,HEAD,PUT"),
        ("github_rest", "Method Not Allowed", "GET,HEAD"),
        ("native", "bad_route: method not allowed", "POST"),
    ],
)
async def test_another_method_is_405_and_says_which_there_are(
    server: Served, dialect: str, expected: str, allowed: str
) -> None:
    answer = await get(server, PRESENT[dialect], method="DELETE")

    assert answer.status == 405
    assert said(answer, dialect) == expected
    assert answer.headers["Allow"] == allowed
    request_id_of(answer.headers)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("twirp", "internal"),
        ("artifactcache", "internal error"),
        ("azure_blob", "InternalError"),
        ("github_rest", "Internal Error"),
        ("native", "internal: internal error"),
    ],
)
async def test_a_crash_is_500_and_only_the_log_says_why(
    tmp_path: Path, dialect: str, expected: str
) -> None:
    async def crash(_: web.Request) -> web.Response:
        raise RuntimeError("what nobody may see")

    path = f"{DIALECTS[dialect]}crash"
    async with serving(tmp_path, routes=[web.get(path, crash)]) as server:
        with capture_logs() as logs:
            answer = await get(server, path)

    assert answer.status == 500
    assert said(answer, dialect) == expected
    assert "nobody" not in str(answer)
    crashed, line = (log for log in logs if log["event"].startswith("request"))
    assert (crashed["event"], crashed["log_level"]) == ("request.crashed", "error")
    assert crashed["exc_info"]
    assert (line["status"], line["log_level"]) == (500, "warning")
    assert crashed["request_id"] == line["request_id"] == request_id_of(answer.headers)


async def test_what_blob_links_are_told_they_say_again(server: Served) -> None:
    told = {"x-ms-version": "2023-11-03", "x-ms-client-request-id": "of the client"}

    of_link = await get(server, PRESENT["azure_blob"], **told)
    of_rest = await get(server, "/healthz", **told)

    assert of_link.status == 403
    assert {name: of_link.headers[name] for name in told} == told
    assert not told.keys() & of_rest.headers.keys()


async def test_every_answer_of_a_save_and_a_restore_has_an_id_of_its_own(server: Served) -> None:
    async with RawJob(server) as job:
        reserved = await job.reserve("key")
        put = await job.put(reserved.body["signed_upload_url"], b"data")
        finalized = await job.finalize("key", 4)
        found = await job.find("key")
        link = found.body["signed_download_url"]
        head = await job.request("HEAD", link)
        part = await job.request("GET", link, headers={"Range": "bytes=1-2"})
        unchanged = await job.request("GET", link, headers={"If-None-Match": put.headers["ETag"]})
        of_v1 = await job.find_v1("other")

    answers = (reserved, put, finalized, found, head, part, unchanged, of_v1)
    assert [answer.status for answer in answers] == [200, 201, 200, 200, 200, 206, 304, 204]
    assert len({request_id_of(answer.headers) for answer in answers}) == len(answers)
    assert not any("Server" in answer.headers for answer in answers)


async def test_an_expectation_that_nobody_knows_is_answered_with_an_id(server: Served) -> None:
    answer = await get(server, PRESENT["azure_blob"], Expect="the unexpected")

    assert answer.status == 417
    request_id_of(answer.headers)


@pytest.mark.parametrize(
    ("head", "status", "message"),
    [
        (b"nonsense\r\n\r\n", 400, "the request is not valid HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "the request is not valid HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "the request is not valid HTTP/1.1"),
        (b"GET http://[::1/ HTTP/1.1\r\n\r\n", 400, "the request is not valid HTTP/1.1"),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
            400,
            "the request is not valid HTTP/1.1",
        ),
        (
            b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 100_000),
            431,
            "a line of the request's head is too long",
        ),
        (
            b"GET / HTTP/1.1\r\nX-Long: %s\r\n\r\n" % (b"a" * 100_000),
            431,
            "a line of the request's head is too long",
        ),
    ],
    ids=["text", "header", "length", "target", "tls", "long target", "long header"],
)
async def test_what_is_no_http_is_answered_in_json_and_hung_up_on(
    server: Served, head: bytes, status: int, message: str
) -> None:
    # It returns only when the server has closed the connection.
    answer = await converse(server.url, head)

    first, *lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert first.split()[1] == str(status)
    assert headers["Content-Type"].startswith("application/json")
    assert ID.fullmatch(headers["x-ms-request-id"])
    assert headers["X-GitHub-Request-Id"] == headers["x-ms-request-id"]
    assert (body["code"], body["msg"], body["message"]) == ("malformed", message, message)


async def test_what_is_no_http_does_not_quote_the_request(server: Served) -> None:
    with capture_logs() as logs:
        answer = await converse(
            server.url, b"GET /secret\x00 HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n"
        )

    assert b"secret" not in answer
    assert "secret" not in str(logs)


async def test_after_nonsense_the_server_goes_on(server: Served) -> None:
    await converse(server.url, b"nonsense\r\n\r\n")

    assert (await get(server, "/healthz")).status == 200


async def test_each_request_has_one_line_in_the_log_that_tells_what_it_was(server: Served) -> None:
    with capture_logs() as logs:
        async with RawJob(server) as job:
            await job.save("k1", b"four")
            assert await job.content("k1") == b"four"
            await job.find("none")
            await job.request("GET", f"{job.url}/nowhere")

    lines = requests_in(logs)
    v2, links = DIALECTS["twirp"], "/devstoreaccount1/actions-cache/{blob}"
    assert [
        (line["method"], line["route"], line["status"], line["blob_bytes"], line["repository"])
        for line in lines
    ] == [
        ("POST", f"{v2}CreateCacheEntry", 200, 0, REPOSITORY),
        ("PUT", links, 201, 4, None),
        ("POST", f"{v2}FinalizeCacheEntryUpload", 200, 0, REPOSITORY),
        ("POST", f"{v2}GetCacheEntryDownloadURL", 200, 0, REPOSITORY),
        ("GET", links, 200, 4, None),
        ("POST", f"{v2}GetCacheEntryDownloadURL", 200, 0, REPOSITORY),
        ("GET", "none", 404, 0, None),
    ]
    assert len({line["request_id"] for line in lines}) == len(lines)
    for line in lines:
        assert ID.fullmatch(line["request_id"])
        assert line["remote"] == "127.0.0.1"
        assert 0 <= line["seconds"] < 60
        assert line["log_level"] == "info"


async def test_no_line_in_the_log_has_a_token_a_signature_or_a_key(server: Served) -> None:
    with capture_logs() as logs:
        async with RawJob(server) as job:
            await job.save("secret-key", b"data")
            link = await job.download_link("secret-key")
            assert link is not None
            await job.get(link)
            await job.find_v1("secret-key")
            await job.put(link, b"for another purpose")
            await job.request("GET", f"{link}x")
            await job.request("GET", f"{job.url}/{job.token}?sig=secret-key")
        async with RawJob(server, token=f"{job.token}x") as forger:
            assert (await forger.find("secret-key")).status == 401

    log = str(logs)
    signature = link.rpartition("sig=")[2]
    assert requests_in(logs)
    for secret in (job.token, job.token.rpartition(".")[2], signature, "secret-key", "sig="):
        assert secret not in log


async def test_a_client_that_went_away_is_no_success_in_the_log(server: Served) -> None:
    with capture_logs() as logs:
        async with RawJob(server) as job:
            link = urlsplit(await job.upload_link("key"))
        async with connect(server.url) as (_, writer):
            head = (
                f"PUT {link.path}?{link.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
            )
            writer.write(head.encode() + b"half")
            await eventually(lambda: server.wired.transfers.count)
        await eventually(lambda: len(requests_in(logs)) == 2)

    line = requests_in(logs)[-1]
    assert (line["method"], line["status"], line["blob_bytes"]) == ("PUT", 400, 4)
    assert not any("crashed" in log["event"] for log in logs)


def test_a_traceback_in_the_log_shows_no_values() -> None:
    program = """
import structlog
from runcache.server.logs import configure_logs
configure_logs("info")
token = "secret" + "-token"
try:
    raise RuntimeError("it happened")
except RuntimeError:
    structlog.get_logger().exception("request.crashed")
"""

    done = run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    event = json.loads(done.stderr)
    assert (event["event"], event["level"]) == ("request.crashed", "error")
    assert event["exception"][0]["exc_value"] == "it happened"
    assert "secret-token" not in done.stderr


async def test_healthz_says_that_the_process_runs(server: Served) -> None:
    answer = await get(server, "/healthz")

    assert (answer.status, answer.body) == (200, {"status": "ok"})


async def test_readyz_says_whether_uploads_are_taken(server: Served) -> None:
    before = await get(server, "/readyz")
    server.wired.service.drain()
    after = await get(server, "/readyz")

    assert (before.status, before.body) == (200, {"status": "ok"})
    assert after.status == 503
    assert after.body == {
        "status": "failing",
        "uploads": "the server is shutting down and takes no new uploads",
    }


async def test_metrics_count_what_happened_and_name_nobody(server: Served) -> None:
    async with RawJob(server) as job:
        await job.save("secret-key", b"four")
        await job.content("secret-key")
        await job.find("secret", "secret-k")
        await job.find("none")
        await job.request("GET", f"{job.url}/secret-key")

    answer = await get(server, "/metrics")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    values = dict(
        line.rsplit(" ", 1) for line in answer.body.splitlines() if not line.startswith("#")
    )
    assert float(values["runcache_saved_entries_total"]) == 1
    assert float(values["runcache_saved_bytes_total"]) == 4
    assert float(values['runcache_transferred_bytes_total{direction="received"}']) == 4
    assert float(values['runcache_transferred_bytes_total{direction="sent"}']) == 4
    assert float(values['runcache_transfers_in_flight{direction="sent"}']) == 0
    assert float(values['runcache_lookups_total{result="miss"}']) == 1
    assert float(values['runcache_requests_total{route="none",status="404"}']) == 1
    labels = set(re.findall(r'([a-z_]+)="', answer.body))
    assert labels == {"direction", "le", "part", "reason", "result", "route", "status"}
    for secret in ("secret", REPOSITORY, "octo", job.token):
        assert secret not in answer.body


async def test_metrics_of_a_server_behind_a_proxy_want_an_api_token(tmp_path: Path) -> None:
    async with serving(tmp_path, behind_proxy="true") as server:
        nobody = await get(server, "/metrics")
        of_job = await get(server, "/metrics", Authorization=f"Bearer {server.job_token()}")
        token = await _api_token(server)
        allowed = await get(server, "/metrics", Authorization=f"Bearer {token}")

    assert (nobody.status, nobody.message()) == (401, "Requires authentication")
    assert (of_job.status, of_job.message()) == (401, "Bad credentials")
    assert allowed.status == 200
    assert "runcache_requests_total" in allowed.body


async def _api_token(server: Served) -> str:
    token, text = new_api_token(is_admin=True, ttl=timedelta(hours=1), now_ms=now_ms())
    async with open_catalog(server.settings.catalog) as catalog:
        await catalog.tokens.add(token, digest_of(text))
    return text


def requests_in(logs: list[EventDict]) -> list[EventDict]:
    return [log for log in logs if log["event"] == "request"]
