"""The filter of a list of caches, as GitHub's: `key:npm- branch:main sort:size-desc`.

Words that belong to no qualifier are the beginning of a key, as `key:` is, so keys may be typed or
pasted as they are. A blank may follow the colon. Values with blanks stand in double quotes, in
which a backslash escapes. All of the state of a list is in this one text, and so in its address.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from runcache.listing import Order, Selection, SortBy

# Longer than the longest key and ref together.
MAX_LENGTH: Final = 4096

_NAMES: Final = "key|branch|ref|tag|pr|version|family|sort"
_VALUE: Final = r'"(?:[^"\\]|\\.)*"|\S+'
# What follows a blank may be the next qualifier, what follows the colon itself may not.
_TERM: Final = re.compile(
    rf"(?P<name>{_NAMES}):(?:(?P<close>{_VALUE})|\s+(?!(?:{_NAMES}):)(?P<apart>{_VALUE}))?"
    rf"|(?P<word>{_VALUE})",
    re.IGNORECASE | re.DOTALL,
)
_DIRECTION: Final = re.compile(r"(?P<by>.+?)(?:-(?P<direction>asc|desc))?")
# What each order is called first is how it is written.
_SORTS: Final[Mapping[SortBy, tuple[str, ...]]] = {
    SortBy.LAST_ACCESSED: (
        "used",
        "last-used",
        "last-used-at",
        "accessed",
        "last-accessed",
        "last-accessed-at",
    ),
    SortBy.CREATED: ("created", "created-at"),
    SortBy.SIZE: ("size", "size-in-bytes"),
}
_BY_NAME: Final = {name: by for by, names in _SORTS.items() for name in names}
_PULL_REQUEST: Final = re.compile(r"refs/pull/([0-9]+)/merge")


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries a list shows, in which order; and what of its text made no sense."""

    selection: Selection = field(default_factory=Selection)
    order: Order = field(default_factory=Order)
    mistakes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what somebody typed. Of a qualifier that is said twice the last one counts."""
        query = cls()
        words: list[str] = []
        for term in _TERM.finditer(text[:MAX_LENGTH]):
            value = _plain(term["close"] or term["apart"] or term["word"] or "")
            if term["name"]:
                query = query.with_term(term["name"].lower(), value)
            else:
                words.append(value)
        if words:
            query = query.with_term("key", " ".join(words))
        return query

    def __str__(self) -> str:
        """Return the text of this query, as short as it can be."""
        chosen = self.selection
        terms = [
            _term("key", chosen.prefix),
            _ref_term(chosen.ref) if chosen.ref else "",
            _term("family", chosen.family or ""),
            _term("version", chosen.version or ""),
            "" if self.order == Order() else f"sort:{name_of(self.order)}",
        ]
        return " ".join(filter(None, terms))

    def on(self, ref: str | None) -> Self:
        """Return the same for another ref, or for all refs."""
        return replace(self, selection=replace(self.selection, ref=ref))

    def sorted_by(self, order: Order) -> Self:
        """Return the same in another order."""
        return replace(self, order=order)

    def with_term(self, name: str, value: str) -> Self:
        """Return the same with one more qualifier, whose `name` is one of those that there are."""
        match name:
            case "sort":
                return self._sorted(value)
            case "key":
                change = replace(self.selection, prefix=value)
            case "version":
                change = replace(self.selection, version=value or None)
            case "family":
                change = replace(self.selection, family=value or None)
            case _:
                change = replace(self.selection, ref=full_ref(name, value))
        return replace(self, selection=change)

    def _sorted(self, value: str) -> Self:
        found = _DIRECTION.fullmatch(value.lower().replace("_", "-"))
        by = _BY_NAME.get(found["by"]) if found else None
        if found is None or by is None:
            return replace(self, mistakes=(*self.mistakes, f"sort:{value}"))
        return self.sorted_by(Order(by, is_descending=found["direction"] != "asc"))


def name_of(order: Order) -> str:
    """Return what an order is called in a query: `size-desc`."""
    return f"{_SORTS[order.by][0]}-{'desc' if order.is_descending else 'asc'}"


def full_ref(name: str, value: str) -> str | None:
    """Return the ref that a qualifier and its value mean, `None` for all refs."""
    if not value or value.startswith("refs/"):
        return value or None
    if name == "pr" or re.fullmatch("#[0-9]+", value):
        return f"refs/pull/{value.removeprefix('#')}/merge"
    return f"refs/tags/{value}" if name == "tag" else f"refs/heads/{value}"


def _plain(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return value


def _ref_term(ref: str) -> str:
    if found := _PULL_REQUEST.fullmatch(ref):
        return f"pr:{found[1]}"
    for name, prefix in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
        short = ref.removeprefix(prefix)
        if short != ref and full_ref(name, short) == ref:
            return _term(name, short)
    return _term("ref", ref)


def _term(name: str, value: str) -> str:
    if re.search(r'[\s"]', value):
        value = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return f"{name}:{value}" if value else ""
