"""What is known of a single entry, and the files in it: for people who wonder what it is."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from stat import S_IMODE, S_ISDIR, S_ISLNK
from typing import Final

from runcache.access import repository_name
from runcache.catalog.catalog import Catalog
from runcache.details import EntryDetails, FileKind, FilePage, Shares, StoredFile
from runcache.errors import BrokenEntry, EntryMissing, FilesUnlistable, InvalidCursor
from runcache.model import EntryBlob, Span
from runcache.records import EventKind
from runcache.service.records import Records
from runcache.snapshot.limits import MIB, Limits
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.scan import shown
from runcache.store.blobs import ArrivingBytes, BlobStore, FileBytes, Piece

MAX_FILES: Final = 10_000
"""How many files a page has at most."""

RESTORES: Final = 20
"""How many restores the details name."""

# What one look may cost: a second of one thread, and 160 MB for as long as it takes.
LIMITS: Final = Limits(manifest_bytes=48 * MIB, records=250_000, references=1_000_000)
# A page of the longest paths must not exceed what clients take for a message.
_PAGE_LENGTH: Final = 1024 * 1024
_MAX_CURSOR_LENGTH: Final = 9
_MAGIC: Final = "*?["


class EntryContents:
    """Looks into entries of a repository; whoever calls has made sure that its caller may.

    One manifest is read at a time, in a thread. All methods may raise `InvalidRepository`,
    `CatalogUnavailable` and `StoreUnavailable`.
    """

    def __init__(self, catalog: Catalog, store: BlobStore, records: Records) -> None:
        self._catalog = catalog
        self._store = store
        self._records = records
        self._turn = asyncio.Semaphore()

    async def details(self, repository: str, entry_id: int) -> EntryDetails | None:
        """Return what is known of an entry, or `None` if there is none with this id."""
        entry = await self._catalog.entries.get(entry_id)
        if entry is None or entry.repository != repository_name(repository):
            return None
        restores = await self._records.events(
            [entry.repository], kinds={EventKind.RESTORED}, entry_id=entry_id, limit=RESTORES
        )
        uses = await self._catalog.entries.blob_uses(entry_id)
        own_bytes = sum(use.size_bytes for use in uses if use.references == 1)
        return EntryDetails(
            entry,
            Shares(len(uses), own_bytes, sum(use.size_bytes for use in uses) - own_bytes),
            await self._records.origin(entry_id),
            tuple(event.at for event in restores),
        )

    async def files(
        self,
        repository: str,
        entry_id: int,
        *,
        search: str = "",
        after: str | None = None,
        limit: int = MAX_FILES,
    ) -> FilePage | None:
        """Return files of a snapshot in order, or `None` for an archive, which only clients read.

        Paths begin with the path that was saved, where that was recorded, and else with its number.
        `search` is a part of the paths in any case; `after` is `FilePage.next` of the page before.
        There are at most `limit`, and fewer where paths are long.

        Raises:
            EntryMissing: there is no such entry.
            InvalidCursor: `after` is of no page.
            FilesUnlistable: the manifest is damaged, or too large to be read here.
        """
        start = _start_of(after)
        contents = await self._catalog.entries.contents(entry_id)
        if contents is None or contents.entry.repository != repository_name(repository):
            raise EntryMissing
        if not contents.entry.is_snapshot:
            return None
        origin = await self._records.origin(entry_id)
        wanted = _Wanted(search.lower(), start, min(max(limit, 1), MAX_FILES))
        async with self._turn:
            data = await self._manifest(contents.blobs[0])
            return await asyncio.to_thread(_page, data, (origin and origin.paths) or (), wanted)

    async def _manifest(self, blob: EntryBlob) -> bytes:
        if blob.size_bytes > LIMITS.manifest_bytes:
            raise FilesUnlistable(f"its manifest has {blob.size_bytes} bytes")
        data = bytearray()
        # Not by the service: to it whoever reads a blob from its beginning restores an entry.
        async for parts in self._catalog.blobs.parts(blob.name, Span(0, blob.size_bytes)):
            for part in parts:
                pieces = self._store.read(blob.name, part, 0, part.size_bytes)
                async with aclosing(pieces):
                    async for piece in pieces:
                        data += await asyncio.to_thread(_bytes_of, piece)
        return bytes(data)


def _bytes_of(piece: Piece) -> bytes | memoryview:
    if isinstance(piece, ArrivingBytes):
        return piece.take()
    if not isinstance(piece, FileBytes):
        return piece
    piece.file.seek(piece.offset)
    return piece.file.read(piece.count)


@dataclass(frozen=True, slots=True)
class _Wanted:
    search: str
    start: int
    limit: int


def _page(data: bytes, paths: Sequence[str], wanted: _Wanted) -> FilePage:
    """Return the page that is wanted of the files in a manifest, which may come from anybody."""
    try:
        manifest = Manifest.decode(data, LIMITS)
    except BrokenEntry as exc:
        raise FilesUnlistable(str(exc)) from exc
    files: list[StoredFile] = []
    next_start = None
    total_count = length = 0
    for number, path in enumerate(_paths_in(manifest, paths)):
        if wanted.search not in path.lower():
            continue
        total_count += 1
        if number < wanted.start or next_start is not None:
            continue
        length += len(path)
        if len(files) == wanted.limit or (files and length > _PAGE_LENGTH):
            next_start = number
            continue
        files.append(_file(manifest, number, path))
    return FilePage(tuple(files), total_count, None if next_start is None else str(next_start))


def _paths_in(manifest: Manifest, paths: Sequence[str]) -> Iterator[str]:
    tops = _tops(paths, len(manifest.root_starts) - 1)
    for root, records in manifest.roots():
        top = tops[root]
        for record in records:
            name = shown(manifest.names[record])
            yield f"{top}/{name}" if top and name else top or name or "."


def _tops(paths: Sequence[str], root_count: int) -> list[str]:
    """Return what the paths of the files of each root begin with."""
    named = [_without_patterns(path) for path in paths if not path.startswith("!")]
    if len(named) == root_count:
        return named
    # Paths that lie in another have no root of their own: which is which, nobody knows.
    return [""] if root_count == 1 else [f"[{number + 1}]" for number in range(root_count)]


def _without_patterns(path: str) -> str:
    """Return the part of a pattern where its search begins, without a final slash."""
    parts = path.rstrip("/").split("/")
    plain = next(
        (n for n, part in enumerate(parts) if any(char in part for char in _MAGIC)), len(parts)
    )
    return "/".join(parts[:plain])


def _file(manifest: Manifest, number: int, path: str) -> StoredFile:
    mode = manifest.modes[number]
    target = manifest.targets.get(number)
    kind: FileKind = "folder" if S_ISDIR(mode) else "link" if S_ISLNK(mode) else "file"
    return StoredFile(
        path,
        kind,
        manifest.sizes[number],
        S_IMODE(mode),
        None if target is None else shown(target),
    )


def _start_of(after: str | None) -> int:
    if after is None:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) <= _MAX_CURSOR_LENGTH):
        raise InvalidCursor
    return int(after)
