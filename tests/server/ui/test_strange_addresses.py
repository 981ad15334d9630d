"""Addresses that nobody means: each is answered with a page, and none with a crash."""

import pytest

from tests.server.caretaker import saved
from tests.server.serving import Served
from tests.server.ui.visitor import Visitor

STRANGE = (
    "%00",
    "%ff",
    "%ed%a0%80",
    "%F0%9F%92%A9",
    "a%0Ab",
    "<script>",
    "{{7*7}}",
    "-1",
    "9" * 40,
    "x" * 3000,
)
QUERIES = {
    "caches": ("query", "page", "cursor", "group", "deleted"),
    "caches/delete": ("id", "query", "until"),
    "activity": ("kind", "ref", "prefix", "entry", "before", "days"),
    "explain": ("key", "restore_keys", "paths", "version", "ref", "base_ref", "default_branch"),
    "limits": ("size", "unused_for"),
}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("text", STRANGE)
async def test_what_nobody_can_mean_is_answered_with_a_page(
    server: Served, visitor: Visitor, repository: str, text: str
) -> None:
    entry = await saved(server, "key", repository=repository)
    await visitor.sign_in(repositories=[repository], can_write=True)
    asked = {"key": "key", "version": "v", "ref": "main"}
    paths = [f"caches/{entry.id}?search={text}", f"caches/{entry.id}?after={text}"]
    for page, names in QUERIES.items():
        for name in names:
            others = asked if page == "explain" else {"all": "1"} if page == "caches/delete" else {}
            query = "&".join(f"{key}={value}" for key, value in ({**others, name: text}).items())
            paths.append(f"{page}?{query}")

    answers = {path: await visitor.get(f"/ui/{repository}/{path}") for path in paths}

    assert {path: seen.status for path, seen in answers.items() if seen.status >= 500} == {}
    assert [path for path, seen in answers.items() if "<script>" in seen.text] == []
