"""The form of a question about a lookup, as it stands in an address."""

import re

import pytest
from multidict import MultiDict

from runcache.errors import InvalidInput
from runcache.insight.explain import Inputs
from runcache.server.ui.explain import Fields
from runcache.versions import cache_version
from tests.server.caretaker import saved
from tests.server.serving import Served
from tests.server.ui.visitor import Visitor


def fields(**query: str) -> Fields:
    return Fields.read(MultiDict(query))


def test_keys_and_paths_are_a_line_each() -> None:
    asked = fields(key="k", restore_keys="a-\r\n\r\n b- ", paths="~/.npm\r\n! ~/.npm/_logs\r\n")

    question = asked.question()

    assert question.restore_keys == ("a-", "b-")
    assert question.inputs == Inputs(paths=("~/.npm", "!~/.npm/_logs"))


def test_keys_may_be_repeated_in_an_address() -> None:
    query = MultiDict(
        [("key", "k"), ("restore_keys", "a-"), ("restore_keys", "b-"), ("paths", "x")]
    )

    assert Fields.read(query).question().restore_keys == ("a-", "b-")


def test_a_version_counts_in_place_of_paths() -> None:
    question = fields(key="k", paths="x", version=" abc ").question()

    assert (question.versions, question.inputs) == (("abc",), None)


@pytest.mark.parametrize(
    ("typed", "ref"),
    [
        ("", "refs/heads/main"),
        ("topic", "refs/heads/topic"),
        ("#7", "refs/pull/7/merge"),
        ("refs/tags/v1", "refs/tags/v1"),
    ],
)
def test_a_ref_may_be_short(typed: str, ref: str) -> None:
    assert fields(key="k", version="v", ref=typed).question().ref == ref


def test_a_job_without_a_ref_is_on_the_default_branch() -> None:
    question = fields(key="k", version="v", default_branch="trunk").question()

    assert (question.ref, question.default_branch) == ("refs/heads/trunk", "trunk")


@pytest.mark.parametrize(
    "query",
    [
        {"key": "k"},
        {"key": "k", "paths": "\n"},
        {"key": "k", "paths": "x", "compression": "lz4"},
        {"key": "k", "paths": "x", "system": "Plan 9"},
    ],
)
def test_what_cannot_be_asked_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        fields(**query).question()


@pytest.mark.asyncio(loop_scope="session")
async def test_an_address_holds_question_and_answer(
    server: Served, visitor: Visitor, repository: str
) -> None:
    await saved(server, "npm-1", repository=repository, version="v")
    await visitor.sign_in(repositories=[repository])
    path = f"/ui/{repository}/explain"

    assert "What would a restore find" in (await visitor.get(path)).text
    hit = await visitor.get(f"{path}?key=npm-1&version=v&ref=topic")
    assert (hit.status, "What the job gets" in hit.text) == (200, True)
    miss = await visitor.get(f"{path}?key=npm-1&version=other")
    assert (miss.status, "What comes nearest" in miss.text) == (200, True)
    mistake = await visitor.get(f"{path}?key=a,b&version=v")
    assert (mistake.status, "it holds a comma" in mistake.text) == (422, True)


@pytest.mark.asyncio(loop_scope="session")
async def test_versions_that_differ_are_set_side_by_side(
    server: Served, visitor: Visitor, repository: str
) -> None:
    version = cache_version(["~/.npm"], "gzip")
    await saved(server, "npm-1", repository=repository, version=version)
    await visitor.sign_in(repositories=[repository])

    asked = "key=npm-1&paths=~/.npm&compression=zstd-without-long"
    seen = await visitor.get(f"/ui/{repository}/explain?{asked}")

    row = seen.text.partition('<th scope="row">compression</th>')[2].partition("</tr>")[0]
    assert re.findall("<code>(.*?)</code>", row) == ["zstd-without-long", "gzip"]
