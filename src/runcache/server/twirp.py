"""Protocol v2: the three methods of the cache service (protocol §2)."""

from functools import partial
from typing import Final

from aiohttp import web

from runcache.errors import CacheError
from runcache.server.context import LINKS, SERVICE, body_of, grant_of, note_lookup, origin_of
from runcache.server.failures import TWIRP, failure_of
from runcache.server.patience import patiently
from runcache.wire import twirp as wire
from runcache.wire.twirp import Codec, CreatedEntry, FinalizedEntry, FoundEntry, Method

_Answer = CreatedEntry | FinalizedEntry | FoundEntry
# Answers that carry a message: only these can say `ok: false` and why.
_REFUSALS: Final[dict[str, type[CreatedEntry] | type[FinalizedEntry]]] = {
    wire.SERVICE_PATH + Method.CREATE: CreatedEntry,
    wire.SERVICE_PATH + Method.FINALIZE: FinalizedEntry,
}


async def create_entry(request: web.Request) -> web.Response:
    """Reserve a key, and answer with the link to upload to."""
    grant, codec = grant_of(request), _codec_of(request)
    wanted = wire.CreateEntry.decode(codec, await body_of(request, wire.MAX_BODY_BYTES))
    upload = await request.app[SERVICE].reserve(grant, wanted.key, wanted.version)
    url = request.app[LINKS].for_upload(origin_of(request), upload)
    return _reply(codec, CreatedEntry(ok=True, signed_upload_url=url))


async def finalize_entry(request: web.Request) -> web.Response:
    """Commit an upload."""
    grant, codec = grant_of(request), _codec_of(request)
    wanted = wire.FinalizeEntry.decode(codec, await body_of(request, wire.MAX_BODY_BYTES))
    commit = request.app[SERVICE].commit
    entry = await patiently(partial(commit, grant, wanted.key, wanted.version, wanted.size_bytes))
    return _reply(codec, FinalizedEntry(ok=True, entry_id=entry.id))


async def find_entry(request: web.Request) -> web.Response:
    """Look an entry up. A miss is an answer, not an error: clients warn about a 404."""
    grant, codec = grant_of(request), _codec_of(request)
    wanted = wire.FindEntry.decode(codec, await body_of(request, wire.MAX_BODY_BYTES))
    hit = await request.app[SERVICE].find(grant, wanted.key, wanted.restore_keys, wanted.version)
    note_lookup(request, hit)
    if hit is None:
        return _reply(codec, FoundEntry(ok=False))
    url = request.app[LINKS].for_download(origin_of(request), hit.blob)
    return _reply(codec, FoundEntry(ok=True, signed_download_url=url, matched_key=hit.entry.key))


def refusal(request: web.Request, error: CacheError) -> web.Response:
    """Return the answer of this dialect to a request that failed."""
    failure = failure_of(TWIRP, error)
    if failure.status != 200:  # noqa: PLR2004  -- see `failures.py`
        return error_response(failure.status, failure.code, str(error))
    answer = _REFUSALS.get(request.path)
    if answer is None:
        return error_response(wire.TWIRP_STATUS[failure.code], failure.code, str(error))
    message = f"{error}; {error.hint}" if error.hint else str(error)
    return _reply(_codec_of(request), answer(ok=False, message=message))


def error_response(status: int, code: str, message: str) -> web.Response:
    """Return an error, which is JSON whatever the request was (protocol §2.3)."""
    return web.Response(
        status=status,
        body=wire.error_body(code, message),
        content_type="application/json",
    )


def _codec_of(request: web.Request) -> Codec:
    return Codec.of(request.headers.get("Content-Type"))


def _reply(codec: Codec, answer: _Answer) -> web.Response:
    return web.Response(body=answer.encode(codec), content_type=codec.content_type)
