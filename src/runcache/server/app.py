"""The wiring: what is built of what, and every route on one screen."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from runcache.catalog.opening import open_catalog
from runcache.config import Settings
from runcache.insight.explain.explanations import Explanations
from runcache.maintenance import Maintenance
from runcache.server import (
    artifactcache,
    azure_blob,
    context,
    engines,
    entries,
    explain,
    keys,
    native,
    openapi,
    ops,
    reading,
    results,
    twirp,
)
from runcache.server.answers import add_common_headers, canonical_log_line, errors_in_dialect
from runcache.server.auth import JobTokens
from runcache.server.background import Background
from runcache.server.keys import SigningKey
from runcache.server.links import PATH as LINK_PATH
from runcache.server.links import Links
from runcache.server.metrics import CATALOG, STORE, Metrics
from runcache.server.operations import routes
from runcache.server.rest import table as rest
from runcache.server.transfers import Transfers
from runcache.server.ui import (
    activity,
    caches,
    deletions,
    entry,
    limits,
    overview,
    rendering,
    session,
    sign_in,
    static,
)
from runcache.server.ui import explain as explain_page
from runcache.server.ui import headers as ui
from runcache.service import CacheService, Records, UploadLimits
from runcache.service.contents import EntryContents
from runcache.service.management import Management
from runcache.store.opening import open_direct, open_read_cache, open_store
from runcache.wire import native as native_wire
from runcache.wire.artifactcache import CACHES_PATH, LOOKUP_PATH
from runcache.wire.twirp import SERVICE_PATH, Method

LOOKUP_SECONDS: Final = 1.9
"""When a lookup that nobody could answer becomes a miss."""

OPERATIONS: Final = (*rest.OPERATIONS, *entries.OPERATIONS, *explain.OPERATIONS)
"""What `/openapi.json` describes."""

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
    web.post(native_wire.UPLOAD_LINKS_PATH, native.sign_upload),
    web.post(native_wire.PACK_PATH, native.take_pack),
    web.post(native_wire.MANIFEST_PATH, native.take_manifest),
    web.post(native_wire.COMMIT_PATH, native.commit),
    *routes(OPERATIONS),
    web.get(openapi.PATH, openapi.show),
    web.get(ui.PREFIX.rstrip("/"), sign_in.to_pages),
    web.get(ui.SIGN_IN_PATH, sign_in.show),
    web.post(ui.SIGN_IN_PATH, sign_in.sign_in),
    web.post(ui.SIGN_OUT_PATH, sign_in.sign_out),
    web.get(static.STATIC_PATH, static.show),
    web.get(ui.PREFIX, overview.show),
    web.get("/ui/{owner}/{repo}/caches", caches.show),
    web.get("/ui/{owner}/{repo}/caches/delete", deletions.preview),
    web.post("/ui/{owner}/{repo}/caches/delete", deletions.delete),
    web.get("/ui/{owner}/{repo}/caches/{id}", entry.show),
    web.get("/ui/{owner}/{repo}/explain", explain_page.show),
    web.get("/ui/activity", activity.show_all),
    web.get("/ui/{owner}/{repo}/activity", activity.show_repository),
    web.get("/ui/owners/{org}/limits", limits.show_owner),
    web.post("/ui/owners/{org}/limits", limits.save_owner),
    web.get("/ui/{owner}/{repo}/limits", limits.show_repository),
    web.post("/ui/{owner}/{repo}/limits", limits.save_repository),
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
    settings: Settings, key: SigningKey, *, seconds: Callable[[], float] = time.monotonic
) -> AsyncIterator[Wired]:
    """Open catalog and store, and build everything above them; close all of it on the way out.

    What is signed is signed with keys derived from `key`. `seconds` is the clock that tells which
    transfers have stalled.
    """
    metrics = Metrics(is_shared=settings.workers > 1)
    transfers = Transfers(metrics, seconds=seconds)
    async with (
        open_store(settings.store, heard=engines.told_of(STORE, metrics)) as store,
        open_direct(settings.store if settings.direct_transfers else None) as direct,
        open_catalog(settings.catalog, heard=engines.told_of(CATALOG, metrics)) as catalog,
        open_read_cache(
            store,
            catalog.blobs,
            settings.data / reading.FOLDER,
            catalog_id=await catalog.identity(),
            limit_bytes=settings.read_cache,
            min_free_bytes=settings.min_free,
            observer=reading.ToldReading(metrics),
        ) as reader,
    ):
        maintenance = Maintenance(
            catalog, store, settings.limits(), now=catalog.now_ms, direct=direct
        )
        await maintenance.claim_store()
        records = Records(catalog, now=catalog.now_ms)
        background = Background(maintenance, records, transfers, metrics, settings)
        service = CacheService(
            catalog,
            store,
            UploadLimits(
                upload_ttl=settings.upload_ttl,
                entry_limit_bytes=settings.entry_limit,
                min_free_bytes=settings.min_free,
            ),
            observers=(metrics, background, records, engines.ToldLookups()),
            now=catalog.now_ms,
            direct=direct,
            lookup_seconds=LOOKUP_SECONDS,
            reader=reader,
        )
        app = web.Application(
            middlewares=[canonical_log_line, errors_in_dialect], client_max_size=0
        )
        app[context.SETTINGS] = settings
        app[context.SERVICE] = service
        app[context.MANAGEMENT] = Management(
            catalog, settings.limits(), maintenance, observers=(metrics, background)
        )
        app[context.RECORDS] = records
        app[context.CONTENTS] = EntryContents(catalog, store, records)
        app[context.EXPLANATIONS] = Explanations(service, catalog, now=catalog.now_ms)
        app[context.JOB_TOKENS] = JobTokens(
            key.derived(keys.JOB_TOKENS),
            former=key.derived_formerly(keys.JOB_TOKENS),
            now=catalog.now_ms,
        )
        app[context.LINKS] = Links(
            key.derived(keys.LINKS),
            former=key.derived_formerly(keys.LINKS),
            link_ttl=settings.link_ttl,
            now=catalog.now_ms,
        )
        app[context.METRICS] = metrics
        app[openapi.DOCUMENT] = openapi.document(OPERATIONS)
        app[context.TRANSFERS] = transfers
        app[session.SESSIONS] = session.Sessions(key, now=catalog.now_ms)
        app[static.ASSETS] = assets = await asyncio.to_thread(static.Assets.read)
        app[rendering.PAGES] = await asyncio.to_thread(rendering.Pages.read, assets)
        app.on_response_prepare.append(add_common_headers)
        app.add_routes(ROUTES)
        async with (
            background.running(service),
            results.forwarding(app, settings.results_upstream, key=key.derived(keys.RESULTS)),
        ):
            yield Wired(app, service, transfers)
