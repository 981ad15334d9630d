"""The page of an entry: who can read its scope, and restores by day."""

from datetime import UTC, date, datetime

import pytest

from runcache.access import roles_for
from runcache.records import Event, EventKind
from runcache.server.ui.entry import DAYS, by_day, roles_of_readers
from tests.server.caretaker import saved
from tests.server.serving import Served
from tests.server.ui.visitor import Visitor

REFS = (
    "refs/heads/main",
    "refs/heads/topic",
    "refs/heads/release/1",
    "refs/tags/v1",
    "refs/pull/7/merge",
    "refs/pull/8/merge",
)
BRANCHES = (None, "main", "topic", "release/1")
TODAY = date(2026, 11, 22)


@pytest.mark.parametrize("scope", REFS)
def test_readers_are_those_who_read_by_the_rules_of_access(scope: str) -> None:
    found = {
        role
        for ref in REFS
        for base in BRANCHES
        for default in ("main", "topic", "release/1")
        for readable, role in roles_for(ref=ref, base_ref=base, default_branch=default).items()
        if readable == scope
    }

    assert set(roles_of_readers(scope)) == found


def restore(at: datetime) -> Event:
    return Event(
        id=1,
        at=int(at.timestamp() * 1000),
        kind=EventKind.RESTORED,
        repository="octo/hello",
        ref="refs/heads/main",
        key="key",
        version="version",
    )


def test_restores_are_counted_by_the_day_they_happened_in() -> None:
    restores = [
        restore(datetime(2026, 11, 22, 0, 0, tzinfo=UTC)),
        restore(datetime(2026, 11, 21, 23, 59, tzinfo=UTC)),
        restore(datetime(2026, 11, 21, 0, 1, tzinfo=UTC)),
        restore(datetime(2026, 9, 1, tzinfo=UTC)),
    ]

    days = by_day(restores, today=TODAY)

    assert len(days) == DAYS
    assert days[-1].date == TODAY
    assert [day.count for day in days[-3:]] == [0, 2, 1]
    assert sum(day.count for day in days) == 3


@pytest.mark.asyncio(loop_scope="session")
async def test_an_entry_is_shown_to_tokens_that_may_read_its_repository(
    server: Served, visitor: Visitor, repository: str
) -> None:
    entry = await saved(server, "<b>key</b>", repository=repository)
    path = f"/ui/{repository}/caches/{entry.id}"
    await visitor.sign_in(repositories=[repository])

    assert "&lt;b&gt;key&lt;/b&gt;" in (await visitor.get(path)).text
    visitor.http.cookie_jar.clear()
    await visitor.sign_in(repositories=["other/private"], can_write=True)
    stranger = await visitor.get(path)
    assert stranger.status == 404
    assert "key&lt;" not in stranger.text


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("number", ["0", "none", "-1", "9" * 30])
async def test_what_is_no_entry_is_not_found(
    visitor: Visitor, repository: str, number: str
) -> None:
    await visitor.sign_in(repositories=[repository])

    assert (await visitor.get(f"/ui/{repository}/caches/{number}")).status == 404
