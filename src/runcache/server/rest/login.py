"""What `gh auth` and other programs ask before they use GitHub's REST API (management §2.2)."""

import re
from typing import Final

from aiohttp import web

from runcache.server.auth import token_in
from runcache.server.context import api_token_of, body_of
from runcache.server.github_rest import base_url, reply
from runcache.server.ui import sign_in
from runcache.service import now_ms
from runcache.wire.github_limits import object_in
from runcache.wire.github_rest import Rate, RateLimits, Rates, Root
from runcache.wire.graphql import GraphqlAnswer

_MAX_BODY_BYTES: Final = 64 * 1024
_VIEWER: Final = re.compile(r"\s*query(\s+\w+)?\s*\{\s*viewer\s*\{\s*login\s*\}\s*\}\s*", re.ASCII)


async def root(request: web.Request) -> web.Response:
    """Say where things are, and in the headers what the token may do.

    At the very root a browser is led to the web pages.
    """
    if request.path == "/" and sign_in.wants_pages(request):
        return await sign_in.to_pages(request)
    await _require_no_wrong_token(request)
    url = base_url(request)
    usage = "actions/cache/usage"
    return reply(
        request,
        Root(
            actions_caches_url=f"{url}/repos/{{owner}}/{{repo}}/actions/caches",
            actions_cache_usage_url=f"{url}/repos/{{owner}}/{{repo}}/{usage}",
            organization_actions_cache_usage_url=f"{url}/orgs/{{org}}/{usage}",
            rate_limit_url=f"{url}/rate_limit",
        ),
    )


async def rate_limit(request: web.Request) -> web.Response:
    """Say how often a client may ask: always."""
    await _require_no_wrong_token(request)
    rate = Rate.at(now_ms() // 1000)
    return reply(request, RateLimits(resources=Rates(core=rate), rate=rate))


async def graphql(request: web.Request) -> web.Response:
    """Answer the one query that `gh auth login` sends: whose token is it."""
    token = await api_token_of(request)
    query = object_in(await body_of(request, _MAX_BODY_BYTES)).get("query")
    if isinstance(query, str) and _VIEWER.fullmatch(query):
        return reply(request, GraphqlAnswer.to_viewer(token.name.replace(" ", "-")))
    message = "only `query { viewer { login } }` is answered here"
    return reply(request, GraphqlAnswer.refusing(message))


async def _require_no_wrong_token(request: web.Request) -> None:
    if token_in(request.headers.get("Authorization")) is not None:
        await api_token_of(request)
