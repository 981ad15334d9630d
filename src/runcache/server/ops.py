"""What operators and their machines ask: is it alive, is it ready, how much does it do."""

import asyncio

from aiohttp import web

from runcache.server.context import METRICS, SERVICE, api_token_of, is_from_loopback


async def healthz(_request: web.Request) -> web.Response:
    """Answer 200 as long as the process runs."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Answer 200 if catalog and store work and uploads are taken, else 503 and what does not."""
    reasons = await request.app[SERVICE].readiness()
    failing = {part: reason for part, reason in reasons.items() if reason is not None}
    return web.json_response(
        {"status": "failing" if failing else "ok", **failing}, status=503 if failing else 200
    )


async def metrics(request: web.Request) -> web.Response:
    """Show the counters, to this machine and to API tokens."""
    if not is_from_loopback(request):
        await api_token_of(request)
    return web.Response(
        body=await asyncio.to_thread(request.app[METRICS].exposition),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )
