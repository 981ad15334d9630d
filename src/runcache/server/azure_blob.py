"""Blob links: the part of Azure's Blob REST that cache clients speak (protocol §4, §5)."""

import asyncio
from contextlib import aclosing
from functools import partial

from aiohttp import web

from runcache.errors import CacheError, MalformedMessage
from runcache.model import Span
from runcache.server.context import LINKS, SERVICE, TRANSFERS, body_of, direct_for, target_of
from runcache.server.failures import AZURE_BLOB, AZURE_BLOB_DOWNLOAD, failure_of
from runcache.server.links import FOR_BASE, PURPOSES
from runcache.server.patience import patiently
from runcache.wire import azure_blob as wire


async def put(request: web.Request) -> web.Response:
    """Receive a whole blob, a block, or the list of blocks that make the blob."""
    blob = _verified_blob(request)
    service = request.app[SERVICE]
    announced_bytes = request.content_length
    match wire.put_operation(request.query):
        case wire.PutBlob():
            async with aclosing(request.app[TRANSFERS].received(request)) as body:
                await service.write_whole(blob, body, announced_bytes=announced_bytes)
        case wire.PutBlock(block_id):
            async with aclosing(request.app[TRANSFERS].received(request)) as body:
                await service.write_block(blob, block_id, body, announced_bytes=announced_bytes)
        case wire.PutBlockList():
            text = await body_of(request, wire.MAX_BLOCK_LIST_BYTES)
            # 50 000 ids take 0.14 s.
            block_ids = await asyncio.to_thread(wire.parse_block_list, text)
            await patiently(partial(service.order_blocks, blob, block_ids))
    # Clients take nothing but exactly 201 (protocol §4.3).
    return web.Response(
        status=201, headers={"ETag": wire.etag_of(blob), wire.SERVER_ENCRYPTED: "true"}
    )


async def get(request: web.Request) -> web.StreamResponse:
    """Answer GET and HEAD with a blob or a range of it."""
    blob = await request.app[SERVICE].blob(_verified_blob(request))
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": wire.etag_of(blob.name),
        "Last-Modified": wire.http_date(blob.created_at),
        wire.BLOB_TYPE: "BlockBlob",
    }
    failed = wire.failed_precondition(request.headers, headers["ETag"])
    if failed == 304:  # noqa: PLR2004  -- the statuses are what the function is about
        return web.Response(status=304, headers=headers)
    if failed is not None:
        return error_response(failed, wire.ErrorCode.CONDITION_NOT_MET, "the blob is another one")
    whole = Span(0, blob.size_bytes)
    part = wire.requested_span(request.headers, blob.size_bytes)
    span = part or whole
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    response.content_type = "application/octet-stream"
    response.content_length = span.size_bytes
    if part is not None:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{whole.end}"
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    is_restore = FOR_BASE not in request.rel_url.raw_query_string
    direct = direct_for(request) if wire.may_be_led_away(request.headers) else None
    if direct is not None:
        time_left = request.app[LINKS].time_left(target_of(request))
        url = await direct.download_url(blob, span, expires_in=time_left, is_restore=is_restore)
        if url is not None:
            return web.Response(status=307, headers={"Location": url, "Cache-Control": "no-store"})
    pieces = request.app[SERVICE].read(blob, span, is_restore=is_restore)
    return await request.app[TRANSFERS].send(request, response, pieces)


def refusal(request: web.Request, error: CacheError) -> web.Response:
    """Return the answer of this dialect to a request that failed."""
    failure = failure_of(AZURE_BLOB if request.method == "PUT" else AZURE_BLOB_DOWNLOAD, error)
    code = wire.ErrorCode(failure.code)
    if isinstance(error, MalformedMessage):
        is_list = request.query.get("comp") == "blocklist"
        code = (
            wire.ErrorCode.INVALID_XML_DOCUMENT
            if is_list
            else wire.ErrorCode.INVALID_QUERY_PARAMETER_VALUE
        )
    return error_response(failure.status, code, str(error))


def error_response(status: int, code: wire.ErrorCode, message: str) -> web.Response:
    """Return an error, whose message clients show."""
    return web.Response(
        status=status,
        body=wire.error_body(code, message),
        content_type="application/xml",
        headers={wire.ERROR_CODE: code},
    )


def _verified_blob(request: web.Request) -> str:
    return request.app[LINKS].verify(target_of(request), PURPOSES[request.method])
