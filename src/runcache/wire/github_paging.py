"""What lists of GitHub's REST API are asked for, and how their pages are linked.

Sources: management §1.4 for the parameters, §1.8 for the header `Link`. A page has a number, as on
GitHub. The links to next pages carry a cursor, too, which finds a late page as fast as the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self
from urllib.parse import parse_qsl, urlencode

from runcache.errors import InvalidParameter

DEFAULT_PER_PAGE: Final = 30
MAX_PER_PAGE: Final = 100
# No list is that long, and all that is computed from it has 64 bits.
_MAX_NUMBER: Final = 10**12
_MAX_DIGITS: Final = 12

Pairs = Sequence[tuple[str, str]]
Sort = Literal["created_at", "last_accessed_at", "size_in_bytes"]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a list is wanted: its number from 1 on, its size, and the cursor to it."""

    page: int = 1
    per_page: int = DEFAULT_PER_PAGE
    cursor: str | None = None

    @classmethod
    def of(cls, pairs: Pairs) -> Self:
        """Read the parameters of a query; what is no number, or below 1, is as if left out."""
        query = dict(pairs)
        return cls(
            page=_number(query.get("page"), default=1),
            per_page=min(_number(query.get("per_page"), default=DEFAULT_PER_PAGE), MAX_PER_PAGE),
            cursor=query.get("cursor") or None,
        )

    @property
    def offset(self) -> int:
        """How many items are before the page."""
        return (self.page - 1) * self.per_page


@dataclass(frozen=True, slots=True)
class ListCaches:
    """Which entries are wanted: those whose key begins with `prefix`, of one ref or of all."""

    prefix: str
    ref: str | None
    sort: Sort
    is_descending: bool
    paging: Paging

    @classmethod
    def of(cls, pairs: Pairs) -> Self:
        """Read the parameters of a query. An empty one is as if left out.

        Raises:
            InvalidParameter: `sort` or `direction` has another value than those there are, or one
                is no text.
        """
        query = dict(pairs)
        return cls(
            prefix=_text(query, "key"),
            ref=_text(query, "ref") or None,
            sort=_sort(query.get("sort") or "last_accessed_at"),
            is_descending=_is_descending(query.get("direction") or "desc"),
            paging=Paging.of(pairs),
        )


@dataclass(frozen=True, slots=True)
class DeleteByKey:
    """Which entries to delete: those with exactly this key, of one ref or of all."""

    key: str
    ref: str | None

    @classmethod
    def of(cls, pairs: Pairs) -> Self:
        """Read the parameters of a query.

        Raises:
            InvalidParameter: the key is missing or empty, which never stands for all keys; or one
                is no text.
        """
        query = dict(pairs)
        key = _text(query, "key")
        if not key:
            raise InvalidParameter("key", "is missing", is_missing=True)
        return cls(key=key, ref=_text(query, "ref") or None)


def pairs_of(query_string: str) -> list[tuple[str, str]]:
    """Return the parameters of a query as they were sent; `+` and `%20` are blanks."""
    return parse_qsl(query_string, keep_blank_values=True, errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Following:
    """What is behind a page: whether there is a next one, its cursor, and how many items in all."""

    is_there: bool
    total_count: int
    cursor: str | None = None


def link_header(url: str, pairs: Pairs, paging: Paging, following: Following) -> str | None:
    """Return the header that leads to other pages of the list at `url`, `None` if there is none.

    All parameters of the request stay.
    """
    known = max(1, -(-following.total_count // paging.per_page))
    # What a cursor leads to may be less than what was deleted since the first page.
    last = max(known, paging.page + 1) if following.is_there else known
    kept = [(name, value) for name, value in pairs if name not in {"page", "cursor"}]

    def link(relation: str, page: int, cursor: str | None = None) -> str:
        query = [*kept, ("page", str(page)), *([("cursor", cursor)] if cursor else [])]
        return f'<{url}?{urlencode(query, errors="surrogateescape")}>; rel="{relation}"'

    links = []
    if paging.page > 1:
        links.append(link("prev", min(paging.page - 1, last)))
    if following.is_there:
        links += [link("next", paging.page + 1, following.cursor), link("last", last)]
    if paging.page > 1:
        links.append(link("first", 1))
    return ", ".join(links) or None


def _number(text: str | None, *, default: int) -> int:
    if not text or not (text.isascii() and text.isdigit()):
        return default
    number = int(text) if len(text) <= _MAX_DIGITS else _MAX_NUMBER
    return number or default


def _text(query: dict[str, str], name: str) -> str:
    value = query.get(name, "")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidParameter(name, "is not valid UTF-8") from None
    if "\0" in value:
        raise InvalidParameter(name, "holds a NUL")
    return value


def _sort(text: str) -> Sort:
    match text:
        case "created_at" | "last_accessed_at" | "size_in_bytes":
            return text
        case _:
            reason = "is none of `created_at`, `last_accessed_at`, `size_in_bytes`"
            raise InvalidParameter("sort", reason)


def _is_descending(text: str) -> bool:
    if text not in {"asc", "desc"}:
        raise InvalidParameter("direction", "is neither `asc` nor `desc`")
    return text == "desc"
