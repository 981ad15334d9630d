"""The log of events: its filter, and what is said of each event."""

from typing import TypedDict, Unpack

import pytest
from multidict import MultiDict

from runcache.records import Event, EventKind
from runcache.server.ui.activity import PERIODS, Filter, told
from tests.server.caretaker import saved
from tests.server.serving import Served
from tests.server.ui.visitor import Visitor


class Facts(TypedDict, total=False):
    """What is known of an event besides its kind."""

    reason: str
    limit: int
    restore_keys: tuple[str, ...]


def event(kind: EventKind, **facts: Unpack[Facts]) -> Event:
    return Event(
        id=1,
        at=0,
        kind=kind,
        repository="octo/hello",
        ref="refs/heads/main",
        key="key",
        version="version",
        **facts,
    )


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        (event(EventKind.HIT, reason="exact"), "found by its key"),
        (event(EventKind.HIT, reason="prefix"), "found with the key as a prefix"),
        (event(EventKind.HIT, reason="restore_key"), "found by a restore key"),
        (event(EventKind.MISS), ""),
        (event(EventKind.MISS, restore_keys=("a",)), "1 restore key found nothing, either"),
        (event(EventKind.SAVED), ""),
        (
            event(EventKind.EVICTED, reason="unused_for", limit=7 * 86_400_000),
            "not used for 7 days",
        ),
        (
            event(EventKind.EVICTED, reason="oversized", limit=10**7),
            "larger than the limit of 10.0 MB",
        ),
        (
            event(EventKind.EVICTED, reason="repo_limit", limit=10**7),
            "its repository had reached 10.0 MB",
        ),
        (
            event(EventKind.EVICTED, reason="total_limit", limit=10**7),
            "the server had reached 10.0 MB",
        ),
        (
            event(EventKind.EVICTED, reason="min_free", limit=10**7),
            "the disk had less than 10.0 MB left",
        ),
        (event(EventKind.DAMAGED), "its bytes are not what was saved"),
    ],
)
def test_an_event_is_told_in_words(happened: Event, said: str) -> None:
    assert told(happened) == said


def test_a_filter_is_read_from_a_form_and_from_our_links() -> None:
    by_form = Filter.read(MultiDict([("kind", "hit"), ("kind", "miss"), ("ref", "#7")]))
    link = {name: str(value) for name, value in by_form.query().items() if value is not None}
    by_link = Filter.read(MultiDict(link))

    assert by_form.kinds == {EventKind.HIT, EventKind.MISS}
    assert by_form.ref == "refs/pull/7/merge"
    assert by_link == by_form


def test_what_nobody_can_mean_is_left_out() -> None:
    typed = MultiDict(
        {"kind": "none", "days": "1e9", "before": "-1", "entry": "9" * 40, "ref": " ", "prefix": ""}
    )

    chosen = Filter.read(typed)

    assert chosen.days in PERIODS
    assert (chosen.before_id, chosen.is_narrow) == (None, False)


@pytest.mark.asyncio(loop_scope="session")
async def test_tokens_hear_of_their_own_repositories_only(
    server: Served, visitor: Visitor, repository: str
) -> None:
    await saved(server, "own-key", repository=repository)
    await saved(server, "foreign-key", repository="other/private")
    await visitor.sign_in(repositories=[repository])

    everything = await visitor.get("/ui/activity")
    assert "own-key" in everything.text
    assert "foreign-key" not in everything.text
    assert "other/private" not in everything.text
    assert (await visitor.get("/ui/other/private/activity")).status == 404


@pytest.mark.asyncio(loop_scope="session")
async def test_a_key_full_of_markup_is_text(
    server: Served, visitor: Visitor, repository: str
) -> None:
    await saved(server, "<script>alert(1)</script>", repository=repository)
    await visitor.sign_in(repositories=[repository])

    text = (await visitor.get(f"/ui/{repository}/activity?prefix=%3Cscript%3E")).text

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text
