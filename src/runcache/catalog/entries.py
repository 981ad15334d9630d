"""Statements about entries: finding, listing, forgetting."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, select, update

from runcache.catalog.blobs import first_parts
from runcache.catalog.connections import Connections
from runcache.catalog.lookup import entries_with_blob, find_statement, prefix_end
from runcache.catalog.repositories import Repositories
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, REPOSITORIES
from runcache.matching import Step
from runcache.model import Entry, Part
from runcache.retention import BlobUse, EntryUse

# How much longer than its links a blob is kept, whoever forgets its entries: an access is written
# down within a second, and a download that began in the last moment says so within a minute.
GRACE_MS: Final = 120_000
# How many rows one transaction changes at the most, so that others get their turn.
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry and the blob that its bytes, or its manifest, are in."""

    entry: Entry
    blob: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The entry that answers a lookup, and its first blob.

    `parts` are the first ones of that blob, to be looked for in the store; none if it is known to
    be whole.
    """

    entry: Entry
    blob: str
    blob_bytes: int
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Access:
    """A lookup that found an entry: which, the blob that it gave a link to, and when (ms)."""

    entry_id: int
    blob: str
    at: int


class Entries:
    """What is saved."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def find(
        self, repository: str, version: str, steps: Sequence[Step], *, whole: Container[str] = ()
    ) -> Answer | None:
        """Return the entry that answers the first of `steps` that any entry answers.

        `whole` are the blobs whose parts are not asked for.
        """

        def work(connection: Connection) -> Answer | None:
            repository_id = self._repositories.id_of(connection, repository)
            if repository_id is None:
                return None
            # A walk of a new shape takes 90 ms to put together: not in the loop.
            statement, parameters = find_statement(steps)
            values = {**parameters, "repository": repository_id, "version": version}
            rows = statement.rows(connection, values)
            if not rows:
                return None
            *entry, blob_id, blob, blob_bytes = rows[0]
            parts = () if blob in whole else first_parts(connection, blob_id)
            return Answer(Entry(*entry), blob, blob_bytes, parts)

        return await self._connections.read(work)

    async def get(self, entry_id: int) -> FoundEntry | None:
        """Return an entry by its id."""
        statement = entries_with_blob().where(ENTRIES.c.id == entry_id)
        row = await self._connections.read(lambda c: c.execute(statement).one_or_none())
        return None if row is None else FoundEntry(entry_of(row), row.blob)

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

    async def after(self, entry_id: int, *, limit: int) -> list[FoundEntry]:
        """Return the next entries of all repositories in order of their ids, to walk over all."""
        statement = (
            entries_with_blob().where(ENTRIES.c.id > entry_id).order_by(ENTRIES.c.id).limit(limit)
        )
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [FoundEntry(entry_of(row), row.blob) for row in rows]

    async def touch(self, accesses: Sequence[Access], *, link_ms: int) -> None:
        """Record when entries were last looked up; a time never moves back.

        An entry that was forgotten in between has given a link all the same: its bytes are kept for
        it.
        """
        moved = (
            update(ENTRIES)
            .where(
                ENTRIES.c.id == bindparam("entry"),
                ENTRIES.c.last_accessed_at < bindparam("at"),
            )
            .values(last_accessed_at=bindparam("at"))
        )
        kept = (
            update(BLOBS)
            .where(
                BLOBS.c.name == bindparam("blob"),
                BLOBS.c.doomed_at.is_not(None),
                BLOBS.c.kept_until < bindparam("until"),
            )
            .values(kept_until=bindparam("until"))
        )
        times = [{"entry": access.entry_id, "at": access.at} for access in accesses]
        links = [
            {"blob": access.blob, "until": access.at + link_ms + GRACE_MS} for access in accesses
        ]

        def work(connection: Connection) -> None:
            connection.execute(moved, times)
            connection.execute(kept, links)

        await self._connections.write(work)

    async def least_recently_used(
        self,
        repository: str | None,
        *,
        oversized_bytes: int | None = None,
        accessed_before: int | None = None,
        skip: int = 0,
        limit: int = BATCH,
    ) -> list[EntryUse]:
        """Return the entries, of one repository or of all, that retention looks at first.

        Those larger than `oversized_bytes` come before the others, each part least recently used
        first. A plan that is not applied as it grows must `skip` what it has read.
        """
        chosen = select(ENTRIES.c.id, ENTRIES.c.size_bytes, ENTRIES.c.last_accessed_at)
        if repository is not None:
            owner = select(REPOSITORIES.c.id).where(REPOSITORIES.c.name == repository)
            chosen = chosen.where(ENTRIES.c.repository_id == owner.scalar_subquery())
        if accessed_before is not None:
            chosen = chosen.where(ENTRIES.c.last_accessed_at < accessed_before)
        if oversized_bytes is not None:
            chosen = chosen.order_by(ENTRIES.c.size_bytes <= oversized_bytes)
        chosen = chosen.order_by(ENTRIES.c.last_accessed_at, ENTRIES.c.id).limit(limit).offset(skip)

        def work(connection: Connection) -> list[EntryUse]:
            rows = connection.execute(chosen).all()
            uses = _blob_uses(connection, [row.id for row in rows])
            return [
                EntryUse(row.id, row.size_bytes, row.last_accessed_at, uses.get(row.id, ()))
                for row in rows
            ]

        return await self._connections.read(work)

    async def forget(self, entry_ids: Iterable[int], *, now_ms: int, link_ms: int) -> int:
        """Drop entries, and doom the blobs that nothing holds any more; return how many there were.

        A doomed blob is kept for `link_ms` after the last access, since a link may have been given
        then.
        """
        ids = list(entry_ids)
        dropped = 0
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            dropped += await self._connections.write(
                lambda c, batch=batch: _forget(c, batch, now_ms=now_ms, link_ms=link_ms)  # type: ignore[misc]
            )
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
            lost = connection.execute(
                unproven.add_columns(BLOBS.c.id).where(BLOBS.c.sha256.is_(None))
            ).all()
            for start in range(0, len(lost), BATCH):
                batch = lost[start : start + BATCH]
                _forget(connection, [row.entry_id for row in batch], now_ms=now_ms, link_ms=0)
                # Without a size no link leads to a blob any more.
                torn = BLOBS.c.id.in_([row.id for row in batch])
                connection.execute(update(BLOBS).where(torn).values(size_bytes=None))
            return len(lost)

        return await self._connections.write(work)


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
    )


def insert_entry(connection: Connection, upload: Row[Any], *, size_bytes: int, now_ms: int) -> None:
    """Turn a row of `uploads` into the entry with the same id, and count it."""
    connection.execute(
        insert(ENTRIES).values(
            id=upload.id,
            repository_id=upload.repository_id,
            scope=upload.scope,
            key=upload.key,
            version=upload.version,
            size_bytes=size_bytes,
            created_at=now_ms,
            last_accessed_at=now_ms,
        )
    )
    connection.execute(
        insert(ENTRY_BLOBS).values(entry_id=upload.id, position=0, blob_id=upload.blob_id)
    )
    connection.execute(
        update(REPOSITORIES)
        .where(REPOSITORIES.c.id == upload.repository_id)
        .values(
            entry_count=REPOSITORIES.c.entry_count + 1,
            size_bytes=REPOSITORIES.c.size_bytes + size_bytes,
        )
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


def _forget(connection: Connection, ids: Sequence[int], *, now_ms: int, link_ms: int) -> int:
    held = connection.execute(
        select(
            ENTRIES.c.id, ENTRIES.c.repository_id, ENTRIES.c.last_accessed_at, ENTRY_BLOBS.c.blob_id
        )
        .join(ENTRY_BLOBS, ENTRY_BLOBS.c.entry_id == ENTRIES.c.id)
        .where(ENTRIES.c.id.in_(ids))
    ).all()
    connection.execute(delete(ENTRY_BLOBS).where(ENTRY_BLOBS.c.entry_id.in_(ids)))
    connection.execute(delete(ENTRIES).where(ENTRIES.c.id.in_(ids)))
    for row in held:
        _doom_if_unheld(
            connection,
            row.blob_id,
            now_ms=now_ms,
            kept_until=max(row.last_accessed_at + link_ms, now_ms) + GRACE_MS,
        )
    owners = {row.id: row.repository_id for row in held}
    for repository_id in owners.values():
        connection.execute(
            update(REPOSITORIES)
            .where(REPOSITORIES.c.id == repository_id)
            .values(entry_count=REPOSITORIES.c.entry_count - 1)
        )
    return len(owners)


def _doom_if_unheld(connection: Connection, blob_id: int, *, now_ms: int, kept_until: int) -> None:
    held = select(ENTRY_BLOBS.c.entry_id).where(ENTRY_BLOBS.c.blob_id == blob_id).exists()
    # A lease of a running transfer may already reach further.
    until = case((BLOBS.c.kept_until > kept_until, BLOBS.c.kept_until), else_=kept_until)
    doomed = connection.execute(
        update(BLOBS)
        .where(BLOBS.c.id == blob_id, BLOBS.c.doomed_at.is_(None), ~held)
        .values(doomed_at=now_ms, kept_until=until)
        .returning(BLOBS.c.repository_id, BLOBS.c.size_bytes)
    ).one_or_none()
    if doomed is not None:
        connection.execute(
            update(REPOSITORIES)
            .where(REPOSITORIES.c.id == doomed.repository_id)
            .values(size_bytes=REPOSITORIES.c.size_bytes - (doomed.size_bytes or 0))
        )
