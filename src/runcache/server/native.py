"""The native protocol: snapshots, and what our own client asks beyond those of GitHub."""

from collections.abc import Mapping
from contextlib import aclosing

from aiohttp import web
from msgspec import UNSET

from runcache.errors import CacheError, EntryMissing, UploadGone
from runcache.model import Contents, Hit, PackName
from runcache.server.context import (
    LINKS,
    SERVICE,
    SETTINGS,
    TRANSFERS,
    body_of,
    direct_for,
    grant_of,
    id_in,
    note_lookup,
    origin_of,
)
from runcache.server.failures import NATIVE, failure_of
from runcache.service.direct import DirectTransfers
from runcache.wire import native as wire
from runcache.wire.json_messages import JsonMessage
from runcache.wire.native import Base, BlobLink, Committed, Digests, Found, Missed


async def find(request: web.Request) -> web.Response:
    """Look an entry up, in several versions at once; a miss is an answer."""
    grant = grant_of(request)
    wanted = wire.Find.decode(await body_of(request, wire.MAX_BODY_BYTES))
    hit = await request.app[SERVICE].find_blobs(
        grant, wanted.key, wanted.restore_keys, wanted.versions, peek=wanted.peek
    )
    note_lookup(request, hit)
    if hit is None:
        return _reply(Missed(hit=False))
    entry = hit.entry
    return _reply(
        Found(
            hit=True,
            entry_id=entry.id,
            key=entry.key,
            kind=hit.kind,
            scope=entry.scope,
            version=entry.version,
            size_bytes=entry.size_bytes,
            created_at=entry.created_at,
            blobs=() if wanted.peek else _links(request, hit, await _pack_urls(request, hit)),
        )
    )


async def renew_links(request: web.Request) -> web.Response:
    """Give new links to the blobs of an entry."""
    grant = grant_of(request)
    contents = await request.app[SERVICE].renew(grant, _id(request, "entry_id", EntryMissing))
    return _reply(wire.Links(_links(request, contents, {})))


async def report_damage(request: web.Request) -> web.Response:
    """Take note that a client could not restore an entry."""
    grant = grant_of(request)
    report = wire.ReportDamage.decode(await body_of(request, wire.MAX_BODY_BYTES))
    entry_id = _id(request, "entry_id", EntryMissing)
    await request.app[SERVICE].report_damage(grant, entry_id, report.reason)
    return web.Response(status=204)


async def reserve(request: web.Request) -> web.Response:
    """Reserve a key for a snapshot, and say which bases it may share packs with."""
    grant = grant_of(request)
    wanted = wire.Reserve.decode(await body_of(request, wire.MAX_BODY_BYTES))
    upload, bases = await request.app[SERVICE].snapshots.reserve(
        grant, wanted.key, wanted.version, wanted.bases, wanted.inputs
    )
    links = tuple(Base(base.entry.id, _links(request, base, {}, for_base=True)) for base in bases)
    reserved = wire.Reserved(upload.id, links, direct=direct_for(request) is not None or UNSET)
    return _reply(reserved, status=201)


async def sign_upload(request: web.Request) -> web.Response:
    """Give a link to put a pack or the manifest into the store."""
    grant, direct = grant_of(request), _direct(request)
    wanted = wire.Announce.decode(await body_of(request, wire.MAX_BODY_BYTES))
    link = await direct.upload_link(
        grant,
        _id(request, "upload_id", UploadGone),
        size_bytes=wanted.size_bytes,
        sha256=bytes.fromhex(wanted.sha256),
    )
    return _reply(wire.UploadLink(link.url, dict(link.headers)))


async def take_pack(request: web.Request) -> web.Response:
    """Take what was put into the store for a pack."""
    return await _take(request, _pack(request))


async def take_manifest(request: web.Request) -> web.Response:
    """Take what was put into the store for the manifest."""
    return await _take(request, None)


async def put_pack(request: web.Request) -> web.Response:
    """Receive a pack."""
    grant, digests = grant_of(request), Digests.of(request.headers)
    pack = _pack(request)
    async with aclosing(request.app[TRANSFERS].received(request)) as body:
        await request.app[SERVICE].snapshots.write_pack(
            grant,
            pack,
            body,
            announced_bytes=request.content_length,
            blake3=digests.blake3,
            sha256=digests.sha256,
        )
    return web.Response(status=204)


async def put_manifest(request: web.Request) -> web.Response:
    """Receive the manifest of a snapshot."""
    grant, digests = grant_of(request), Digests.of(request.headers)
    async with aclosing(request.app[TRANSFERS].received(request)) as body:
        await request.app[SERVICE].snapshots.write_manifest(
            grant,
            _id(request, "upload_id", UploadGone),
            body,
            announced_bytes=request.content_length,
            blake3=digests.blake3,
            sha256=digests.sha256,
        )
    return web.Response(status=204)


async def commit(request: web.Request) -> web.Response:
    """Commit a snapshot."""
    grant = grant_of(request)
    wanted = wire.Commit.decode(await body_of(request, wire.MAX_BODY_BYTES))
    entry = await request.app[SERVICE].snapshots.commit(
        grant, _id(request, "upload_id", UploadGone), wanted.names
    )
    return _reply(Committed(entry.id, entry.size_bytes, created=True))


async def abandon(request: web.Request) -> web.Response:
    """Give an upload up."""
    grant = grant_of(request)
    await request.app[SERVICE].snapshots.abandon(grant, _id(request, "upload_id", UploadGone))
    return web.Response(status=204)


def refusal(_request: web.Request, error: CacheError) -> web.Response:
    """Return the answer of this dialect to a request that failed."""
    failure = failure_of(NATIVE, error)
    return error_response(failure.status, failure.code, str(error), error.hint)


def error_response(status: int, code: str, message: str, hint: str | None = None) -> web.Response:
    """Return an error."""
    return _reply(wire.Error(code, message, hint), status=status)


async def _pack_urls(request: web.Request, hit: Hit) -> Mapping[str, str]:
    direct = direct_for(request)
    if direct is None:
        return {}
    return await direct.pack_urls(hit, expires_in=request.app[SETTINGS].link_ttl)


def _links(
    request: web.Request,
    found: Contents | Hit,
    direct_urls: Mapping[str, str],
    *,
    for_base: bool = False,
) -> tuple[BlobLink, ...]:
    origin, links = origin_of(request), request.app[LINKS]
    first = wire.MANIFEST if found.entry.is_snapshot else wire.ARCHIVE
    return tuple(
        BlobLink(
            str(blob.pack or first),
            blob.size_bytes,
            links.for_download(origin, blob.name, for_base=for_base),
            direct_urls.get(blob.name, ""),
        )
        for blob in found.blobs
    )


async def _take(request: web.Request, pack: PackName | None) -> web.Response:
    grant, direct = grant_of(request), _direct(request)
    arrived = wire.Arrived.decode(await body_of(request, wire.MAX_BODY_BYTES))
    upload_id = _id(request, "upload_id", UploadGone)
    await direct.take(grant, upload_id, pack, sha256=bytes.fromhex(arrived.sha256))
    return web.Response(status=204)


def _direct(request: web.Request) -> DirectTransfers:
    direct = direct_for(request)
    if direct is None:
        # As a server answers that does not know the path.
        raise web.HTTPNotFound
    return direct


def _pack(request: web.Request) -> PackName:
    return PackName.parse("{upload_id}-{number}".format_map(request.match_info))


def _id(request: web.Request, name: str, missing: type[EntryMissing | UploadGone]) -> int:
    found = id_in(request, name)
    if found is None:
        raise missing
    return found


def _reply(answer: JsonMessage, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=answer.encode(), content_type="application/json")
