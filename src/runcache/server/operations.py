"""A table of operations: routes and their description in one, so that neither is without the other.

`routes` makes what the server answers of it, `server/openapi.py` what `/openapi.json` says.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

from runcache.errors import MalformedMessage
from runcache.wire.github_rest import API_VERSIONS

# Of these GET brings HEAD along, which `web.route` does not.
_ROUTE: Final = {
    "DELETE": web.delete,
    "GET": web.get,
    "PATCH": web.patch,
    "POST": web.post,
    "PUT": web.put,
}
# None at all stands for the oldest (management §1.1).
_KNOWN: Final = {"", *API_VERSIONS}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

API_VERSION: Final = "X-GitHub-Api-Version"
ENTERPRISE_PREFIX: Final = "/api/v3"
# As on github.com and as on a server of an enterprise (management §1.1).
GITHUB: Final = ("", ENTERPRISE_PREFIX)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query: its name, what it means, and its JSON schema."""

    name: str
    description: str
    schema: Mapping[str, object]
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """An answer: when it is given, the type of its JSON body, and names of headers of its own."""

    description: str
    body: type | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a method does on a path.

    Args:
        name: how programs call it, in the whole table only once.
        paths: templates as aiohttp has them. The first is documented, others are other spellings.
        prefixes: what each path is served below; the first is documented.
        answers: by status, but for those that `dialect` has in common.
        dialect: in whose form it fails.
        body: the type of the JSON that it takes.
        is_open: whether it needs no token.
        scopes: the OAuth scope that a token of GitHub's would need.
        permissions: the permission that a fine-grained token of GitHub's would need.
    """

    name: str
    method: str
    paths: tuple[str, ...]
    handler: Handler
    summary: str
    answers: Mapping[int, Described]
    dialect: Literal["github", "native"] = "github"
    prefixes: tuple[str, ...] = GITHUB
    query: tuple[Parameter, ...] = ()
    body: type | None = None
    is_open: bool = False
    scopes: str = ""
    permissions: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, which knows its operation from now on."""
        request[OPERATION] = self
        if self.dialect == "github" and request.headers.get(API_VERSION, "") not in _KNOWN:
            raise MalformedMessage(f"`{API_VERSION}` names a version that is not supported")
        return await self.handler(request)


# Where a request keeps what it is about.
OPERATION: Final = web.RequestKey("operation", Operation)


def routes(operations: Iterable[Operation]) -> Iterator[web.RouteDef]:
    """Return every route of a table."""
    for operation in operations:
        for prefix in operation.prefixes:
            for path in operation.paths:
                yield _ROUTE[operation.method](prefix + path, operation.answer)
