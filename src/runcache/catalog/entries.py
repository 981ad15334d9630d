"""Statements about entries: finding, listing, forgetting."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, select, tuple_, update

from runcache.catalog.blobs import first_parts, pack_parts, packs_of
from runcache.catalog.bulk import raise_numbers
from runcache.catalog.connections import Connections
from runcache.catalog.lookup import entries_with_blob, find_row, prefix_end
from runcache.catalog.references import GRACE_MS, drop_entries
from runcache.catalog.repositories import Repositories
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, HOLDS, REPOSITORIES
from runcache.matching import Step
from runcache.model import Contents, Entry, EntryBlob, Part
from runcache.records import DAMAGED, DELETED, Removal
from runcache.retention import BlobUse, EntryUse

T = TypeVar("T")

# How many rows one transaction changes at the most, so that others get their turn.
BATCH: Final = 500
# How many blobs of entries, of which one may have thousands.
BLOBS_AT_ONCE: Final = 5000


class Answer(msgspec.Struct, frozen=True):
    """The entry that answers a lookup, and its first blob, or all of them.

    `parts` are the first ones of these blobs by their names, to be looked for in the store, but of
    those that are known to be whole.
    """

    entry: Entry
    blobs: tuple[EntryBlob, ...]
    parts: Mapping[str, Sequence[Part]]


class Access(msgspec.Struct, frozen=True):
    """Links that were given to blobs of an entry, and when (ms).

    A restore uses the entry; a save that shares its packs does not.
    """

    entry_id: int
    blobs: tuple[EntryBlob, ...]
    at: int
    is_use: bool = True


class Entries:
    """What is saved."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def find(
        self,
        repository: str,
        versions: Sequence[str],
        steps: Sequence[Step],
        *,
        every_blob: bool = False,
        whole: Container[str] = (),
    ) -> Answer | None:
        """Return the entry that answers the first of `steps` that any entry answers.

        It has one of `versions`; each step prefers them in this order. `whole` are the blobs whose
        parts are not asked for.
        """

        def work(connection: Connection) -> Answer | None:
            repository_id = self._repositories.id_of(connection, repository)
            if repository_id is None:
                return None
            row = find_row(connection, repository_id, steps, versions)
            if row is None:
                return None
            *columns, is_snapshot, blob_id, blob, blob_bytes = row
            entry = Entry(*[*columns, bool(is_snapshot)])
            first = EntryBlob(blob, blob_bytes)
            parts = {} if blob in whole else {blob: first_parts(connection, blob_id)}
            if not (every_blob and entry.is_snapshot):
                return Answer(entry, (first,), parts)
            packs = packs_of(connection, entry.id)
            if not all(pack.name in whole for pack in packs):
                parts |= pack_parts(connection, entry.id)
            return Answer(entry, (first, *packs), parts)

        # The packs must be those of the entry: one state.
        run = self._connections.read if every_blob else self._connections.look_up
        return await run(work)

    async def get(self, entry_id: int) -> Entry | None:
        """Return an entry by its id."""
        statement = entries_with_blob().where(ENTRIES.c.id == entry_id)
        row = await self._connections.read(lambda c: c.execute(statement).one_or_none())
        return None if row is None else entry_of(row)

    async def contents(self, entry_id: int) -> Contents | None:
        """Return an entry by its id, with its blobs; `None` also while its bytes are suspect."""
        return await self._connections.read(lambda c: contents_of(c, entry_id))

    async def blob_uses(self, entry_id: int) -> Sequence[BlobUse]:
        """Return the blobs of an entry, and how many entries have each; none if it is not there."""
        return await self._connections.read(lambda c: _blob_uses(c, [entry_id]).get(entry_id, ()))

    async def count(self) -> int:
        """Return how many there are."""
        counted = select(func.count()).select_from(ENTRIES)
        return await self._connections.read(lambda c: c.scalars(counted).one())

    async def saved_as(self, repository: str, scope: str, key: str, version: str) -> Entry | None:
        """Return the entry that is saved under exactly this."""
        statement = entries_with_blob().where(
            REPOSITORIES.c.name == repository,
            ENTRIES.c.scope == scope,
            ENTRIES.c.version == version,
            ENTRIES.c.key == key,
        )
        row = await self._connections.read(lambda c: c.execute(statement).one_or_none())
        return None if row is None else entry_of(row)

    async def newest(
        self, repository: str, scopes: Sequence[str], prefix: str, *, limit: int
    ) -> list[Entry]:
        """Return the newest entries of `scopes` whose key begins with `prefix`, of any version."""
        end = prefix_end(prefix)
        statement = (
            entries_with_blob()
            .where(
                REPOSITORIES.c.name == repository,
                ENTRIES.c.scope.in_(scopes),
                ENTRIES.c.key >= prefix,
                *(() if end is None else (ENTRIES.c.key < end,)),
            )
            .order_by(ENTRIES.c.created_at.desc(), ENTRIES.c.id.desc())
            .limit(limit)
        )
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [entry_of(row) for row in rows]

    async def touch(self, accesses: Sequence[Access], *, link_ms: int) -> None:
        """Record when entries were last looked up; a time never moves back.

        An entry that was forgotten in between has given links all the same: its bytes are kept for
        them.
        """
        used = {access.entry_id: access.at for access in accesses if access.is_use}
        kept = (
            update(BLOBS)
            .where(
                BLOBS.c.name == bindparam("blob"),
                func.coalesce(BLOBS.c.kept_until, 0) < bindparam("until"),
            )
            .values(kept_until=bindparam("until"))
        )

        def work(connection: Connection) -> None:
            raise_numbers(connection, ENTRIES.c.last_accessed_at, list(used.items()))
            # Those that are there still keep their blobs by the time of their last access.
            alive = _alive(connection, list(used))
            links = [
                {"blob": blob.name, "until": access.at + link_ms + GRACE_MS}
                for access in accesses
                if not (access.is_use and access.entry_id in alive)
                for blob in access.blobs
            ]
            if links:
                connection.execute(kept, links)

        await self._connections.write(work)

    async def least_recently_used(
        self,
        repository: str | None,
        *,
        accessed_from: int | None = None,
        accessed_before: int | None = None,
        larger_than: int | None = None,
        at_most: int | None = None,
        behind: EntryUse | None = None,
        limit: int = BATCH,
    ) -> list[EntryUse]:
        """Return the entries, of one repository or of all, that were not used for longest.

        The times bound their last access, the sizes (bytes) their whole size. There are at most
        `limit`, and fewer if they have many blobs; a plan that is not applied as it grows goes on
        `behind` the last one.
        """
        chosen = select(ENTRIES.c.id, ENTRIES.c.size_bytes, ENTRIES.c.last_accessed_at, _BLOB_COUNT)
        if repository is not None:
            owner = select(REPOSITORIES.c.id).where(REPOSITORIES.c.name == repository)
            chosen = chosen.where(ENTRIES.c.repository_id == owner.scalar_subquery())
        if accessed_from is not None:
            chosen = chosen.where(ENTRIES.c.last_accessed_at >= accessed_from)
        if accessed_before is not None:
            chosen = chosen.where(ENTRIES.c.last_accessed_at < accessed_before)
        if larger_than is not None:
            chosen = chosen.where(ENTRIES.c.size_bytes > larger_than)
        if at_most is not None:
            chosen = chosen.where(ENTRIES.c.size_bytes <= at_most)
        if behind is not None:
            place = tuple_(ENTRIES.c.last_accessed_at, ENTRIES.c.id)
            chosen = chosen.where(place > tuple_(behind.last_accessed_at, behind.entry_id))
        chosen = chosen.order_by(ENTRIES.c.last_accessed_at, ENTRIES.c.id).limit(limit)

        def work(connection: Connection) -> list[EntryUse]:
            found = connection.execute(chosen).all()
            rows = next(_in_bounds(found), [])
            uses = _blob_uses(connection, [row.id for row in rows])
            return [
                EntryUse(row.id, row.size_bytes, row.last_accessed_at, uses.get(row.id, ()))
                for row in rows
            ]

        return await self._connections.read_long(work)

    async def forget(
        self,
        entry_ids: Iterable[int],
        removal: Removal = DELETED,
        *,
        now_ms: int,
        link_ms: int,
    ) -> int:
        """Drop entries, and doom the blobs that nothing refers to any more; return how many.

        A doomed blob is kept for `link_ms` after the last access, since a link may have been given
        then. `removal` says why, for the records.
        """

        def work(ids: Sequence[int], connection: Connection) -> int:
            return drop_entries(connection, ids, removal, now_ms=now_ms, link_ms=link_ms)

        return sum(await self._in_batches(list(entry_ids), work))

    async def delete(
        self,
        repository: str,
        entry_ids: Sequence[int],
        removal: Removal,
        *,
        now_ms: int,
        link_ms: int,
    ) -> list[Entry]:
        """Forget entries of one repository; return those that were there."""

        def work(ids: Sequence[int], connection: Connection) -> list[Entry]:
            mine = entries_with_blob().where(
                ENTRIES.c.id.in_(ids), REPOSITORIES.c.name == repository
            )
            deleted = [entry_of(row) for row in connection.execute(mine)]
            mine_ids = [entry.id for entry in deleted]
            drop_entries(connection, mine_ids, removal, now_ms=now_ms, link_ms=link_ms)
            return deleted

        return list(chain.from_iterable(await self._in_batches(entry_ids, work)))

    async def _in_batches(
        self, entry_ids: Sequence[int], work: Callable[[Sequence[int], Connection], T]
    ) -> list[T]:
        """Do `work` to entries in transactions of a bounded size."""
        done: list[T] = []
        for start in range(0, len(entry_ids), BATCH):
            at_most = entry_ids[start : start + BATCH]
            rows = await self._connections.read(partial(_blob_counts, at_most))
            for batch in _in_bounds(rows):
                ids = [row.id for row in batch]
                done.append(await self._connections.write(partial(work, ids)))
        return done

    async def forget_holders(self, blob: str, *, now_ms: int) -> int:
        """Drop all entries that refer to a damaged blob; return how many there were.

        Uploads hold it no longer either, so that it cannot come back with one.
        """
        same = select(BLOBS.c.id).where(BLOBS.c.name == blob).scalar_subquery()

        def release(connection: Connection) -> list[int]:
            connection.execute(delete(HOLDS).where(HOLDS.c.blob_id == same))
            return list(
                connection.scalars(
                    select(ENTRY_BLOBS.c.entry_id).where(ENTRY_BLOBS.c.blob_id == same)
                )
            )

        dropped = 0
        # Another one may be committed in between.
        while holders := await self._connections.write(release):
            dropped += await self.forget(holders, DAMAGED, now_ms=now_ms, link_ms=0)
        return dropped

    async def suspect_all_unproven(self, *, now_ms: int) -> int:
        """After an unclean stop: hide entries whose bytes may be torn, drop those without a digest.

        Returns how many were dropped.
        """
        unproven = (
            select(ENTRY_BLOBS.c.entry_id)
            .join(BLOBS, BLOBS.c.id == ENTRY_BLOBS.c.blob_id)
            .where(BLOBS.c.durable_at.is_(None))
        )

        def work(connection: Connection) -> int:
            connection.execute(
                update(ENTRIES).where(ENTRIES.c.id.in_(unproven)).values(is_suspect=True)
            )
            lost = list(connection.scalars(unproven.where(BLOBS.c.sha256.is_(None)).distinct()))
            for start in range(0, len(lost), BATCH):
                batch = lost[start : start + BATCH]
                drop_entries(connection, batch, DAMAGED, now_ms=now_ms, link_ms=0)
            # Nobody verifies these any more. Without a size no link leads to them.
            gone = BLOBS.c.durable_at.is_(None) & BLOBS.c.doomed_at.is_not(None)
            connection.execute(update(BLOBS).where(gone).values(size_bytes=None))
            return len(lost)

        return await self._connections.write(work)


def contents_of(connection: Connection, entry_id: int) -> Contents | None:
    """Return an entry with its blobs within a transaction; `None` also while it is suspect."""
    row = connection.execute(
        entries_with_blob().where(ENTRIES.c.id == entry_id, ENTRIES.c.is_suspect.is_(False))
    ).one_or_none()
    if row is None:
        return None
    first = EntryBlob(row.blob, row.blob_bytes)
    return Contents(entry_of(row), (first, *packs_of(connection, entry_id)))


def entry_of(row: Row[Any]) -> Entry:
    """Return the entry in a row of `entries_with_blob`."""
    return Entry(
        row.id,
        row.repository,
        row.scope,
        row.key,
        row.version,
        row.size_bytes,
        row.created_at,
        row.last_accessed_at,
        row.is_snapshot,
    )


def _blob_uses(connection: Connection, entry_ids: Sequence[int]) -> dict[int, tuple[BlobUse, ...]]:
    other = ENTRY_BLOBS.alias("other")
    references = (
        select(func.count())
        .select_from(other)
        .where(other.c.blob_id == ENTRY_BLOBS.c.blob_id)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(ENTRY_BLOBS.c.entry_id, BLOBS.c.id, BLOBS.c.size_bytes, references)
        .join(BLOBS, BLOBS.c.id == ENTRY_BLOBS.c.blob_id)
        .where(ENTRY_BLOBS.c.entry_id.in_(entry_ids))
    )
    uses: dict[int, tuple[BlobUse, ...]] = {}
    for entry_id, *use in rows:
        uses[entry_id] = (*uses.get(entry_id, ()), BlobUse(*use))
    return uses


def _alive(connection: Connection, entry_ids: Sequence[int]) -> set[int]:
    alive: set[int] = set()
    for start in range(0, len(entry_ids), BATCH):
        batch = entry_ids[start : start + BATCH]
        alive.update(connection.scalars(select(ENTRIES.c.id).where(ENTRIES.c.id.in_(batch))))
    return alive


_BLOB_COUNT: Final = (
    select(func.count())
    .where(ENTRY_BLOBS.c.entry_id == ENTRIES.c.id)
    .scalar_subquery()
    .label("blob_count")
)


def _blob_counts(entry_ids: Sequence[int], connection: Connection) -> Sequence[Any]:
    chosen = select(ENTRIES.c.id, _BLOB_COUNT).where(ENTRIES.c.id.in_(entry_ids))
    return connection.execute(chosen).all()


def _in_bounds(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield rows with a `blob_count` in batches of at most `BLOBS_AT_ONCE`, or of one row."""
    batch: list[Row[Any]] = []
    count = 0
    for row in rows:
        count += row.blob_count
        if batch and count > BLOBS_AT_ONCE:
            yield batch
            batch, count = [], row.blob_count
        batch.append(row)
    if batch:
        yield batch
