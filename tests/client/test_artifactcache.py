"""Protocol v1 as a client speaks it: what is sent, and what answers mean (protocol §3)."""

import json

import pytest

from runcache.client.artifactcache import ArtifactCacheServer
from runcache.client.transports import Committed, FoundArchive
from runcache.errors import (
    CacheError,
    EntryExists,
    NotAuthenticated,
    NotPermitted,
    ProtocolAbsent,
    Refused,
    ServerFailed,
    StoreFull,
    UnexpectedAnswer,
)
from tests.client.scripted_server import Reply, Request, ScriptedServer, Trying, scripted

JSON = {"Content-Type": "application/json"}


def said(body: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode(), JSON)


def v1(trying: Trying, server: ScriptedServer) -> ArtifactCacheServer:
    return ArtifactCacheServer(trying.requests(), f"{server.url}/secret", "token")


def test_an_archive_goes_in_ranges(trying: Trying) -> None:
    def answer(request: Request) -> Reply:
        return said({"cacheId": 7}, 201) if request.target.endswith("/caches") else Reply(204)

    with ScriptedServer(answer) as server:
        upload = v1(trying, server).reserve("k", "v")
        upload.put(1, 4, memoryview(b"more"))
        upload.put(0, 0, memoryview(b"some"))
        committed = upload.commit(8, 2)

    reserve, second, first, commit = server.requests
    assert committed == Committed(7, 8)
    assert reserve.target == "/secret/_apis/artifactcache/caches"
    assert json.loads(reserve.body) == {"key": "k", "version": "v"}
    assert [request.method for request in (second, first)] == ["PATCH", "PATCH"]
    assert first.headers["Content-Range"] == "bytes 0-3/*"
    assert second.headers["Content-Range"] == "bytes 4-7/*"
    assert first.target == commit.target == "/secret/_apis/artifactcache/caches/7"
    assert json.loads(commit.body) == {"size": 8}
    assert {r.headers["Authorization"] for r in server.requests} == {"Bearer token"}


def test_a_lookup_names_all_keys(trying: Trying) -> None:
    found = {"cacheKey": "k é,".rstrip(","), "archiveLocation": "http://x/a", "scope": "refs/x"}
    with scripted(said(found)) as server:
        archive = v1(trying, server).find("k é", ("a b/c+",), "v")

    assert archive == FoundArchive("k é", "http://x/a", "refs/x")
    assert server.requests[0].target == (
        "/secret/_apis/artifactcache/cache?keys=k%20%C3%A9%2Ca%20b%2Fc%2B&version=v"
    )


def test_a_miss_has_no_contents(trying: Trying) -> None:
    with scripted(Reply(204)) as server:
        assert v1(trying, server).find("k", (), "v") is None


@pytest.mark.parametrize(
    "body", [{}, {"cacheKey": "k"}, {"archiveLocation": "http://x/"}, [], {"cacheKey": 1}]
)
def test_a_hit_that_says_too_little_is_no_hit(trying: Trying, body: object) -> None:
    with scripted(said(body)) as server, pytest.raises(UnexpectedAnswer):
        v1(trying, server).find("k", (), "v")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (said({"message": "Cache already exists"}, 409), EntryExists),
        (said({"message": "who?"}, 401), NotAuthenticated),
        (said({"message": "cache write denied: no"}, 403), NotPermitted),
        (Reply(404, b"404 page not found"), ProtocolAbsent),
        (said({"message": "full"}, 507), StoreFull),
        (said({"message": "too large"}, 400), Refused),
        (Reply(503), ServerFailed),
        (said({"cacheId": 0}, 201), UnexpectedAnswer),
        (said({"cacheId": "seven"}, 201), UnexpectedAnswer),
    ],
)
def test_a_reservation_that_fails_says_why(
    trying: Trying, reply: Reply, error: type[CacheError]
) -> None:
    with scripted(reply) as server, pytest.raises(error) as caught:
        v1(trying, server).reserve("k", "v")

    assert type(caught.value) is error
