"""Our own protocol: what is sent, and what answers mean."""

import json

import pytest

from runcache.client.native import NativeServer
from runcache.client.transports import SnapshotUpload
from runcache.errors import (
    BlobMissing,
    CacheError,
    EntryExists,
    LinkRefused,
    NotAuthenticated,
    NotPermitted,
    PackGone,
    ProtocolAbsent,
    Refused,
    ServerFailed,
    StoreFull,
    UnexpectedAnswer,
    UploadGone,
)
from runcache.wire.native import ErrorCode
from tests.client.scripted_server import Reply, Request, ScriptedServer, Trying, ranged, scripted

UPLOAD = SnapshotUpload(17, ())
JSON = {"Content-Type": "application/json"}


def native(trying: Trying, server: ScriptedServer) -> NativeServer:
    return NativeServer(trying.requests(), server.url, "token")


def said(status: int, body: object) -> Reply:
    return Reply(status, json.dumps(body).encode(), JSON)


def refused(status: int, code: str, hint: str | None = None) -> Reply:
    return said(status, {"code": code, "message": f"because of {code}", "hint": hint})


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refused(409, ErrorCode.ALREADY_EXISTS), EntryExists),
        (refused(412, ErrorCode.PACK_GONE), PackGone),
        (refused(404, ErrorCode.NOT_FOUND), UploadGone),
        (refused(507, ErrorCode.STORE_FULL), StoreFull),
        (refused(401, ErrorCode.UNAUTHENTICATED), NotAuthenticated),
        (refused(403, ErrorCode.PERMISSION_DENIED), NotPermitted),
        (refused(503, ErrorCode.UNAVAILABLE), ServerFailed),
        (refused(413, ErrorCode.TOO_LARGE, "cache less"), Refused),
        (refused(400, "something new"), Refused),
        (said(400, {"error": "of another protocol"}), UnexpectedAnswer),
        (Reply(404, b"no such page"), UnexpectedAnswer),
        (Reply(200, b"committed!"), UnexpectedAnswer),
        (said(200, {"entry_id": "seven"}), UnexpectedAnswer),
    ],
)
def test_a_refusal_is_what_its_code_says(
    trying: Trying, reply: Reply, error: type[CacheError]
) -> None:
    with scripted(reply) as server, pytest.raises(error) as caught:
        native(trying, server).commit(UPLOAD, ["17-0"])

    assert type(caught.value) is error


def test_a_refusal_keeps_its_words_and_its_way_out(trying: Trying) -> None:
    reply = refused(413, ErrorCode.TOO_LARGE, "cache less")
    with scripted(reply) as server, pytest.raises(Refused) as caught:
        native(trying, server).commit(UPLOAD, [])

    assert str(caught.value) == "because of too_large"
    assert caught.value.hint == "cache less"


def test_a_pack_is_sent_with_its_digests_and_the_token(trying: Trying) -> None:
    with scripted(Reply(503), Reply(204)) as server:
        native(trying, server).put_pack(
            UPLOAD, 3, memoryview(b"pack"), blake3=b"\1" * 32, sha256=b"\2" * 32
        )

    request = server.requests[1]
    assert (request.method, request.target) == ("PUT", "/runcache/v1/uploads/17/packs/3")
    assert request.body == server.requests[0].body == b"pack"
    assert request.headers["Authorization"] == "Bearer token"
    assert request.headers["X-Runcache-BLAKE3"] == "01" * 32
    assert request.headers["X-Runcache-SHA256"] == "02" * 32
    assert request.headers["Content-Length"] == "4"


def test_links_are_renewed_with_the_token_and_read_without_it(trying: Trying) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "GET":
            return ranged(b"bytes", request) if "sig=2" in request.target else Reply(403)
        blob = {"name": "manifest", "size_bytes": 5}
        if request.target.endswith("/links"):
            return said(200, {"blobs": [{**blob, "url": f"{server.url}/b?sig=2"}]})
        blobs = [{**blob, "url": f"{server.url}/b?sig=1"}]
        return said(201, {"upload_id": 1, "bases": [{"entry_id": 9, "blobs": blobs}]})

    with ScriptedServer(answer) as server:
        upload = native(trying, server).reserve_snapshot("k", "v", "auto")
        buffer = memoryview(bytearray(5))
        with upload.bases[0].blobs[0].read(0, 5) as reader:
            reader.readinto(buffer)

    assert bytes(buffer) == b"bytes"
    shown = {r.target: r.headers.get("Authorization") for r in server.requests}
    assert shown == {
        "/runcache/v1/uploads": "Bearer token",
        "/b?sig=1": None,
        "/runcache/v1/entries/9/links": "Bearer token",
        "/b?sig=2": None,
    }


@pytest.mark.parametrize(
    ("renewal", "error"),
    [
        (refused(404, ErrorCode.NOT_FOUND), BlobMissing),
        (said(200, {"blobs": []}), LinkRefused),
        (refused(401, ErrorCode.UNAUTHENTICATED), NotAuthenticated),
    ],
)
def test_links_that_nobody_renews_are_refused(
    trying: Trying, renewal: Reply, error: type[CacheError]
) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "GET":
            return Reply(403)
        if request.target.endswith("/links"):
            return renewal
        blobs = [{"name": "manifest", "size_bytes": 5, "url": f"{server.url}/b?sig=1"}]
        return said(201, {"upload_id": 1, "bases": [{"entry_id": 9, "blobs": blobs}]})

    with ScriptedServer(answer) as server:
        upload = native(trying, server).reserve_snapshot("k", "v", ())
        with upload.bases[0].blobs[0].read(0, 5) as reader, pytest.raises(error):
            reader.readinto(memoryview(bytearray(5)))


def test_what_is_gone_needs_no_abandoning(trying: Trying) -> None:
    with scripted(refused(404, ErrorCode.NOT_FOUND)) as server:
        native(trying, server).abandon(UPLOAD)

    assert server.requests[0].method == "DELETE"


def test_a_long_reason_of_damage_is_cut(trying: Trying) -> None:
    with scripted(Reply(204)) as server:
        native(trying, server).report_damage(9, "x" * 5000)

    assert server.requests[0].target == "/runcache/v1/entries/9/damage"
    assert len(json.loads(server.requests[0].body)["reason"]) == 500


@pytest.mark.parametrize("reply", [Reply(404), Reply(405), said(404, {"message": "Not Found"})])
def test_a_server_without_uploads_does_not_speak_it(trying: Trying, reply: Reply) -> None:
    with scripted(reply) as server, pytest.raises(ProtocolAbsent):
        native(trying, server).reserve_snapshot("k", "v", ())
