"""The seam between the client and whatever keeps its entries: a server over HTTP, or this process.

A transport acts for one job. Its methods wait, may be called from several threads at once, and
repeat by themselves what may work when it is repeated. Each may raise

* `ServerUnreachable`, `ServerFailed`: nobody answered, or nobody able to, as often as it was tried;
* `NotAuthenticated`, `NotPermitted`: the token does not count, or does not allow this;
* `UnexpectedAnswer`: what answered is no cache.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, Self

import msgspec

from runcache.model import Inputs, MatchKind

Auto = Literal["auto"]


class Reader(Protocol):
    """Bytes that arrive in order. It is to be closed, and is used by one thread at a time."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; return how many bytes came, 0 at the end only.

        Raises:
            BlobMissing: the blob was evicted.
            BrokenEntry: the blob is not as long as it must be, or changed while it was read.
        """
        ...

    def close(self) -> None:
        """Let go of what the rest would come from; a second time does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class RemoteBlob(Protocol):
    """A blob of an entry that was found: `archive`, `manifest`, or the name of a pack."""

    @property
    def name(self) -> str:
        """What the blob is called within its entry."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """How long it is, `None` where that is not known before it is read."""
        ...

    def read(self, start: int, end: int) -> Reader:
        """Return the bytes `start` to `end`, which is not included, over one connection."""
        ...

    def stream(self) -> Reader:
        """Return the whole blob, fetched ahead in parallel ranges where the other side can."""
        ...


class FoundEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The entry that answers a lookup.

    `scope`, `entry_id` and `size_bytes` are `None` where the protocol does not tell. A snapshot's
    first blob is its manifest, the others are its packs; an archive has one blob.
    """

    key: str
    version: str
    kind: MatchKind
    scope: str | None
    entry_id: int | None
    size_bytes: int | None
    blobs: tuple[RemoteBlob, ...]


class FoundArchive(msgspec.Struct, frozen=True):
    """What GitHub's protocols tell of an archive that answers a lookup: `url` is its link."""

    key: str
    url: str
    scope: str | None = None


class Base(msgspec.Struct, frozen=True):
    """A readable snapshot whose packs an upload may name. They are kept until the upload ends."""

    entry_id: int
    blobs: tuple[RemoteBlob, ...]


class SnapshotUpload(msgspec.Struct, frozen=True):
    """A key that is reserved for a snapshot. Its packs are named `<id>-<number>`.

    `is_direct` says that whoever keeps it hands out links to put them into the store.
    """

    id: int
    bases: tuple[Base, ...]
    is_direct: bool = False


class Committed(msgspec.Struct, frozen=True):
    """An entry that is saved. `size_bytes` is the whole of it, shared packs included."""

    entry_id: int
    size_bytes: int


class ArchiveUpload(Protocol):
    """A key that is reserved for an archive, which comes in blocks."""

    def put(self, number: int, offset: int, block: memoryview) -> None:
        """Send the block `number`, counted from 0 and beginning at byte `offset` of the archive.

        Any order, several at once; the same block again replaces it.
        """

    def commit(self, size_bytes: int, block_count: int) -> Committed:
        """Make the blocks an entry. Again, it answers the same.

        Raises:
            EntryExists: another job was first.
        """
        ...


class Transport(Protocol):
    """What a job can do with the entries of its repository."""

    @property
    def place(self) -> str:
        """Who keeps the entries: the same text means the same ids of entries."""
        ...

    @property
    def scope(self) -> str | None:
        """What the job saves to, `None` where that is not known."""
        ...

    def find(
        self,
        key: str,
        restore_keys: Iterable[str],
        *,
        snapshot: str,
        archives: Sequence[str],
    ) -> FoundEntry | None:
        """Return the entry that a restore would use.

        `snapshot` and `archives` are versions: of what answers a step of the lookup equally well, a
        snapshot goes first, then archives in this order.
        """
        ...

    def peek(self, key: str, version: str) -> int | None:
        """Return the id of the entry that a restore would use, without any trace of it."""
        ...

    def reserve_snapshot(
        self,
        key: str,
        version: str,
        bases: Auto | Sequence[int],
        inputs: Inputs | None = None,
    ) -> SnapshotUpload:
        """Reserve a key; `bases` are ids of entries, `auto` the newest snapshot of the version.

        `inputs` are what the version was made of, for the records.

        Raises:
            EntryExists: the key is saved already, or another job is about to save it.
            SnapshotsUnsupported: the server keeps only archives.
            StoreFull, Draining: no uploads are taken now.
        """
        ...

    def put_pack(
        self, upload: SnapshotUpload, number: int, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """Send a pack; the same number again replaces it."""

    def put_manifest(
        self, upload: SnapshotUpload, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """Send the manifest; another one replaces it."""

    def commit(self, upload: SnapshotUpload, packs: Sequence[str]) -> Committed:
        """Make manifest and packs an entry. Again, it answers the same.

        Raises:
            PackGone: a pack was not sent, or its entry was evicted and is no base of the upload.
            EntryExists: another job was first.
        """
        ...

    def abandon(self, upload: SnapshotUpload) -> None:
        """Give the key back. What is committed already stays."""

    def reserve_archive(
        self, key: str, version: str, inputs: Inputs | None = None
    ) -> ArchiveUpload:
        """Reserve a key; `inputs` are those of `reserve_snapshot`.

        Raises:
            EntryExists: the key is saved already, or another job is about to save it.
        """
        ...

    def report_damage(self, entry: FoundEntry, reason: str) -> None:
        """Tell whoever keeps the entry that it cannot be restored."""

    def close(self) -> None:
        """Let go of connections and threads; nothing else may be called after it."""
