"""The seam to what looks after entries: a server over HTTP, or the store in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from runcache.details import EntryDetails, FilePage
from runcache.insight.explain import Explanation, Question
from runcache.listing import Order, Selection
from runcache.model import Usage


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as lists tell of it. Times are milliseconds since 1970 (UTC)."""

    id: int
    ref: str
    key: str
    version: str
    size_bytes: int
    created_at: int
    last_accessed_at: int


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A part of a list, and how many entries the whole list has."""

    entries: tuple[Listed, ...]
    total_count: int


class Management(Protocol):
    """What can be done with the entries of repositories, whoever keeps them.

    Its methods wait, and repeat by themselves what may work when it is repeated. Each may raise

    * `ServerUnreachable`, `ServerFailed`: nobody answered, or nobody able to;
    * `NotAuthenticated`, `NotPermitted`: the token does not count, or does not allow this;
    * `UnexpectedAnswer`: what answered is no cache;
    * `InvalidRepository`, `InvalidInput`: a name that nobody can have.
    """

    def pages(
        self, repository: str, selection: Selection, order: Order, *, limit: int
    ) -> Iterator[ListedPage]:
        """Yield the first `limit` entries of those that are selected, in pages; one at least.

        Of a selection only `prefix` and `ref` count.
        """
        ...

    def delete(self, repository: str, entry_id: int) -> bool:
        """Delete an entry, and say whether there was one."""
        ...

    def delete_by_key(self, repository: str, key: str, *, ref: str | None) -> int:
        """Delete the entries with exactly this key, of one ref or of all; return how many."""
        ...

    def usage(self, repository: str) -> Usage:
        """Return what a repository keeps."""
        ...

    def usages(self, owner: str) -> list[Usage]:
        """Return what each repository of an owner keeps, the largest first."""
        ...

    def details(self, repository: str, entry_id: int) -> EntryDetails | None:
        """Return what is known of an entry, or `None` if there is none with this id."""
        ...

    def files(
        self, repository: str, entry_id: int, *, search: str, after: str | None, limit: int
    ) -> FilePage | None:
        """Return files of a snapshot, or `None` for an archive.

        `service.contents.EntryContents.files` says which, and what `search` and `after` mean.

        Raises:
            EntryMissing: there is no such entry.
            Refused: its manifest is damaged, or too large.
        """
        ...

    def explain(self, repository: str, question: Question) -> Explanation:
        """Explain a lookup.

        Raises:
            Refused: the question cannot be asked.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads; nothing else may be called after it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
