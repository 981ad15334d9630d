"""Protocol v2 as a client speaks it: what is sent, and what answers mean (protocol §2)."""

import base64
import json

import pytest

from runcache.client.transports import Committed
from runcache.client.twirp import TwirpServer
from runcache.errors import (
    CacheError,
    EntryExists,
    LinkRefused,
    NotAuthenticated,
    NotPermitted,
    ProtocolAbsent,
    Refused,
    ServerFailed,
    StoreFull,
    UnexpectedAnswer,
    UploadGone,
)
from runcache.wire.azure_blob import parse_block_list
from tests.client.scripted_server import Reply, Request, ScriptedServer, Trying, scripted

JSON = {"Content-Type": "application/json"}


def said(body: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode(), JSON)


def twirp(trying: Trying, server: ScriptedServer) -> TwirpServer:
    return TwirpServer(trying.requests(), server.url, "token")


def test_an_archive_goes_in_blocks_that_are_listed_in_order(trying: Trying) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            return Reply(201)
        if request.target.endswith("CreateCacheEntry"):
            return said({"ok": True, "signed_upload_url": f"{server.url}/a/b/c?sig=a%2Bb"})
        return said({"ok": True, "entry_id": "1001"})

    with ScriptedServer(answer) as server:
        upload = twirp(trying, server).reserve("k", "v")
        upload.put(1, 4, memoryview(b"more"))
        upload.put(0, 0, memoryview(b"some"))
        committed = upload.commit(8, 2)

    create, second, first, block_list, finalize = server.requests
    assert committed == Committed(1001, 8)
    assert json.loads(create.body) == {"key": "k", "version": "v"}
    assert json.loads(finalize.body) == {"key": "k", "version": "v", "size_bytes": "8"}
    ids = [block.target.rpartition("&blockid=")[2] for block in (first, second)]
    assert [block.body for block in (first, second)] == [b"some", b"more"]
    assert first.target == f"/a/b/c?sig=a%2Bb&comp=block&blockid={ids[0]}"
    assert parse_block_list(block_list.body) == ids
    assert block_list.target == "/a/b/c?sig=a%2Bb&comp=blocklist"
    # 48 bytes, of which some servers take the last ones for the number (protocol §4.2).
    assert [base64.b64decode(id_)[36:] for id_ in ids] == [b"000000000000", b"000000000001"]
    assert all("Authorization" not in r.headers for r in (first, second, block_list))
    assert create.headers["Authorization"] == finalize.headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (said({"code": "already_exists", "msg": "taken"}, 409), EntryExists),
        (said({"ok": False}), EntryExists),
        (said({"ok": False, "message": "cache write denied: no"}), NotPermitted),
        (said({"ok": False, "message": "the disk is full"}), Refused),
        (said({"code": "unauthenticated", "msg": "who?"}, 401), NotAuthenticated),
        (said({"code": "permission_denied", "msg": "no"}, 403), NotPermitted),
        (said({"code": "not_found", "msg": "no"}, 404), UploadGone),
        (said({"code": "bad_route", "msg": "no"}, 404), ProtocolAbsent),
        (Reply(404, b"not found"), ProtocolAbsent),
        (said({"code": "invalid_argument", "msg": "no"}, 400), Refused),
        (said({"code": "unavailable", "msg": "later"}, 503), ServerFailed),
        (said({"ok": True}), UnexpectedAnswer),
        (said({"ok": "yes"}), UnexpectedAnswer),
        (Reply(200, b"<html>"), UnexpectedAnswer),
    ],
)
def test_a_reservation_that_fails_says_why(
    trying: Trying, reply: Reply, error: type[CacheError]
) -> None:
    with scripted(reply) as server, pytest.raises(error) as caught:
        twirp(trying, server).reserve("k", "v")

    assert type(caught.value) is error


@pytest.mark.parametrize(
    "miss", [said({"ok": False}), said({}), said({"code": "not_found", "msg": "no entry"}, 404)]
)
def test_a_miss_may_have_several_forms(trying: Trying, miss: Reply) -> None:
    with scripted(miss) as server:
        assert twirp(trying, server).find("k", ("r",), "v") is None

    assert json.loads(server.requests[0].body) == {
        "key": "k",
        "restore_keys": ["r"],
        "version": "v",
    }


def test_a_hit_without_a_link_is_no_hit(trying: Trying) -> None:
    reply = said({"ok": True, "matched_key": "k"})
    with scripted(reply) as server, pytest.raises(UnexpectedAnswer):
        twirp(trying, server).find("k", (), "v")


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, LinkRefused), (401, LinkRefused), (507, StoreFull), (400, UnexpectedAnswer)],
)
def test_a_block_that_is_refused_says_why(
    trying: Trying, status: int, error: type[CacheError]
) -> None:
    with scripted(Reply(status)) as server, pytest.raises(error):
        twirp(trying, server).put(f"{server.url}/x", "application/octet-stream", b"block")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_block_may_be_taken_with_any_status_of_success(trying: Trying, status: int) -> None:
    with scripted(Reply(503), Reply(status)) as server:
        twirp(trying, server).put(f"{server.url}/x", "application/octet-stream", b"block")

    assert [request.body for request in server.requests] == [b"block"] * 2
