"""Protocol v1: the five routes below `_apis/artifactcache` (protocol §3)."""

from contextlib import aclosing
from functools import partial
from typing import Final

from aiohttp import web

from runcache.errors import CacheError, EntryExists, UploadGone
from runcache.model import Span
from runcache.server.context import (
    LINKS,
    SERVICE,
    TRANSFERS,
    body_of,
    grant_of,
    id_in,
    note_lookup,
    origin_of,
)
from runcache.server.failures import ARTIFACTCACHE, failure_of
from runcache.server.patience import patiently
from runcache.wire import artifactcache as wire

# The list is for a person who reads a debug log.
_LISTED_AT_MOST: Final = 100
_JSON: Final = "application/json"


async def find_entry(request: web.Request) -> web.Response:
    """Look an entry up; a miss is 204 without a body."""
    grant = grant_of(request)
    wanted = wire.Lookup.parse(request.query)
    hit = await request.app[SERVICE].find(grant, wanted.keys[0], wanted.keys[1:], wanted.version)
    note_lookup(request, hit)
    if hit is None:
        return web.Response(status=204)
    url = request.app[LINKS].for_download(origin_of(request), hit.blob)
    return web.Response(body=wire.found_body(hit.entry, archive_location=url), content_type=_JSON)


async def list_entries(request: web.Request) -> web.Response:
    """List what a key could have meant, for debug logs."""
    grant = grant_of(request)
    entries = await request.app[SERVICE].newest(
        grant, request.query.get("key", ""), limit=_LISTED_AT_MOST
    )
    return web.Response(body=wire.list_body(entries), content_type=_JSON)


async def reserve(request: web.Request) -> web.Response:
    """Reserve a key, and answer with the id of the upload."""
    grant = grant_of(request)
    wanted = wire.Reserve.decode(await body_of(request, wire.MAX_BODY_BYTES))
    try:
        upload = await request.app[SERVICE].reserve(grant, wanted.key, wanted.version)
    except EntryExists as exc:
        body = wire.conflict_body(scope=exc.scope, key=exc.key, version=wanted.version)
        return web.Response(status=409, body=body, content_type=_JSON)
    return web.Response(status=201, body=wire.reserved_body(upload.id), content_type=_JSON)


async def write_chunk(request: web.Request) -> web.Response:
    """Receive a range of an upload."""
    upload = await request.app[SERVICE].upload_of(grant_of(request), _cache_id(request))
    chunk = wire.ChunkRange.parse(request.headers.get("Content-Range"))
    span = Span(chunk.start, chunk.end_exclusive)
    async with aclosing(request.app[TRANSFERS].received(request)) as body:
        await request.app[SERVICE].write_range(upload, span, body)
    return web.Response(status=204)


async def commit(request: web.Request) -> web.Response:
    """Commit an upload."""
    grant = grant_of(request)
    wanted = wire.Commit.decode(await body_of(request, wire.MAX_BODY_BYTES))
    commit = request.app[SERVICE].commit_ranges
    await patiently(partial(commit, grant, _cache_id(request), wanted.size_bytes))
    return web.Response(status=204)


def refusal(_request: web.Request, error: CacheError) -> web.Response:
    """Return the answer of this dialect to a request that failed."""
    failure = failure_of(ARTIFACTCACHE, error)
    return error_response(failure.status, failure.code, str(error))


def error_response(status: int, code: str, message: str) -> web.Response:
    """Return an error."""
    return web.Response(
        status=status, body=wire.error_body(message, type_key=code), content_type=_JSON
    )


def _cache_id(request: web.Request) -> int:
    found = id_in(request, "cache_id")
    if found is None:
        raise UploadGone
    return found
