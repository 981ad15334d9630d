"""The wiring: what is built of what, and every route on one screen."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from runcache.catalog.sqlite import open_catalog
from runcache.config import Settings
from runcache.maintenance import Maintenance
from runcache.server import (
    artifactcache,
    azure_blob,
    context,
    github_rest,
    keys,
    native,
    ops,
    twirp,
)
from runcache.server.answers import add_common_headers, canonical_log_line, errors_in_dialect
from runcache.server.auth import JobTokens
from runcache.server.background import Background
from runcache.server.links import PATH as LINK_PATH
from runcache.server.links import Links
from runcache.server.metrics import Metrics
from runcache.server.transfers import Transfers
from runcache.service import CacheService, UploadLimits, now_ms
from runcache.store.local import LocalStore
from runcache.wire import native as native_wire
from runcache.wire.artifactcache import CACHES_PATH, LOOKUP_PATH
from runcache.wire.twirp import SERVICE_PATH, Method

ROUTES: Final = (
    web.post(SERVICE_PATH + Method.CREATE, twirp.create_entry),
    web.post(SERVICE_PATH + Method.FINALIZE, twirp.finalize_entry),
    web.post(SERVICE_PATH + Method.FIND, twirp.find_entry),
    web.get(LOOKUP_PATH, artifactcache.find_entry),
    web.get(CACHES_PATH, artifactcache.list_entries),
    web.post(CACHES_PATH, artifactcache.reserve),
    web.patch(CACHES_PATH + "/{cache_id}", artifactcache.write_chunk),
    web.post(CACHES_PATH + "/{cache_id}", artifactcache.commit),
    web.put(LINK_PATH + "{blob:.*}", azure_blob.put),
    web.get(LINK_PATH + "{blob:.*}", azure_blob.get),
    web.post(native_wire.FIND_PATH, native.find),
    web.post(native_wire.LINKS_PATH, native.renew_links),
    web.post(native_wire.DAMAGE_PATH, native.report_damage),
    web.post(native_wire.UPLOADS_PATH, native.reserve),
    web.delete(native_wire.UPLOAD_PATH, native.abandon),
    web.put(native_wire.PACK_PATH, native.put_pack),
    web.put(native_wire.MANIFEST_PATH, native.put_manifest),
    web.post(native_wire.COMMIT_PATH, native.commit),
    web.get("/repos/{owner}/{repo}/actions/cache/usage", github_rest.repository_usage),
    web.get("/api/v3/repos/{owner}/{repo}/actions/cache/usage", github_rest.repository_usage),
    web.get("/healthz", ops.healthz),
    web.get("/readyz", ops.readyz),
    web.get("/metrics", ops.metrics),
)


@dataclass(frozen=True, slots=True)
class Wired:
    """A server that is complete but does not listen yet."""

    app: web.Application
    service: CacheService
    transfers: Transfers


@asynccontextmanager
async def wired(
    settings: Settings, *, seconds: Callable[[], float] = time.monotonic
) -> AsyncIterator[Wired]:
    """Open catalog and store, and build everything above them; close all of it on the way out.

    `seconds` is the clock that tells which transfers have stalled.
    """
    key = await asyncio.to_thread(keys.key_of, settings)
    metrics = Metrics()
    transfers = Transfers(metrics, seconds=seconds)
    store = LocalStore(settings.store)
    try:
        async with open_catalog(settings.catalog) as catalog:
            maintenance = Maintenance(catalog, store, settings.limits(), now=now_ms)
            await maintenance.claim_store()
            background = Background(maintenance, transfers, metrics, settings)
            service = CacheService(
                catalog,
                store,
                UploadLimits(
                    upload_ttl=settings.upload_ttl,
                    entry_limit_bytes=settings.entry_limit,
                    min_free_bytes=settings.min_free,
                ),
                observers=(metrics, background),
            )
            app = web.Application(
                middlewares=[canonical_log_line, errors_in_dialect], client_max_size=0
            )
            app[context.SETTINGS] = settings
            app[context.SERVICE] = service
            app[context.JOB_TOKENS] = JobTokens(key.derived(keys.JOB_TOKENS), now=now_ms)
            app[context.LINKS] = Links(
                key.derived(keys.LINKS), link_ttl=settings.link_ttl, now=now_ms
            )
            app[context.METRICS] = metrics
            app[context.TRANSFERS] = transfers
            app.on_response_prepare.append(add_common_headers)
            app.add_routes(ROUTES)
            async with background.running(service):
                yield Wired(app, service, transfers)
    finally:
        store.close()
