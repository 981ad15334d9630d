"""Looking after a server: what is sent, and what answers mean."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from runcache.client.github_rest import RestManagement
from runcache.errors import (
    CacheError,
    EntryMissing,
    NotAuthenticated,
    NotPermitted,
    ProtocolAbsent,
    Refused,
    ServerFailed,
    UnexpectedAnswer,
)
from runcache.listing import Order, Selection, SortBy
from tests.client.scripted_server import Reply, ScriptedServer, Trying, scripted

JSON = {"Content-Type": "application/json; charset=utf-8"}
REPOSITORY = "Octo/Hello"
CACHES = "/repos/octo/hello/actions/caches"
NO_WAY_OUT = {"message": "Not Found", "documentation_url": "x", "status": "404"}


def management(trying: Trying, server: ScriptedServer) -> RestManagement:
    return RestManagement(trying.requests(), server.url, "token")


def said(body: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(body).encode(), JSON | headers)


def listed(*ids: int, total_count: int = 3) -> dict[str, object]:
    caches = [
        {
            "id": number,
            "ref": "refs/heads/main",
            "key": f"k-{number}",
            "version": "v",
            "last_accessed_at": "2026-11-20T08:00:00.083333300Z",
            "created_at": "2026-11-19T08:00:00Z",
            "size_in_bytes": 10,
        }
        for number in ids
    ]
    return {"total_count": total_count, "actions_caches": caches}


def next_page(url: str) -> str:
    return f'<https://elsewhere.example/x?page=1>; rel="prev", <{url}>; rel="next"'


def ids_of(management: RestManagement, limit: int = 100) -> list[int]:
    pages = management.pages(REPOSITORY, Selection(), Order(), limit=limit)
    return [entry.id for page in pages for entry in page.entries]


def test_what_is_wanted_is_asked_for_as_gh_does(trying: Trying) -> None:
    selection = Selection(prefix="a b/ü&x=1", ref="refs/pull/7/merge")
    order = Order(SortBy.SIZE, is_descending=False)
    with scripted(said(listed(1, total_count=1))) as server:
        pages = list(management(trying, server).pages(REPOSITORY, selection, order, limit=2))

    (request,) = server.requests
    assert urlsplit(request.target).path == CACHES
    assert dict(parse_qsl(urlsplit(request.target).query)) == {
        "direction": "asc",
        "key": "a b/ü&x=1",
        "per_page": "2",
        "ref": "refs/pull/7/merge",
        "sort": "size_in_bytes",
    }
    assert request.headers["Authorization"] == "Bearer token"
    ((entry,),) = [page.entries for page in pages]
    assert (entry.id, entry.ref, entry.key) == (1, "refs/heads/main", "k-1")
    assert entry.last_accessed_at - entry.created_at == 86_400_083


def test_pages_are_followed_until_there_is_none(trying: Trying) -> None:
    link = next_page(f"http://any.example{CACHES}?per_page=2&page=2&cursor=abc")
    with scripted(said(listed(1, 2), Link=link), said(listed(3))) as server:
        ids = ids_of(management(trying, server))

    assert ids == [1, 2, 3]
    assert server.requests[1].target == f"{CACHES}?per_page=2&page=2&cursor=abc"


def test_pages_are_followed_until_the_limit(trying: Trying) -> None:
    link = next_page(f"http://any.example{CACHES}?page=2")
    with scripted(said(listed(1, 2), Link=link), said(listed(3, 4), Link=link)) as server:
        ids = ids_of(management(trying, server), limit=3)

    assert ids == [1, 2, 3]
    assert len(server.requests) == 2


def test_an_empty_page_is_the_last(trying: Trying) -> None:
    with scripted(said(listed(), Link=next_page("http://any.example/?page=2"))) as server:
        assert ids_of(management(trying, server)) == []


def test_usages_of_an_owner_are_read_to_the_end(trying: Trying) -> None:
    def usage(name: str) -> dict[str, object]:
        repository = {
            "full_name": name,
            "active_caches_size_in_bytes": 5,
            "active_caches_count": 2,
        }
        return {"total_count": 2, "repository_cache_usages": [repository]}

    link = next_page("http://any.example/?page=2")
    with scripted(said(usage("octo/a"), Link=link), said(usage("octo/b"))) as server:
        usages = management(trying, server).usages("Octo")

    assert [(usage.repository, usage.entry_count, usage.size_bytes) for usage in usages] == [
        ("octo/a", 2, 5),
        ("octo/b", 2, 5),
    ]
    assert server.requests[0].target.startswith("/orgs/octo/actions/cache/usage-by-repository?")


def test_an_entry_is_deleted_by_id_and_by_key(trying: Trying) -> None:
    with scripted(Reply(204), said(listed(1, 2, total_count=2))) as server:
        one = management(trying, server).delete(REPOSITORY, 17)
        others = management(trying, server).delete_by_key(REPOSITORY, "a+b", ref="refs/heads/x")

    assert (one, others) == (True, 2)
    assert [(request.method, request.target) for request in server.requests] == [
        ("DELETE", f"{CACHES}/17"),
        ("DELETE", f"{CACHES}?key=a%2Bb&ref=refs%2Fheads%2Fx"),
    ]


def test_to_delete_what_is_not_there_is_an_outcome(trying: Trying) -> None:
    with scripted(said(NO_WAY_OUT, 404)) as server:
        asked = management(trying, server)

        assert asked.delete(REPOSITORY, 17) is False
        assert asked.delete_by_key(REPOSITORY, "k", ref=None) == 0


def test_what_may_pass_is_tried_again(trying: Trying) -> None:
    with scripted(Reply(503), Reply(429), said(listed(1))) as server:
        assert ids_of(management(trying, server)) == [1]

    assert len(trying.pauses) == 2


def test_what_does_not_pass_is_told(trying: Trying) -> None:
    with scripted(Reply(503)) as server, pytest.raises(ServerFailed):
        management(trying, server).usage(REPOSITORY)


@pytest.mark.parametrize(
    ("reply", "expected", "hint"),
    [
        (said({"message": "Bad credentials"}, 401), NotAuthenticated, "runcache token api"),
        (said({"message": "read only"}, 403), NotPermitted, "--write"),
        (said(NO_WAY_OUT, 404), NotPermitted, "runcache token api"),
        (said({"message": "no", "hint": "try"}, 422), Refused, "try"),
        (Reply(404, b"<html>"), UnexpectedAnswer, "URL"),
        (said({"message": 7}, 400), UnexpectedAnswer, "URL"),
        (said({"actions_caches": 1}), UnexpectedAnswer, "URL"),
        (said([]), UnexpectedAnswer, "URL"),
    ],
)
def test_refusals_mean_what_they_say(
    trying: Trying, reply: Reply, expected: type[CacheError], hint: str
) -> None:
    with scripted(reply) as server, pytest.raises(expected) as raised:
        ids_of(management(trying, server))

    assert type(raised.value) is expected
    assert hint in (raised.value.hint or "")


def test_a_time_that_is_none_is_unexpected(trying: Trying) -> None:
    body = json.dumps(listed(1)).replace("2026-11-19T", "yesterday ")
    with scripted(Reply(200, body.encode(), JSON)) as server, pytest.raises(UnexpectedAnswer):
        ids_of(management(trying, server))


def test_a_missing_entry_has_no_details_and_no_files(trying: Trying) -> None:
    with scripted(said({"code": "not_found", "message": "there is no such entry"}, 404)) as server:
        asked = management(trying, server)

        assert asked.details(REPOSITORY, 17) is None
        with pytest.raises(EntryMissing):
            asked.files(REPOSITORY, 17, search="", after=None, limit=10)


@pytest.mark.parametrize(
    "reply", [said(NO_WAY_OUT, 404), said({"code": "bad_route", "message": "x"}, 404), Reply(404)]
)
def test_a_server_without_our_protocol_has_no_details(trying: Trying, reply: Reply) -> None:
    with scripted(reply) as server, pytest.raises(ProtocolAbsent):
        management(trying, server).details(REPOSITORY, 17)


def test_files_that_cannot_be_listed_are_refused(trying: Trying) -> None:
    reply = said({"code": "invalid_argument", "message": "damaged", "hint": "restore it"}, 400)
    with scripted(reply) as server, pytest.raises(Refused, match="damaged") as raised:
        management(trying, server).files(REPOSITORY, 17, search="a b", after="9", limit=10)

    assert raised.value.hint == "restore it"
    (request,) = server.requests
    path = "/runcache/v1/repos/octo/hello/entries/17/files"
    assert request.target == f"{path}?search=a+b&after=9&limit=10"
