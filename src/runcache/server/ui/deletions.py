"""Deleting caches: first a page with what would go, then the deed.

Some are named by their ids, or all that match a filter are meant. Of those only what was there when
the page was made goes: a job that saves meanwhile keeps its entry.
"""

from dataclasses import dataclass
from typing import Final, Self

from aiohttp import web
from multidict import MultiMapping

from runcache.errors import MalformedMessage
from runcache.listing import Order, SortBy
from runcache.model import Entry
from runcache.server.context import MANAGEMENT
from runcache.server.reach import writable_repository
from runcache.server.ui.caches import list_address
from runcache.server.ui.queries import Query
from runcache.server.ui.rendering import page
from runcache.server.ui.session import form_of, require_csrf, require_session
from runcache.service import now_ms
from runcache.service.management import Management

# At once: more are deleted by doing it again.
MAX_DELETED: Final = 10_000
SHOWN: Final = 100
_BATCH: Final = 500
_DIGITS: Final = 18  # of what 64 bits hold
_OLDEST_FIRST: Final = Order(SortBy.CREATED, is_descending=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be deleted: `ids`, or all that `query` matches and that is as old as `until`.

    `query` is also the list to come back to. `until` is in milliseconds since 1970.
    """

    query: Query
    ids: tuple[int, ...]
    is_all: bool
    until: int

    @classmethod
    def read(cls, fields: MultiMapping[str]) -> Self:
        """Read the fields of a form or of an address.

        Raises:
            MalformedMessage: one of them is not what our pages send.
        """
        until = fields.get("until")
        try:
            return cls(
                Query.parse(fields.get("query", "")),
                tuple(dict.fromkeys(_number(text) for text in fields.getall("id", []))),
                is_all="all" in fields,
                until=now_ms() if until is None else _number(until),
            )
        except ValueError as exc:
            message = "the form names no entries"
            raise MalformedMessage(message) from exc


async def preview(request: web.Request) -> web.Response:
    """Show what would be deleted. Nothing is changed."""
    session = await require_session(request)
    repository = writable_repository(request, session.token)
    choice = Choice.read(request.query)
    found, total_count = await _chosen(request.app[MANAGEMENT], repository, choice)
    return page(
        request,
        "delete.html",
        title="Delete caches",
        active="caches",
        choice=choice,
        entries=found[:SHOWN],
        entry_count=len(found),
        total_count=total_count,
        size_bytes=sum(entry.size_bytes for entry in found),
        way_back=list_address(repository, choice.query),
    )


async def delete(request: web.Request) -> web.Response:
    """Delete what the page showed, and lead back to the list."""
    session = await require_session(request)
    form = await form_of(request)
    require_csrf(request, form)
    repository = writable_repository(request, session.token)
    management = request.app[MANAGEMENT]
    choice = Choice.read(form)
    ids = choice.ids
    if choice.is_all:
        found, _ = await _chosen(management, repository, choice)
        ids = tuple(entry.id for entry in found)
    count = 0
    for first in range(0, len(ids), _BATCH):
        batch = ids[first : first + _BATCH]
        count += len(await management.delete(repository, batch, by=session.token.name))
    target = list_address(repository, choice.query, deleted=count)
    return web.Response(status=303, headers={"Location": target})


async def _chosen(
    management: Management, repository: str, choice: Choice
) -> tuple[list[Entry], int]:
    """Return the entries that are meant, at most `MAX_DELETED`, and how many there are in all."""
    if choice.is_all:
        return await _matching(management, repository, choice)
    asked = [await management.entry(repository, entry_id) for entry_id in choice.ids]
    found = [entry for entry in asked if entry is not None]
    return found, len(found)


async def _matching(
    management: Management, repository: str, choice: Choice
) -> tuple[list[Entry], int]:
    found: list[Entry] = []
    cursor: str | None = None
    while True:
        listed = await management.list(
            repository, choice.query.selection, _OLDEST_FIRST, limit=_BATCH, cursor=cursor
        )
        old_enough = [entry for entry in listed.entries if entry.created_at <= choice.until]
        found += old_enough
        cursor = listed.next_cursor
        is_last = cursor is None or len(old_enough) < len(listed.entries)
        if is_last or len(found) >= MAX_DELETED:
            return found, len(found) if is_last else listed.total_count


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ValueError
    return int(text)
