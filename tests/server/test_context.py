"""What a request is for and what it says, whatever it is wrapped in."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from runcache.errors import MalformedMessage, MessageTooLarge, Misdirected, UploadInterrupted
from runcache.server.context import (
    SETTINGS,
    body_of,
    is_from_loopback,
    origin_of,
    require_own_authority,
    target_of,
)
from runcache.wire.twirp import MAX_BODY_BYTES, SERVICE_PATH, Method
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import converse
from tests.server.serving import Served, settings_in

OUTSIDE: Final = "192.0.2.7"
PROXY: Final = "192.0.2.80"
BEHIND_PROXY: Final = {"behind_proxy": "true", "trusted_proxies": f"{PROXY}/32"}
FORWARDED: Final = {
    "Host": "inside:8480",
    "X-Forwarded-Host": "cache.example.com",
    "X-Forwarded-Proto": "https",
}


class Requests:
    """Requests to a server with certain settings, as handlers get them."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._app = web.Application()
        self._app[SETTINGS] = settings_in(folder, **settings)

    def __call__(
        self,
        target: str = "/healthz",
        *,
        method: str = "GET",
        remote: str = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
    ) -> web.Request:
        request = make_mocked_request(method, target, headers, app=self._app)
        return request.clone(remote=remote)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8480", "cache", "cache.example.com", "[::1]:8480", "my_host-1:65535"]
)
def test_the_origin_is_the_host_that_the_client_asked_for(tmp_path: Path, host: str) -> None:
    request = Requests(tmp_path)(headers={"Host": host})

    assert origin_of(request) == f"http://{host}"


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "a?b", "user@host", "a:b", "a:123456", "<script>", "[::1", "ä"]
)
def test_a_host_that_is_none_gets_into_no_link(tmp_path: Path, host: str) -> None:
    requests = Requests(tmp_path)

    with pytest.raises(MalformedMessage):
        origin_of(requests(headers={"Host": host}))
    with pytest.raises(MalformedMessage):
        origin_of(requests())


def test_public_url_is_the_origin_whatever_a_request_says(tmp_path: Path) -> None:
    requests = Requests(tmp_path, public_url="https://cache.example.com/", **BEHIND_PROXY)

    assert origin_of(requests(headers={"Host": "other"})) == "https://cache.example.com"
    forwarded = FORWARDED | {"X-Forwarded-Host": "other"}
    assert origin_of(requests(remote=PROXY, headers=forwarded)) == "https://cache.example.com"


def test_a_trusted_proxy_says_what_the_client_asked_for(tmp_path: Path) -> None:
    requests = Requests(tmp_path, **BEHIND_PROXY)

    assert origin_of(requests(remote=PROXY, headers=FORWARDED)) == "https://cache.example.com"


@pytest.mark.parametrize(
    ("remote", "settings"),
    [
        (OUTSIDE, BEHIND_PROXY),
        ("127.0.0.1", BEHIND_PROXY),
        (PROXY, {"trusted_proxies": f"{PROXY}/32"}),
        (PROXY, {"behind_proxy": "true", "trusted_proxies": "none"}),
        ("127.0.0.1", {}),
    ],
)
def test_nobody_else_may_say_it(tmp_path: Path, remote: str, settings: dict[str, str]) -> None:
    requests = Requests(tmp_path, **settings)

    assert origin_of(requests(remote=remote, headers=FORWARDED)) == "http://inside:8480"


def test_a_proxy_on_the_same_machine_is_trusted_by_default(tmp_path: Path) -> None:
    requests = Requests(tmp_path, behind_proxy="true")

    assert origin_of(requests(remote="127.0.0.1", headers=FORWARDED)) == "https://cache.example.com"
    assert origin_of(requests(remote="::1", headers=FORWARDED)) == "https://cache.example.com"


@pytest.mark.parametrize(
    "forwarded", [{"X-Forwarded-Proto": "javascript"}, {"X-Forwarded-Host": "a b"}]
)
def test_nonsense_of_a_trusted_proxy_gets_into_no_link(
    tmp_path: Path, forwarded: dict[str, str]
) -> None:
    requests = Requests(tmp_path, **BEHIND_PROXY)

    with pytest.raises(MalformedMessage):
        origin_of(requests(remote=PROXY, headers=FORWARDED | forwarded))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/healthz"),
        ("GET", "//evil.example/healthz"),
        ("OPTIONS", "*"),
        ("GET", "http://127.0.0.1:8480/healthz"),
        ("GET", "http://127.0.0.1/healthz"),
        ("GET", "http://LocalHost:8480/healthz"),
        ("GET", "http://results.localhost/healthz"),
        ("GET", "http://[::1]:8480/healthz"),
        ("GET", "https://Cache.Example.com/healthz"),
        ("GET", "http://192.0.2.1:8480/healthz"),
        ("CONNECT", "127.0.0.1:8480"),
        ("CONNECT", "cache.example.com"),
    ],
)
def test_a_request_for_this_server_is_taken_in_every_form(
    tmp_path: Path, method: str, target: str
) -> None:
    requests = Requests(
        tmp_path, host="192.0.2.1", behind_proxy="true", public_url="https://cache.Example.com"
    )

    require_own_authority(requests(target, method=method))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "*"),
        ("GET", "http://evil.example/healthz"),
        ("GET", "http://evil.example:8480/healthz"),
        ("GET", "http://127.0.0.1@evil.example/healthz"),
        ("GET", "http://127.0.0.1:8480@evil.example/healthz"),
        ("GET", "http://cache.example.com@evil.example/healthz"),
        ("GET", "http://cache.example.com.evil.example/healthz"),
        ("GET", "http://[2001:db8::1]/healthz"),
        ("GET", "http:///healthz"),
        ("CONNECT", "evil.example:443"),
        ("CONNECT", "127.0.0.1:8480@evil.example:443"),
    ],
)
def test_a_request_for_another_host_is_refused(tmp_path: Path, method: str, target: str) -> None:
    requests = Requests(tmp_path, public_url="https://cache.example.com")

    with pytest.raises(Misdirected):
        require_own_authority(requests(target, method=method))


def test_a_server_on_an_ipv6_address_knows_its_own(tmp_path: Path) -> None:
    requests = Requests(tmp_path, host="2001:db8::1", behind_proxy="true")

    require_own_authority(requests("http://[2001:db8::1]:8480/healthz"))


@pytest.mark.parametrize(
    ("received", "target"),
    [
        ("/a%2Fb?sig=%3D&x", "/a%2Fb?sig=%3D&x"),
        ("//host/a", "//host/a"),
        ("http://127.0.0.1:8480/a%2Fb?u=http://x/y", "/a%2Fb?u=http://x/y"),
        ("http://127.0.0.1:8480", ""),
    ],
)
def test_a_target_is_what_was_received_without_the_authority(
    tmp_path: Path, received: str, target: str
) -> None:
    assert target_of(Requests(tmp_path)(received)) == target


@pytest.mark.parametrize(
    ("remote", "settings", "is_local"),
    [
        ("127.0.0.1", {}, True),
        ("127.8.9.10", {}, True),
        ("::1", {}, True),
        (OUTSIDE, {}, False),
        ("127.0.0.1", {"behind_proxy": "true"}, False),
    ],
)
def test_what_a_proxy_passes_on_does_not_come_from_this_machine(
    tmp_path: Path, remote: str, settings: dict[str, str], *, is_local: bool
) -> None:
    assert is_from_loopback(Requests(tmp_path, **settings)(remote=remote)) is is_local


async def test_a_body_of_the_longest_size_is_read_whole() -> None:
    body = _body(b"x" * 60, b"y" * 40)
    body.feed_eof()

    assert await body_of(_request_with(body), 100) == b"x" * 60 + b"y" * 40


async def test_an_empty_body_is_one_too() -> None:
    body = _body()
    body.feed_eof()

    assert await body_of(_request_with(body), 0) == b""


async def test_a_longer_body_is_refused_before_it_has_come() -> None:
    body = _body(b"x" * 60, b"y" * 41)

    with pytest.raises(MessageTooLarge) as refusal:
        await body_of(_request_with(body), 100)

    assert refusal.value.limit_bytes == 100


@pytest.mark.parametrize(
    "cause",
    [
        web.RequestPayloadError("not enough data for Content-Length"),
        ConnectionResetError("Connection lost"),
        TimeoutError(),
    ],
)
async def test_a_body_that_ends_early_is_no_message(cause: Exception) -> None:
    body = _body(b"half")
    body.set_exception(cause)

    with pytest.raises(UploadInterrupted):
        await body_of(_request_with(body), 100)


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_message_that_is_too_long_is_refused_over_the_wire(
    server: Served, *, is_announced: bool
) -> None:
    message = b" " * (MAX_BODY_BYTES + 1)
    start = (
        f"POST {SERVICE_PATH}{Method.CREATE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {server.job_token()}\r\n"
    ).encode()
    rest = (
        b"Content-Length: %d\r\n\r\n%s" % (len(message), message)
        if is_announced
        else b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(message), message)
    )

    answer = await converse(server.url, start + rest)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"code":"malformed","msg":"the body exceeds 65536 bytes"}')


async def test_broken_chunks_are_refused_over_the_wire(server: Served) -> None:
    head = (
        f"POST {SERVICE_PATH}{Method.CREATE} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {server.job_token()}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    answer = await converse(server.url, head.encode() + b"2\r\n{}\r\nnonsense\r\n")

    assert b" 400 Bad Request\r\n" in answer
    assert b'"code": "malformed"' in answer


async def test_after_a_client_that_went_away_in_a_body_the_server_goes_on(server: Served) -> None:
    head = (
        f"POST {SERVICE_PATH}{Method.CREATE} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {server.job_token()}\r\nContent-Length: 100\r\n\r\n"
    )

    await converse(server.url, head.encode() + b"{", hangs_up=True)

    async with RawJob(server) as job:
        assert (await job.reserve("key")).body["ok"] is True


async def test_a_message_in_pieces_is_put_together(server: Served) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"key": "in pi', b'eces", "version"', b': "v"}'):
            yield piece
            await asyncio.sleep(0)

    async with RawJob(server) as job:
        answer = await job.authorized(
            "POST",
            SERVICE_PATH + Method.CREATE,
            data=pieces(),
            headers={"Content-Type": "application/json"},
        )

    assert answer.body["ok"] is True


def _body(*pieces: bytes) -> StreamReader:
    loop = asyncio.get_running_loop()
    body = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    for piece in pieces:
        body.feed_data(piece)
    return body


def _request_with(body: StreamReader) -> web.Request:
    return make_mocked_request("POST", "/", payload=body)
