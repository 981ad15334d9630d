"""Lists and deletions, and who may see and do what."""

import html
import re
from collections.abc import Mapping

import pytest
import pytest_asyncio

from runcache.server.ui.caches import PAGE_SIZE
from tests.server.caretaker import saved
from tests.server.serving import Served
from tests.server.ui.visitor import Seen, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def caches(server: Served, repository: str) -> str:
    """The address of a list with three entries; another owner has one more."""
    for key in ("npm-1", "npm-2", "pip-1"):
        await saved(server, key, b"data", repository=repository)
    if (await server.wired.service.usage("other/private")).entry_count == 0:
        await saved(server, "secret-key", b"data", repository="other/private")
    return f"/ui/{repository}/caches"


async def ids_of(visitor: Visitor, caches: str) -> dict[str, str]:
    """Return the ids of what a list shows, by their keys."""
    text = (await visitor.get(caches)).text
    found = re.findall(rf'href="{caches}/([0-9]+)">([^<]+)<', text)
    return {key: entry_id for entry_id, key in found}


def fields_of(seen: Seen) -> Mapping[str, str]:
    """Return the hidden fields of the last form of a page."""
    form = seen.text.rpartition("<form")[2]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


def links_of(seen: Seen) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', seen.text)]


@pytest.mark.parametrize(
    "path",
    [
        "/ui/other/private/caches",
        "/ui/other/private/caches?group=family",
        "/ui/other/private/caches/delete?all=1",
        "/ui/no/such/caches",
        "/ui/.../x/caches",
    ],
)
@pytest.mark.usefixtures("caches")
async def test_what_a_token_does_not_reach_is_not_there(visitor: Visitor, path: str) -> None:
    await visitor.sign_in(owners=["octo"], can_write=True)

    seen = await visitor.get(path)

    assert seen.status == 404
    assert "secret" not in seen.text


@pytest.mark.usefixtures("caches")
async def test_the_first_page_names_only_what_a_token_reaches(
    visitor: Visitor, repository: str
) -> None:
    await visitor.sign_in(repositories=[repository, "octo/empty"])

    text = (await visitor.get("/ui/")).text

    assert repository in text
    assert text.count("<tr>") == 2  # with the one of the head
    assert "other" not in text


async def test_a_token_that_only_reads_deletes_nothing(visitor: Visitor, caches: str) -> None:
    await visitor.sign_in(owners=["octo"])
    listed = await visitor.get(caches)

    preview = await visitor.get(f"{caches}/delete?all=1")
    done = await visitor.post(f"{caches}/delete", {"csrf": listed.csrf, "all": "1"})

    assert "Delete" not in listed.text
    assert (preview.status, done.status) == (403, 403)
    assert len(await ids_of(visitor, caches)) == 3


async def test_a_deletion_takes_only_what_its_repository_has(visitor: Visitor, caches: str) -> None:
    await visitor.sign_in(is_admin=True, can_write=True)
    csrf = (await visitor.get(caches)).csrf
    ids = await ids_of(visitor, caches)

    foreign = await visitor.post(
        "/ui/other/private/caches/delete", {"csrf": csrf, "id": ids["npm-1"]}
    )

    assert (foreign.status, foreign.location) == (303, "/ui/other/private/caches?deleted=0")
    assert await ids_of(visitor, caches) == ids


async def test_what_is_saved_while_somebody_decides_is_not_deleted(
    visitor: Visitor, server: Served, caches: str, repository: str
) -> None:
    await visitor.sign_in(is_admin=True, can_write=True)
    preview = await visitor.get(f"{caches}/delete?all=1&query=key%3Anpm-")
    form = fields_of(preview)
    late = await saved(server, "npm-3", b"data", repository=repository)
    # Both may be of one millisecond.
    until = min(int(form["until"]), late.created_at - 1)

    done = await visitor.post(f"{caches}/delete", {**form, "until": str(until)})

    assert done.location == f"{caches}?query=key%3Anpm-&deleted=2"
    assert (await ids_of(visitor, caches)).keys() == {"npm-3", "pip-1"}


async def test_ids_that_are_none_are_refused(visitor: Visitor, caches: str) -> None:
    await visitor.sign_in(is_admin=True, can_write=True)
    csrf = (await visitor.get(caches)).csrf

    for wrong in ("x", "-1", "", "9" * 30):
        seen = await visitor.post(f"{caches}/delete", {"csrf": csrf, "id": wrong})
        assert seen.status == 400
    assert len(await ids_of(visitor, caches)) == 3


async def test_pages_follow_each_other_without_a_gap(
    visitor: Visitor, server: Served, repository: str
) -> None:
    caches = f"/ui/{repository}/caches"
    keys = [f"key-{number:03}" for number in range(PAGE_SIZE + 1)]
    for key in keys:
        await saved(server, key, b"x", repository=repository)
    await visitor.sign_in(is_admin=True)

    first = await visitor.get(f"{caches}?query=sort:created-asc")
    (after,) = [link for link in links_of(first) if "page=2" in link]
    second = await visitor.get(after)
    by_number = await visitor.get(f"{caches}?query=sort:created-asc&page=2")
    strange = await visitor.get(f"{caches}?query=sort:created-asc&page=2&cursor=nonsense")
    beyond = await visitor.get(f"{caches}?page=7")

    assert keys[-1] not in first.text
    for seen in (second, by_number, strange):
        assert keys[-1] in seen.text
        assert keys[-2] not in seen.text
    assert "There is no such page" in beyond.text


async def test_a_key_is_text_wherever_it_is_shown(
    visitor: Visitor, server: Served, repository: str
) -> None:
    caches = f"/ui/{repository}/caches"
    key = "<script>alert(1)</script>\"'&amp;{{ 7 * 7 }}"
    await saved(server, key, b"x", repository=repository)
    await visitor.sign_in(is_admin=True, can_write=True)

    for path in (
        caches,
        f"{caches}?query=%3Cscript%3E",
        f"{caches}?group=family",
        f"{caches}/delete?all=1",
    ):
        text = (await visitor.get(path)).text
        assert "&lt;script&gt;alert" in text
        assert "<script>" not in text
