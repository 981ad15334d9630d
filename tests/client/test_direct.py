"""Packs and manifests that are put into the store, and what happens when that does not work."""

import hashlib
import json
from collections.abc import Callable
from typing import Final

import pytest

from runcache.client.native import NativeServer
from runcache.client.transports import SnapshotUpload
from runcache.errors import ServerFailed
from runcache.wire import native as wire
from tests.client.scripted_server import Reply, Request, ScriptedServer, Trying

BODY: Final = b"a pack"
SHA256: Final = hashlib.sha256(BODY)
BLAKE3: Final = b"3" * 32
UPLOAD: Final = SnapshotUpload(17, (), is_direct=True)
JSON: Final = {"Content-Type": "application/json"}
LINKS: Final = wire.UPLOAD_LINKS_PATH.format(upload_id=17)
PACK: Final = wire.PACK_PATH.format(upload_id=17, number=3)
DONE: Final = Reply(204)

Answer = Callable[[Request], Reply]


def server_of(store: str, *, taken: Reply = DONE, link: Reply | None = None) -> Answer:
    """Return a server that hands out links to `store`, and takes what is sent to itself."""

    def answer(request: Request) -> Reply:
        if request.target == LINKS:
            told = {"url": f"{store}/object?signature", "headers": {"x-signed": "digest"}}
            return link or Reply(200, json.dumps(told).encode(), JSON)
        return taken if request.method == "POST" else DONE

    return answer


def put(server: NativeServer, upload: SnapshotUpload = UPLOAD) -> None:
    server.put_pack(upload, 3, memoryview(BODY), blake3=BLAKE3, sha256=SHA256.digest())


def asked(server: ScriptedServer) -> list[tuple[str, str]]:
    return [(request.method, request.target) for request in server.requests]


def test_a_pack_goes_to_the_store_and_the_server_is_told(trying: Trying) -> None:
    with (
        ScriptedServer(lambda _: Reply(200)) as store,
        ScriptedServer(server_of(store.url)) as server,
    ):
        put(NativeServer(trying.requests(), server.url, "token"))

    (sent,) = store.requests
    assert (sent.method, sent.target, sent.body) == ("PUT", "/object?signature", BODY)
    assert sent.headers["x-signed"] == "digest"
    assert sent.headers["Content-Length"] == str(len(BODY))
    assert "Authorization" not in sent.headers
    assert asked(server) == [("POST", LINKS), ("POST", PACK)]
    announced, told = (json.loads(request.body) for request in server.requests)
    assert announced == {"size_bytes": len(BODY), "sha256": SHA256.hexdigest()}
    assert told == {"sha256": SHA256.hexdigest()}


def test_the_manifest_does_so_too(trying: Trying) -> None:
    with (
        ScriptedServer(lambda _: Reply(200)) as store,
        ScriptedServer(server_of(store.url)) as server,
    ):
        native = NativeServer(trying.requests(), server.url, "token")
        native.put_manifest(UPLOAD, memoryview(BODY), blake3=BLAKE3, sha256=SHA256.digest())

    assert len(store.requests) == 1
    assert asked(server)[-1] == ("POST", wire.MANIFEST_PATH.format(upload_id=17))


def test_a_server_that_has_no_links_is_not_asked_for_any(trying: Trying) -> None:
    with ScriptedServer(lambda _: DONE) as server:
        put(NativeServer(trying.requests(), server.url, "token"), SnapshotUpload(17, ()))

    assert asked(server) == [("PUT", PACK)]
    assert server.requests[0].headers[wire.SHA256_HEADER] == SHA256.hexdigest()


@pytest.mark.parametrize("refusal", [Reply(403), Reply(400), Reply(503)], ids=["403", "400", "503"])
def test_what_the_store_does_not_take_goes_through_the_server_and_so_does_the_rest(
    trying: Trying, refusal: Reply
) -> None:
    with (
        ScriptedServer(lambda _: refusal) as store,
        ScriptedServer(server_of(store.url)) as server,
    ):
        native = NativeServer(trying.requests(), server.url, "token")
        put(native)
        put(native)

    assert asked(server) == [("POST", LINKS), ("PUT", PACK), ("PUT", PACK)]
    assert server.requests[1].body == BODY


def test_a_store_that_cannot_be_reached_costs_a_moment_and_no_more(trying: Trying) -> None:
    with ScriptedServer(lambda _: DONE) as store:
        nobody = store.url
    with ScriptedServer(server_of(nobody)) as server:
        native = NativeServer(trying.requests(), server.url, "token")
        put(native)
        put(native)

    assert asked(server) == [("POST", LINKS), ("PUT", PACK), ("PUT", PACK)]
    assert len(trying.pauses) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"taken": Reply(400, b"{}", JSON)},
        {"link": Reply(404, b"{}", JSON)},
        {"link": Reply(200, b"no link", JSON)},
    ],
    ids=["not taken", "no links", "no answer"],
)
def test_what_the_server_does_not_take_from_the_store_is_sent_to_it(
    trying: Trying, answer: dict[str, Reply]
) -> None:
    with (
        ScriptedServer(lambda _: Reply(200)) as store,
        ScriptedServer(server_of(store.url, **answer)) as server,
    ):
        put(NativeServer(trying.requests(), server.url, "token"))

    assert asked(server)[-1] == ("PUT", PACK)


def test_a_server_that_fails_fails_the_save(trying: Trying) -> None:
    with ScriptedServer(lambda _: Reply(503)) as server, pytest.raises(ServerFailed):
        put(NativeServer(trying.requests(), server.url, "token"))
