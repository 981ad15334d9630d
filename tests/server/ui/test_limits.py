"""The page of limits: what its form takes, and who may send it."""

from datetime import timedelta

import pytest

from runcache.retention import LimitValues
from runcache.server.context import MANAGEMENT
from runcache.server.ui.limits import Fields
from tests.server.caretaker import saved
from tests.server.serving import Served
from tests.server.ui.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def own_of(server: Served, subject: str) -> LimitValues | None:
    """Return what is set for a repository or an owner."""
    return (await server.wired.app[MANAGEMENT].limits(subject)).own


async def test_empty_fields_are_what_is_inherited() -> None:
    fields = Fields.read({"size": " ", "unused_for": ""})

    assert (fields.values, fields.mistakes) == (LimitValues(None, None), {})


async def test_what_is_set_is_shown_as_it_can_be_typed() -> None:
    values = LimitValues(5 * 1000**3, timedelta(hours=36))

    fields = Fields.of(values)

    assert (fields.size, fields.unused_for) == ("5GB", "36h")
    assert Fields.read({"size": fields.size, "unused_for": fields.unused_for}).values == values


async def test_a_form_sets_limits_and_leads_back(
    server: Served, visitor: Visitor, repository: str
) -> None:
    path = f"/ui/{repository}/limits"
    await visitor.sign_in(repositories=[repository], can_write=True)
    csrf = (await visitor.get(path)).csrf

    seen = await visitor.post(path, {"csrf": csrf, "size": "1GB", "unused_for": "2d"})

    assert (seen.status, seen.location) == (303, f"{path}?saved=1")
    assert await own_of(server, repository) == LimitValues(1000**3, timedelta(days=2))


async def test_a_form_with_a_mistake_sets_nothing_and_is_shown_again(
    server: Served, visitor: Visitor, repository: str
) -> None:
    path = f"/ui/{repository}/limits"
    await visitor.sign_in(repositories=[repository], can_write=True)
    csrf = (await visitor.get(path)).csrf

    seen = await visitor.post(path, {"csrf": csrf, "size": "<b>", "unused_for": "2d"})

    assert seen.status == 422
    assert 'value="&lt;b&gt;"' in seen.text
    assert await own_of(server, repository) is None


async def test_a_preview_in_the_address_evicts_and_sets_nothing(
    server: Served, visitor: Visitor, repository: str
) -> None:
    await saved(server, "large", bytes(5000), repository=repository)
    await visitor.sign_in(repositories=[repository], can_write=True)

    seen = await visitor.get(f"/ui/{repository}/limits?size=1KB&unused_for=")

    assert "<strong>1 entry</strong> would be evicted" in seen.text
    assert await own_of(server, repository) is None
    assert (await server.wired.service.usage(repository)).entry_count == 1


@pytest.mark.parametrize("csrf", ["", "0" * 64, "\N{SNOWMAN}"])
async def test_a_form_that_no_page_of_the_session_held_sets_nothing(
    server: Served, visitor: Visitor, repository: str, csrf: str
) -> None:
    await visitor.sign_in(repositories=[repository], can_write=True)

    seen = await visitor.post(f"/ui/{repository}/limits", {"csrf": csrf, "size": "1GB"})

    assert seen.status == 403
    assert await own_of(server, repository) is None


async def test_a_read_only_token_sees_limits_and_sets_none(
    server: Served, visitor: Visitor, repository: str
) -> None:
    await visitor.sign_in(owners=["octo"])

    for subject, path in (
        (repository, f"/ui/{repository}/limits"),
        ("octo", "/ui/owners/octo/limits"),
    ):
        seen = await visitor.get(f"{path}?size=1KB")
        assert seen.status == 200
        assert "would be evicted" not in seen.text
        answer = await visitor.post(path, {"csrf": seen.csrf, "size": "1GB", "unused_for": ""})
        assert answer.status == 403
        assert await own_of(server, subject) is None


async def test_limits_of_an_owner_are_for_tokens_of_the_owner(
    server: Served, visitor: Visitor, repository: str
) -> None:
    await visitor.sign_in(repositories=[repository], can_write=True)
    path = "/ui/owners/octo/limits"
    csrf = (await visitor.get(f"/ui/{repository}/limits")).csrf

    assert (await visitor.get(path)).status == 404
    assert (await visitor.post(path, {"csrf": csrf, "size": "1GB"})).status == 404
    assert await own_of(server, "octo") is None


async def test_a_stranger_is_led_to_sign_in(visitor: Visitor, repository: str) -> None:
    for path in (f"/ui/{repository}/limits", "/ui/owners/octo/limits", "/ui/activity"):
        seen = await visitor.get(path)
        assert seen.status == 303
        assert seen.location.startswith("/ui/sign-in")
