"""Links between the pages of a list (management §1.8)."""

from aiohttp import web

from runcache.server.github_rest import base_url
from runcache.server.operations import ENTERPRISE_PREFIX
from runcache.wire.github_paging import Following, Paging, link_header, pairs_of


def linked(request: web.Request, paging: Paging, following: Following) -> dict[str, str]:
    """Return the header of a page that leads to others, if there are others.

    Its URLs are those of the request as the client sees it: the host that it has asked for, the
    prefix of the API that it has used, and all of its parameters.

    Raises:
        MalformedMessage: the request does not say which host it is for.
    """
    url = base_url(request) + request.rel_url.raw_path.removeprefix(ENTERPRISE_PREFIX)
    pairs = pairs_of(request.rel_url.raw_query_string)
    header = link_header(url, pairs, paging, following)
    return {} if header is None else {"Link": header}
