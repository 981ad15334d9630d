"""What a token reaches of what a path names.

What it may not see is not there: the answer is that for a name that nobody has. Names count in any
case of letters.
"""

from typing import Final

from aiohttp import web

from runcache.access import owner_name, repository_name
from runcache.errors import InvalidInput, NotFound, ReadOnlyToken
from runcache.model import ApiToken, Grant
from runcache.server.context import REPOSITORY

_NOT_FOUND: Final = "there is no such thing, or the token may not see it"


def readable_repository(request: web.Request, token: ApiToken) -> str:
    """Return the repository that `{owner}/{repo}` in the path names, in lower case.

    Raises:
        NotFound: it is none, or the token may not read it.
    """
    try:
        repository = repository_name("{owner}/{repo}".format_map(request.match_info))
    except InvalidInput:
        raise NotFound(_NOT_FOUND) from None
    if not token.may_read(repository):
        raise NotFound(_NOT_FOUND)
    request[REPOSITORY] = repository
    return repository


def require_granted(request: web.Request, grant: Grant) -> None:
    """Refuse the token of a job of another repository than `{owner}/{repo}` in the path.

    Raises:
        NotFound: it is one.
    """
    named = "{owner}/{repo}".format_map(request.match_info)
    if named.lower() != grant.repository:
        raise NotFound(_NOT_FOUND)


def writable_repository(request: web.Request, token: ApiToken) -> str:
    """Return the repository that `{owner}/{repo}` in the path names, in lower case.

    Raises:
        NotFound: as `readable_repository`.
        ReadOnlyToken: the token may read it, and not change it.
    """
    repository = readable_repository(request, token)
    if not token.may_write(repository):
        raise ReadOnlyToken
    return repository


def readable_owner(request: web.Request, token: ApiToken) -> str:
    """Return the owner that `{org}` in the path names, in lower case.

    Raises:
        NotFound: it is none, or the token does not reach all of its repositories.
    """
    try:
        owner = owner_name(request.match_info["org"])
    except InvalidInput:
        raise NotFound(_NOT_FOUND) from None
    if not token.may_read_owner(owner):
        raise NotFound(_NOT_FOUND)
    return owner


def writable_owner(request: web.Request, token: ApiToken) -> str:
    """Return the owner that `{org}` in the path names, in lower case.

    Raises:
        NotFound: as `readable_owner`.
        ReadOnlyToken: the token may read it, and not change it.
    """
    owner = readable_owner(request, token)
    if not token.may_write_owner(owner):
        raise ReadOnlyToken
    return owner


def require_admin(token: ApiToken) -> None:
    """Refuse a token that does not reach all of the server.

    Raises:
        NotFound: it does not.
    """
    if not token.is_admin:
        raise NotFound(_NOT_FOUND)
