"""What the results service has besides the cache goes on to another server, and nothing else."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from runcache.errors import InvalidSettings
from runcache.server import results
from runcache.server.answers import canonical_log_line, errors_in_dialect
from runcache.server.context import METRICS, SETTINGS
from runcache.server.metrics import Metrics
from runcache.wire.twirp import SERVICE_PATH, Method
from tests.server.serving import Served, serving, settings_in

ARTIFACTS: Final = "/twirp/github.actions.results.api.v1.ArtifactService/"
CREATE: Final = ARTIFACTS + "CreateArtifact"
LARGE_BYTES: Final = 64 * 1024 * 1024
OWN_PATHS: Final = (
    ("GET", SERVICE_PATH + Method.FIND),
    ("POST", SERVICE_PATH + "NoSuchMethod"),
    ("POST", "/twirp//" + SERVICE_PATH.removeprefix("/twirp/") + Method.FIND),
    ("POST", SERVICE_PATH.upper() + Method.FIND),
    ("POST", "/twirp/x/%2e%2e" + SERVICE_PATH.removeprefix("/twirp") + Method.FIND),
    ("GET", "/_apis/artifactcache/none"),
    ("DELETE", "/devstoreaccount1/actions-cache/x"),
    ("GET", "/runcache/v1/none"),
    ("GET", "/repos/o/r/none"),
    ("GET", "/api/v3/none"),
    ("GET", "/ui/none/none/none/none/none"),
    ("POST", "/healthz"),
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """A results service that answers with `handler`, and keeps what came."""

    url: str
    handler: Handler
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


async def greet(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "path": request.raw_path})


@asynccontextmanager
async def upstream(handler: Handler = greet) -> AsyncIterator[Upstream]:
    async def answer(request: web.Request) -> web.StreamResponse:
        there.requests.append(request)
        return await there.handler(request)

    there = Upstream("", handler)
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", answer)
    async with listening(app) as there.url:
        yield there


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(server: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        server.url, auto_decompress=False, skip_auto_headers=("User-Agent", "Accept")
    ) as session:
        yield session


async def test_what_is_not_the_caches_goes_on_and_its_answer_comes_back(tmp_path: Path) -> None:
    async def create(request: web.Request) -> web.Response:
        there.bodies.append(await request.read())
        return web.json_response({"ok": True}, status=201, headers={"X-Of": "upstream"})

    async with (
        upstream(create) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.post(
            URL(f"{CREATE}?a=%2F&b", encoded=True),
            data=b'{"name":"logs"}',
            headers={"Authorization": "Bearer job", "Content-Type": "application/json"},
        ) as answer,
    ):
        body = await answer.json()

    [request] = there.requests
    assert (request.method, request.raw_path) == ("POST", f"{CREATE}?a=%2F&b")
    assert request.headers["Authorization"] == "Bearer job"
    assert request.headers["Host"] == there.url.removeprefix("http://")
    assert there.bodies == [b'{"name":"logs"}']
    assert (answer.status, body, answer.headers["X-Of"]) == (201, {"ok": True}, "upstream")
    assert answer.headers["Content-Security-Policy"] == "sandbox"


async def test_only_headers_that_are_meant_for_the_other_end_reach_it(tmp_path: Path) -> None:
    async def answer_with_all(_request: web.Request) -> web.Response:
        return web.Response(
            headers={"Connection": "X-Hop", "X-Hop": "1", "Set-Cookie": "a=b", "X-End": "1"}
        )

    sent = {
        "Connection": "keep-alive, X-Secret",
        "X-Secret": "1",
        "Keep-Alive": "timeout=5",
        "Proxy-Authorization": "Basic eDp5",
        "TE": "trailers",
        "Upgrade": "websocket",
        "Cookie": "session=ours",
        "X-End": "1",
    }

    async with (
        upstream(answer_with_all) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.get("/_ws/ingest.sock", headers=sent) as answer,
    ):
        pass

    [request] = there.requests
    assert {name for name in request.headers if not name.startswith("Accept")} == {
        "Host",
        "X-End",
        "Via",
    }
    assert "X-End" in answer.headers
    assert not {"X-Hop", "Set-Cookie"} & set(answer.headers)


async def test_no_path_of_ours_goes_on(server: Served, tmp_path: Path) -> None:
    async with (
        upstream() as there,
        serving(tmp_path / "forwarding", results_upstream=there.url) as forwarding,
    ):
        for method, path in OWN_PATHS:
            assert await refusal(forwarding, method, path) == await refusal(server, method, path)

    assert there.requests == []


async def refusal(server: Served, method: str, path: str) -> tuple[int, str]:
    async with (
        client(server) as session,
        session.request(method, URL(path, encoded=True)) as answer,
    ):
        return answer.status, answer.content_type


async def test_api_tokens_do_not_leave_the_house(tmp_path: Path) -> None:
    headers = {"Authorization": "token rc_0123456789ab_secret"}

    async with (
        upstream() as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.get("/users/octocat", headers=headers) as answer,
    ):
        pass

    assert there.requests == []
    assert answer.status == 404


async def test_without_an_upstream_there_is_no_such_route(server: Served) -> None:
    async with client(server) as session, session.post(CREATE, data=b"{}") as answer:
        error = await answer.json()

    assert (answer.status, error["code"]) == (404, "bad_route")


async def test_bodies_of_any_size_pass_in_both_directions_as_they_are(tmp_path: Path) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        response.content_length = request.content_length
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        return response

    body = gzip.compress(b"a" * 100) + bytes(LARGE_BYTES)

    async with (
        upstream(echo) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.put(f"{ARTIFACTS}UploadArtifact?sig=x", data=BytesIO(body)) as answer,
    ):
        returned = await answer.read()

    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert returned == body


async def test_a_body_without_a_length_stays_one(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async def keep(request: web.Request) -> web.StreamResponse:
        there.bodies.append(await request.read())
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"three")
        return response

    async with (
        upstream(keep) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.post(CREATE, data=parts()) as answer,
    ):
        returned = await answer.read()

    assert there.requests[0].headers["Transfer-Encoding"] == "chunked"
    assert (there.bodies, returned) == ([b"onetwo"], b"three")
    assert "Content-Length" not in answer.headers


async def test_a_fast_upstream_waits_for_a_slow_client(tmp_path: Path) -> None:
    written_bytes = 0
    piece = bytes(1024 * 1024)

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal written_bytes
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(LARGE_BYTES // len(piece)):
            is_blocked = asyncio.create_task(response.write(piece))
            done, _ = await asyncio.wait({is_blocked}, timeout=1)
            if not done:
                blocked.set()
            await is_blocked
            written_bytes += len(piece)
        return response

    blocked = asyncio.Event()
    async with (
        upstream(pour) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.get(f"{ARTIFACTS}Download") as answer,
    ):
        await blocked.wait()
        written_before = written_bytes
        returned = await answer.read()

    assert written_before < LARGE_BYTES // 2
    assert len(returned) == LARGE_BYTES


async def test_redirects_and_refusals_are_the_clients_affair(tmp_path: Path) -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://example.com/signed"})

    async with (
        upstream(elsewhere) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.get(f"{ARTIFACTS}Download", allow_redirects=False) as answer,
    ):
        pass

    assert (answer.status, answer.headers["Location"]) == (302, "https://example.com/signed")
    assert len(there.requests) == 1


async def test_an_upstream_that_is_away_is_a_502_in_the_form_of_the_protocol(
    tmp_path: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with (
            serving(tmp_path, results_upstream=url) as server,
            client(server) as session,
            session.post(CREATE, data=b"{}") as answer,
        ):
            error = await answer.json()

    assert (answer.status, error["code"]) == (502, "unavailable")
    assert error["msg"] == f"the results service `{url}` cannot be reached: Connection refused"


async def test_an_upstream_without_tls_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    async with (
        upstream() as there,
        serving(tmp_path, results_upstream=there.url.replace("http:", "https:")) as server,
        client(server) as session,
        session.post(CREATE, data=b"{}") as answer,
    ):
        error = await answer.json()

    assert (answer.status, error["code"]) == (502, "unavailable")
    assert error["msg"].endswith("it does not speak TLS as this server does")


async def test_an_upstream_that_hangs_up_without_an_answer_is_a_502(tmp_path: Path) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with (
        upstream(hang_up) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.post(CREATE, data=b"{}") as answer,
    ):
        error = await answer.json()

    assert (answer.status, error["code"]) == (502, "unavailable")
    assert error["msg"].endswith("the connection broke")


async def test_an_upstream_that_says_nothing_is_a_504(tmp_path: Path) -> None:
    async def wait(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    released = asyncio.Event()
    async with (
        upstream(wait) as there,
        impatient(tmp_path, there.url) as url,
        aiohttp.ClientSession(url) as session,
    ):
        async with session.post(CREATE, data=b"{}") as answer:
            error = await answer.json()
        released.set()

    assert (answer.status, error["code"]) == (504, "unavailable")
    assert error["msg"].endswith("it does not answer in time")


async def test_an_answer_that_breaks_off_does_not_look_whole(tmp_path: Path) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with (
        upstream(half) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.get(f"{ARTIFACTS}Download") as answer,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_client_that_goes_away_takes_its_request_along(tmp_path: Path) -> None:
    async def read_all(request: web.Request) -> web.Response:
        begun.set()
        try:
            await request.read()
        except (web.RequestPayloadError, ConnectionError):
            broken.set()
            raise
        return web.Response()

    begun, broken = asyncio.Event(), asyncio.Event()
    async with upstream(read_all) as there, serving(tmp_path, results_upstream=there.url) as server:
        _, port = server.url.rstrip("/").rsplit(":", 1)
        _, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(f"PUT {CREATE} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfour".encode())
        await begun.wait()
        writer.transport.abort()

        await asyncio.wait_for(broken.wait(), 10)


def test_a_server_never_forwards_to_itself(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="is this server itself"):
        settings_in(tmp_path, port="8480", results_upstream="http://127.0.0.1:8480")


async def test_what_comes_back_through_a_replica_is_not_sent_round_again(tmp_path: Path) -> None:
    async def back(request: web.Request) -> web.Response:
        async with (
            aiohttp.ClientSession() as session,
            session.post(server.url.rstrip("/") + CREATE, headers=request.headers) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())

    async with (
        upstream(back) as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
        session.post(CREATE) as answer,
    ):
        error = await answer.json(content_type=None)

    assert len(there.requests) == 1
    assert answer.status == 508
    assert error["msg"] == f"`{there.url}` leads back to this server"


async def test_forwarded_requests_have_one_route_in_metrics(tmp_path: Path) -> None:
    async with (
        upstream() as there,
        serving(tmp_path, results_upstream=there.url) as server,
        client(server) as session,
    ):
        async with session.post(CREATE, data=b"{}"):
            pass
        async with session.get("/metrics") as answer:
            metrics = await answer.text()

    assert 'runcache_requests_total{route="results_upstream",status="200"} 1.0' in metrics


@asynccontextmanager
async def impatient(folder: Path, origin: str) -> AsyncIterator[str]:
    """Serve nothing but what is forwarded, with little patience."""
    app = web.Application(middlewares=[canonical_log_line, errors_in_dialect])
    app[SETTINGS] = await asyncio.to_thread(settings_in, folder)
    app[METRICS] = Metrics()
    async with (
        results.forwarding(app, origin, key=b"key", patience_seconds=0.2),
        listening(app) as url,
    ):
        yield url
