"""Entries over GitHub's REST API: listed, paged, deleted."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.faults.raw_job import VERSION, Answer
from tests.in_process import MAIN, body_of, job
from tests.server.caretaker import Caretaker, caretaker
from tests.server.serving import serving

# They share a server, which is on the loop of the session.
pytestmark = pytest.mark.asyncio(loop_scope="session")

PULL: Final = "refs/pull/7/merge"
NEXT: Final = re.compile(r'<([^>]+)>; rel="next"')


def keys_in(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [cache["key"] for cache in answer.body["actions_caches"]]


async def listed(owner: Caretaker, query: str = "") -> Answer:
    return await owner.authorized("GET", f"{owner.caches}{query}")


async def test_an_entry_is_listed_with_all_of_its_members(owner: Caretaker) -> None:
    entry = await owner.saved("npm-1", b"four")

    answer = await listed(owner)

    (cache,) = answer.body["actions_caches"]
    assert answer.body["total_count"] == 1
    assert list(cache) == [
        "id",
        "ref",
        "key",
        "version",
        "last_accessed_at",
        "created_at",
        "size_in_bytes",
    ]
    assert (cache["id"], cache["ref"], cache["key"], cache["version"], cache["size_in_bytes"]) == (
        entry.id,
        MAIN,
        "npm-1",
        entry.version,
        4,
    )
    assert cache["created_at"] == cache["last_accessed_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", cache["created_at"])


async def test_what_is_not_committed_is_not_listed(owner: Caretaker) -> None:
    service = owner.server.wired.service
    upload = await service.reserve(job(repository=owner.repository), "key", VERSION)
    await service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)

    answer = await listed(owner)

    assert answer.body == {"total_count": 0, "actions_caches": []}


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", ["pip-1", "npm-2", "npm-1"]),
        ("?sort=created_at&direction=asc", ["npm-1", "npm-2", "pip-1"]),
        ("?sort=size_in_bytes", ["npm-1", "npm-2", "pip-1"]),
        ("?sort=size_in_bytes&direction=asc", ["pip-1", "npm-2", "npm-1"]),
        ("?key=npm-", ["npm-2", "npm-1"]),
        ("?key=npm-2", ["npm-2"]),
        ("?key=pm-", []),
        (f"?ref={quote(PULL, safe='')}", ["pip-1", "npm-2"]),
        (f"?ref={PULL}&key=npm-", ["npm-2"]),
        ("?ref=main", []),
        ("?key=&ref=&page=nonsense", ["pip-1", "npm-2", "npm-1"]),
        ("?page=7", []),
    ],
)
async def test_a_list_is_filtered_and_ordered_as_it_is_asked_for(
    owner: Caretaker, query: str, keys: list[str]
) -> None:
    await owner.saved("npm-1", b"xxx")
    await owner.saved("npm-2", b"xx", ref=PULL)
    await owner.saved("pip-1", b"x", ref=PULL)

    answer = await listed(owner, query)

    assert keys_in(answer) == keys
    assert answer.body["total_count"] == (len(keys) if "page=7" not in query else 3)


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
async def test_the_links_lead_through_all_pages(owner: Caretaker, prefix: str) -> None:
    for number in range(7):
        await owner.saved(f"a b/{number}")
    url: str | None = f"{owner.url}{prefix}{owner.caches}?sort=created_at&per_page=3&key=a+b%2F"

    pages = []
    while url is not None:
        answer = await owner.request("GET", url, headers={"Authorization": f"token {owner.token}"})
        pages.append([key.removeprefix("a b/") for key in keys_in(answer)])
        found = NEXT.search(answer.headers.get("Link", ""))
        url = found[1] if found else None
        assert url is None or url.startswith(f"{owner.url}{prefix}/repos/{owner.repository}/"), url

    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]


async def test_a_page_by_its_number_is_the_one_that_the_links_lead_to(owner: Caretaker) -> None:
    for number in range(5):
        await owner.saved(f"key-{number}")
    first = await listed(owner, "?per_page=2&sort=created_at")

    followed = await owner.request(
        "GET",
        str(NEXT.findall(first.headers["Link"])[0]),
        headers={"Authorization": f"token {owner.token}"},
    )
    numbered = await listed(owner, "?per_page=2&sort=created_at&page=2")

    assert keys_in(followed) == keys_in(numbered) == ["key-2", "key-1"]
    assert first.body["total_count"] == 5
    assert [part.rsplit("; ")[1] for part in numbered.headers["Link"].split(", ")] == [
        'rel="prev"',
        'rel="next"',
        'rel="last"',
        'rel="first"',
    ]


async def test_what_is_deleted_meanwhile_skips_nothing(owner: Caretaker) -> None:
    for number in range(6):
        await owner.saved(f"key-{number}")
    first = await listed(owner, "?per_page=3&sort=created_at")
    for cache in first.body["actions_caches"]:
        await owner.authorized("DELETE", f"{owner.caches}/{cache['id']}")

    second = await owner.request(
        "GET",
        NEXT.findall(first.headers["Link"])[0],
        headers={"Authorization": f"token {owner.token}"},
    )

    assert keys_in(second) == ["key-2", "key-1", "key-0"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("?sort=key", "sort"), ("?direction=up", "direction"), ("?key=%00", "key")],
)
async def test_a_parameter_that_is_wrong_is_named(owner: Caretaker, query: str, field: str) -> None:
    answer = await listed(owner, query)

    assert (answer.status, answer.body["message"]) == (422, "Validation Failed")
    assert answer.body["errors"][0] | {"message": ""} == {
        "resource": "ActionsCache",
        "field": field,
        "code": "invalid",
        "message": "",
    }


@pytest.mark.parametrize("cursor", ["nonsense", "MS4xLng", "%00", "%FF", "=", "x" * 5000])
async def test_a_cursor_of_another_list_is_refused(owner: Caretaker, cursor: str) -> None:
    answer = await listed(owner, f"?cursor={cursor}")

    assert (answer.status, answer.body["status"]) == (422, "422")


async def test_a_list_that_is_known_is_not_sent_again(owner: Caretaker) -> None:
    await owner.saved("key")
    first = await listed(owner)
    known = {"If-None-Match": first.headers["ETag"]}

    second = await owner.authorized("GET", owner.caches, headers=known)
    await owner.saved("other")
    third = await owner.authorized("GET", owner.caches, headers=known)

    assert (second.status, second.body) == (304, b"")
    assert second.headers["ETag"] == first.headers["ETag"]
    assert (third.status, third.body["total_count"]) == (200, 2)


async def test_a_head_says_what_a_get_would(owner: Caretaker) -> None:
    await owner.saved("key")

    got = await listed(owner)
    async with owner.session.head(
        f"{owner.url}{owner.caches}", headers={"Authorization": f"token {owner.token}"}
    ) as head:
        assert (head.status, head.headers["ETag"]) == (200, got.headers["ETag"])


async def test_a_key_is_deleted_with_all_refs_and_versions(owner: Caretaker) -> None:
    await owner.saved("npm-1")
    await owner.saved("npm-1", ref=PULL)
    await owner.saved("npm-1", version="other")
    await owner.saved("npm-10")

    answer = await owner.authorized("DELETE", f"{owner.caches}?key=npm-1")

    assert keys_in(answer) == ["npm-1"] * 3
    assert answer.body["total_count"] == 3
    assert keys_in(await listed(owner)) == ["npm-10"]


async def test_a_key_is_deleted_in_one_ref(owner: Caretaker) -> None:
    await owner.saved("npm-1")
    await owner.saved("npm-1", ref=PULL)

    answer = await owner.authorized("DELETE", f"{owner.caches}?key=npm-1&ref={PULL}")

    assert [cache["ref"] for cache in answer.body["actions_caches"]] == [PULL]
    assert keys_in(await listed(owner)) == ["npm-1"]


@pytest.mark.parametrize("key", ["npm", "npm-11", "NPM-1"])
async def test_a_key_that_nothing_has_is_not_found(owner: Caretaker, key: str) -> None:
    await owner.saved("npm-1")

    answer = await owner.authorized("DELETE", f"{owner.caches}?key={key}")

    assert (answer.status, answer.message()) == (404, "Not Found")
    assert keys_in(await listed(owner)) == ["npm-1"]


@pytest.mark.parametrize("query", ["", "?key=", f"?ref={MAIN}"])
async def test_without_a_key_nothing_is_deleted(owner: Caretaker, query: str) -> None:
    await owner.saved("npm-1")

    answer = await owner.authorized("DELETE", f"{owner.caches}{query}")

    assert answer.status == 422
    assert answer.body == {
        "message": "Validation Failed",
        "documentation_url": "https://docs.github.com/rest/actions/cache",
        "errors": [{"resource": "ActionsCache", "field": "key", "code": "missing_field"}],
        "status": "422",
    }
    assert keys_in(await listed(owner)) == ["npm-1"]


async def test_an_entry_is_deleted_once(owner: Caretaker) -> None:
    entry = await owner.saved("npm-1")

    first = await owner.authorized("DELETE", f"{owner.caches}/{entry.id}")
    second = await owner.authorized("DELETE", f"{owner.caches}/{entry.id}")

    assert (first.status, first.body) == (204, b"")
    assert (second.status, second.message()) == (404, "Not Found")


@pytest.mark.parametrize("cache_id", ["0", "-1", "npm-1", "9" * 30, "1.0", "%30"])
async def test_an_id_that_nothing_has_is_not_found(owner: Caretaker, cache_id: str) -> None:
    answer = await owner.authorized("DELETE", f"{owner.caches}/{cache_id}")

    assert (answer.status, answer.message()) == (404, "Not Found")


async def test_what_was_deleted_no_longer_counts(owner: Caretaker) -> None:
    await owner.saved("npm-1", b"four")
    await owner.saved("npm-2", b"fifth")

    await owner.authorized("DELETE", f"{owner.caches}?key=npm-1")

    usage = await owner.authorized(
        "GET",
        owner.cache.upper().replace("ACTIONS/CACHE", "actions/cache").replace("REPOS", "repos")
        + "/usage",
    )
    assert usage.body == {
        "full_name": owner.repository,
        "active_caches_size_in_bytes": 5,
        "active_caches_count": 1,
    }


async def test_links_name_what_a_trusted_proxy_was_asked_for(tmp_path: Path) -> None:
    host = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cache.example.com"}
    prefixes = {
        "/tools/cache/": "/tools/cache",
        "": "",
        # What is none gets into no link.
        "//evil.example": "",
        "/a b": "",
        "/<>": "",
        "x": "",
    }
    async with (
        serving(tmp_path, behind_proxy="true") as server,
        caretaker(server) as owner,
    ):
        for number in range(2):
            await owner.saved(f"key-{number}")

        for told, prefix in prefixes.items():
            answer = await owner.authorized(
                "GET",
                f"/api/v3{owner.caches}?per_page=1",
                headers=host | {"X-Forwarded-Prefix": told},
            )

            (url,) = NEXT.findall(answer.headers["Link"])
            path = f"{prefix}/api/v3{owner.caches}"
            assert url.startswith(f"https://cache.example.com{path}?per_page=1&page=2&cursor=")
