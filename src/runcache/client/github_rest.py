"""Looking after the entries of a server: by GitHub's REST API, and by our own where that has none.

A request has an API token. Sources: management §1.4 to §1.8.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NoReturn, Self, TypeVar
from urllib.parse import urlencode

from runcache.access import owner_name, repository_name
from runcache.client import entries, explain
from runcache.client.address import Address
from runcache.client.connections import Connections
from runcache.client.management import Listed, ListedPage
from runcache.client.proxies import Proxies
from runcache.client.transfer import Message, Patience, Requests
from runcache.details import EntryDetails, FilePage
from runcache.errors import (
    EntryMissing,
    MalformedMessage,
    NotAuthenticated,
    NotPermitted,
    ProtocolAbsent,
    Refused,
    UnexpectedAnswer,
)
from runcache.insight.explain import Explanation, Question
from runcache.listing import Order, Selection
from runcache.model import Usage
from runcache.wire import entries as native
from runcache.wire import github_rest as wire
from runcache.wire.github_paging import MAX_PER_PAGE
from runcache.wire.json_messages import JsonMessage
from runcache.wire.native import ErrorCode

M = TypeVar("M", bound=JsonMessage)

_OK: Final = 200
_DONE: Final = 204
_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_MISSING: Final = 404
_NEXT: Final = re.compile(r'<[^>?]*\?([^>]*)>;\s*rel="next"')


class _Failed(JsonMessage, frozen=True):
    """An error of either API: ours has a code, too."""

    message: str
    code: str = ""
    hint: str | None = None


class RestManagement:
    """A server that is looked after over HTTP (`management.Management` is the contract)."""

    def __init__(self, requests: Requests, origin: str, token: str) -> None:
        self._requests = requests
        self._origin = origin
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pages(
        self, repository: str, selection: Selection, order: Order, *, limit: int
    ) -> Iterator[ListedPage]:
        """See `Management.pages`."""
        wanted = {
            "per_page": min(limit, MAX_PER_PAGE),
            "sort": order.by.value,
            "direction": "desc" if order.is_descending else "asc",
            "key": selection.prefix,
            "ref": selection.ref or "",
        }
        path = f"/repos/{repository_name(repository)}/actions/caches"
        query: str | None = urlencode({name: value for name, value in wanted.items() if value})
        while query is not None and limit > 0:
            answer = self._read("GET", f"{path}?{query}", reach=repository)
            found = _decoded(wire.CacheList, answer)
            try:
                listed = tuple(map(_listed, found.actions_caches[:limit]))
            except ValueError as exc:
                raise UnexpectedAnswer(answer.server, "answers with a time that is none") from exc
            yield ListedPage(listed, found.total_count)
            limit -= len(listed)
            query = _next_query(answer) if listed else None

    def delete(self, repository: str, entry_id: int) -> bool:
        """See `Management.delete`."""
        path = f"/repos/{repository_name(repository)}/actions/caches/{entry_id}"
        answer = self._sent("DELETE", path)
        if answer.status == _MISSING and _failure_in(answer) is not None:
            return False
        _require(answer, _DONE)
        return True

    def delete_by_key(self, repository: str, key: str, *, ref: str | None) -> int:
        """See `Management.delete_by_key`."""
        query = urlencode({"key": key} | ({} if ref is None else {"ref": ref}))
        path = f"/repos/{repository_name(repository)}/actions/caches?{query}"
        answer = self._sent("DELETE", path)
        if answer.status == _MISSING and _failure_in(answer) is not None:
            return 0
        _require(answer, _OK)
        return _decoded(wire.CacheList, answer).total_count

    def usage(self, repository: str) -> Usage:
        """See `Management.usage`."""
        path = f"/repos/{repository_name(repository)}/actions/cache/usage"
        return _usage(_decoded(wire.RepositoryUsage, self._read("GET", path, reach=repository)))

    def usages(self, owner: str) -> list[Usage]:
        """See `Management.usages`."""
        path = f"/orgs/{owner_name(owner)}/actions/cache/usage-by-repository"
        query: str | None = f"per_page={MAX_PER_PAGE}"
        usages: list[Usage] = []
        while query is not None:
            answer = self._read("GET", f"{path}?{query}", reach=owner)
            found = _decoded(wire.UsageList, answer).repository_cache_usages
            usages += map(_usage, found)
            query = _next_query(answer) if found else None
        return usages

    def details(self, repository: str, entry_id: int) -> EntryDetails | None:
        """See `Management.details`."""
        answer = self._sent("GET", entries.path_of(repository_name(repository), entry_id))
        if _is_missing(answer):
            return None
        _require(answer, _OK)
        return entries.details_of(_decoded(native.Details, answer))

    def files(
        self, repository: str, entry_id: int, *, search: str, after: str | None, limit: int
    ) -> FilePage | None:
        """See `Management.files`."""
        wanted = {"search": search, "after": after or "", "limit": limit}
        query = urlencode({name: value for name, value in wanted.items() if value})
        path = entries.path_of_files(repository_name(repository), entry_id)
        answer = self._sent("GET", f"{path}?{query}")
        if _is_missing(answer):
            raise EntryMissing
        _require(answer, _OK)
        return entries.page_of(_decoded(native.Files, answer))

    def explain(self, repository: str, question: Question) -> Explanation:
        """See `Management.explain`."""
        path = explain.path_of(repository_name(repository))
        answer = self._sent("POST", path, explain.encoded(question))
        if _is_missing(answer):
            raise _not_reached(repository)
        _require(answer, _OK)
        try:
            return explain.decoded(answer.body)
        except MalformedMessage as exc:
            raise UnexpectedAnswer(answer.server, "answers with no explanation") from exc

    def close(self) -> None:
        """See `Management.close`."""
        self._requests.close()

    def _read(self, method: str, path: str, *, reach: str) -> Message:
        """Return the answer about a repository or an owner that a token must reach."""
        answer = self._sent(method, path)
        if answer.status == _MISSING and _failure_in(answer) is not None:
            # Whether there is more than the token reaches, nobody tells.
            raise _not_reached(reach)
        _require(answer, _OK)
        return answer

    def _sent(self, method: str, path: str, body: bytes | None = None) -> Message:
        return self._requests.send(method, f"{self._origin}{path}", self._headers, body)


def open_server(address: Address, proxies: Proxies) -> RestManagement:
    """Return what looks after a server, which connects when it is first used."""
    requests = Requests(Connections(proxies), Patience())
    return RestManagement(requests, address.origin, address.token)


def _not_reached(what: str) -> NotPermitted:
    refused = NotPermitted(f"the token does not reach `{what}`")
    refused.hint = "`runcache token api` makes one that does"
    return refused


def _require(answer: Message, status: int) -> None:
    if answer.status != status:
        _refuse(answer)


def _refuse(answer: Message) -> NoReturn:
    """Raise what a refusal means."""
    failed = _failure_in(answer)
    if failed is None:
        raise UnexpectedAnswer(answer.server, f"answers {answer.status}: {answer.text}")
    refused = Refused(failed.message)
    refused.hint = failed.hint
    if answer.status == _UNAUTHENTICATED:
        refused = NotAuthenticated("the server does not accept the token")
        refused.hint = "it takes what `runcache token api` prints, not the token of a job"
    elif answer.status == _FORBIDDEN:
        refused = NotPermitted(failed.message)
        refused.hint = "`runcache token api --write` makes a token that may delete"
    raise refused


def _is_missing(answer: Message) -> bool:
    """Say whether an entry is missing.

    Raises:
        ProtocolAbsent: the server has no such endpoint.
    """
    if answer.status != _MISSING:
        return False
    failed = _failure_in(answer)
    if failed is None or failed.code != ErrorCode.NOT_FOUND:
        raise ProtocolAbsent(answer.server)
    return True


def _failure_in(answer: Message) -> _Failed | None:
    try:
        return _Failed.decode(answer.body) if answer.is_json else None
    except MalformedMessage:
        return None


def _decoded(kind: type[M], answer: Message) -> M:
    try:
        return kind.decode(answer.body)
    except MalformedMessage as exc:
        raise UnexpectedAnswer(answer.server, f"answers with no `{kind.__name__}`") from exc


def _next_query(answer: Message) -> str | None:
    """Return the query of the next page. Its host is not asked: a proxy may have changed it."""
    found = _NEXT.search(answer.link or "")
    return found[1] if found else None


def _listed(found: wire.ListedCache) -> Listed:
    return Listed(
        id=found.id,
        ref=found.ref,
        key=found.key,
        version=found.version,
        size_bytes=found.size_in_bytes,
        created_at=_milliseconds(found.created_at),
        last_accessed_at=_milliseconds(found.last_accessed_at),
    )


def _milliseconds(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def _usage(found: wire.RepositoryUsage) -> Usage:
    return Usage(found.full_name, found.active_caches_count, found.active_caches_size_in_bytes)
