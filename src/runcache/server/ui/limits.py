"""How much a repository or an owner keeps, and for how long; what new limits would evict now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from aiohttp import web

from runcache.quantities import parse_duration, parse_size, print_duration, print_size
from runcache.retention import LimitValues
from runcache.server.context import MANAGEMENT
from runcache.server.reach import (
    readable_owner,
    readable_repository,
    writable_owner,
    writable_repository,
)
from runcache.server.ui.rendering import page
from runcache.server.ui.session import form_of, require_csrf, require_session

FIELDS: Final = frozenset({"size", "unused_for"})

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Fields:
    """The form as it was filled in: `values` if all of it can be read, else `mistakes` by field."""

    size: str
    unused_for: str
    values: LimitValues
    mistakes: Mapping[str, str]

    @classmethod
    def read(cls, form: Mapping[str, str]) -> Self:
        """Read the fields; an empty one is what is inherited."""
        size, unused_for = form.get("size", "").strip(), form.get("unused_for", "").strip()
        mistakes: dict[str, str] = {}
        values = LimitValues(
            _parsed(parse_size, size, "size", mistakes),
            _parsed(parse_duration, unused_for, "unused_for", mistakes),
        )
        return cls(size, unused_for, values, mistakes)

    @classmethod
    def of(cls, own: LimitValues | None) -> Self:
        """Return the form with what is set now."""
        values = own or LimitValues()
        return cls(
            "" if values.size_bytes is None else print_size(values.size_bytes),
            "" if values.unused_for is None else print_duration(values.unused_for),
            values,
            {},
        )


async def show_repository(request: web.Request) -> web.Response:
    """Show the limits of a repository; of new ones in the address also what they would evict."""
    session = await require_session(request)
    repository = readable_repository(request, session.token)
    return await _shown(request, repository, may_write=session.token.may_write(repository))


async def save_repository(request: web.Request) -> web.Response:
    """Set the limits of a repository."""
    session = await require_session(request)
    form = await form_of(request)
    require_csrf(request, form)
    repository = writable_repository(request, session.token)
    return await _saved(request, repository, form, by=session.token.name)


async def show_owner(request: web.Request) -> web.Response:
    """Show the limits of an owner's repositories, as `show_repository`."""
    session = await require_session(request)
    owner = readable_owner(request, session.token)
    return await _shown(request, owner, may_write=session.token.may_write_owner(owner))


async def save_owner(request: web.Request) -> web.Response:
    """Set the limits of an owner's repositories."""
    session = await require_session(request)
    form = await form_of(request)
    require_csrf(request, form)
    owner = writable_owner(request, session.token)
    return await _saved(request, owner, form, by=session.token.name)


async def _shown(request: web.Request, subject: str, *, may_write: bool) -> web.Response:
    is_preview = may_write and not FIELDS.isdisjoint(request.query)
    proposed = Fields.read(request.query) if is_preview else None
    return await _page(request, subject, proposed, may_write=may_write)


async def _saved(
    request: web.Request, subject: str, form: Mapping[str, str], *, by: str
) -> web.Response:
    proposed = Fields.read(form)
    if proposed.mistakes:
        return await _page(request, subject, proposed, may_write=True)
    await request.app[MANAGEMENT].set_limits(subject, proposed.values, by=by)
    return web.Response(status=303, headers={"Location": f"{request.path}?saved=1"})


async def _page(
    request: web.Request, subject: str, proposed: Fields | None, *, may_write: bool
) -> web.Response:
    management = request.app[MANAGEMENT]
    limits = await management.limits(subject)
    measured = management.usage if "/" in subject else management.owner_usage
    is_mistaken = proposed is not None and bool(proposed.mistakes)
    values = None if proposed is None or is_mistaken else proposed.values
    return page(
        request,
        "limits.html",
        title="Limits" if "/" in subject else f"Limits of {subject}",
        active="limits",
        status=422 if is_mistaken else 200,
        subject=subject,
        limits=limits,
        usage=await measured(subject),
        fields=proposed or Fields.of(limits.own),
        would_count=None if values is None else limits.inherited.lowered_by(values),
        preview=None if values is None else await management.would_evict(subject, values),
        may_write=may_write,
        was_saved="saved" in request.query,
    )


def _parsed(
    parse: Callable[[str], _Value], text: str, field: str, mistakes: dict[str, str]
) -> _Value | None:
    try:
        return parse(text) if text else None
    except ValueError as exc:
        mistakes[field] = str(exc)
        return None
