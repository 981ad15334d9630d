"""The native protocol for people: what a single entry is, and the files in it."""

from typing import Final

from aiohttp import web

from runcache.details import EntryDetails, FilePage, StoredFile
from runcache.errors import EntryMissing, InvalidParameter
from runcache.records import Origin
from runcache.server.context import CONTENTS, api_token_of, id_in
from runcache.server.operations import Described, Operation, Parameter
from runcache.server.reach import readable_repository
from runcache.service.contents import MAX_FILES
from runcache.wire import entries as wire
from runcache.wire.json_messages import JsonMessage
from runcache.wire.native import Error

_MAX_SEARCH_LENGTH: Final = 1000


async def details(request: web.Request) -> web.Response:
    """Say what is known of an entry."""
    repository = readable_repository(request, await api_token_of(request))
    found = await request.app[CONTENTS].details(repository, _entry_id(request))
    if found is None:
        raise EntryMissing
    return _reply(_described(found))


async def files(request: web.Request) -> web.Response:
    """List files of a snapshot: those whose paths have `search` in them, behind `after`."""
    repository = readable_repository(request, await api_token_of(request))
    page = await request.app[CONTENTS].files(
        repository,
        _entry_id(request),
        search=request.query.get("search", "")[:_MAX_SEARCH_LENGTH],
        after=request.query.get("after") or None,
        limit=_limit(request.query.get("limit", str(MAX_FILES))),
    )
    return _reply(_listed(page))


def _entry_id(request: web.Request) -> int:
    entry_id = id_in(request, "entry_id")
    if entry_id is None:
        raise EntryMissing
    return entry_id


def _limit(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_FILES))
    if not (is_number and 1 <= int(text) <= MAX_FILES):
        raise InvalidParameter("limit", f"is no number from 1 to {MAX_FILES}")
    return int(text)


def _described(found: EntryDetails) -> wire.Details:
    entry, shares = found.entry, found.shares
    return wire.Details(
        id=entry.id,
        repository=entry.repository,
        ref=entry.scope,
        key=entry.key,
        version=entry.version,
        format="snapshot" if entry.is_snapshot else "archive",
        size_bytes=entry.size_bytes,
        own_bytes=shares.own_bytes,
        shared_bytes=shares.shared_bytes,
        blob_count=shares.blob_count,
        created_at=entry.created_at,
        last_accessed_at=entry.last_accessed_at,
        origin=None if found.origin is None else _origin(found.origin),
        restored_at=found.restored_at,
    )


def _origin(origin: Origin) -> wire.Origin:
    return wire.Origin(
        ref=origin.ref,
        event=origin.event,
        run=origin.run,
        paths=origin.paths,
        compression=origin.compression,
        system=origin.system,
        cross_os=origin.cross_os,
    )


def _listed(page: FilePage | None) -> wire.Files:
    if page is None:
        return wire.Files(None)
    return wire.Files(tuple(map(_file, page.files)), page.total_count, page.next)


def _file(file: StoredFile) -> wire.File:
    return wire.File(file.path, file.kind, file.size_bytes, file.mode, file.target)


def _reply(answer: JsonMessage) -> web.Response:
    return web.Response(body=answer.encode(), content_type="application/json")


_ABSENT: Final = Described("There is no such entry, or the token may not see it.", Error)

OPERATIONS: Final = (
    Operation(
        name="getEntry",
        method="GET",
        paths=(wire.ENTRY_PATH,),
        handler=details,
        summary="Get what is known of an entry",
        answers={200: Described("Here it is.", wire.Details), 404: _ABSENT},
        dialect="native",
        prefixes=("",),
    ),
    Operation(
        name="listFiles",
        method="GET",
        paths=(wire.FILES_PATH,),
        handler=files,
        summary="List the files of a snapshot",
        query=(
            Parameter("search", "A part of the path, in any case.", {"type": "string"}),
            Parameter("after", "What the page before says as `next`.", {"type": "string"}),
            Parameter(
                "limit",
                "How many at most.",
                {"type": "integer", "minimum": 1, "maximum": MAX_FILES, "default": MAX_FILES},
            ),
        ),
        answers={200: Described("Here they are.", wire.Files), 404: _ABSENT},
        dialect="native",
        prefixes=("",),
    ),
)
