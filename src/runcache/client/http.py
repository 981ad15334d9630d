"""A server over HTTP: the native protocol where it is spoken, else GitHub's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Final, Protocol, TypeVar

from runcache.client.address import Address, Dialect
from runcache.client.connections import Connections
from runcache.client.native import NativeServer
from runcache.client.proxies import Proxies
from runcache.client.ranges import LinkedBlob, Links
from runcache.client.transfer import Patience, Requests
from runcache.client.transports import (
    ArchiveUpload,
    Auto,
    Committed,
    FoundArchive,
    FoundEntry,
    SnapshotUpload,
)
from runcache.errors import BlobMissing, ProtocolAbsent, SnapshotsUnsupported
from runcache.model import Inputs, MatchKind
from runcache.wire.native import ARCHIVE

T = TypeVar("T")

_ORDER: Final = (MatchKind.EXACT, MatchKind.PREFIX, MatchKind.RESTORE_KEY)


class _ArchiveServer(Protocol):
    def find(self, key: str, restore_keys: Iterable[str], version: str) -> FoundArchive | None: ...

    def reserve(self, key: str, version: str) -> ArchiveUpload: ...


def open_http(address: Address, proxies: Proxies) -> "HttpTransport":
    """Return the transport to a server, which connects when it is first used."""
    is_closed = Event()
    # Closing ends the pauses, too.
    requests = Requests(Connections(proxies), Patience(pause=is_closed.wait))
    return HttpTransport(requests, address, on_close=is_closed.set)


class HttpTransport:
    """A server over HTTP (`transports.Transport` is the contract)."""

    def __init__(
        self,
        requests: Requests,
        address: Address,
        *,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_close = on_close
        self._requests = requests
        self._address = address
        self._native = NativeServer(requests, address.origin, address.token)
        self._is_native = True  # as far as is known
        self._dialects = list(address.dialects)

    @property
    def place(self) -> str:
        """See `Transport.place`."""
        return self._address.origin

    @property
    def scope(self) -> str | None:
        """See `Transport.scope`."""
        return self._address.scope

    def find(
        self,
        key: str,
        restore_keys: Iterable[str],
        *,
        snapshot: str,
        archives: Sequence[str],
    ) -> FoundEntry | None:
        """See `Transport.find`."""
        keys = tuple(restore_keys)
        if self._is_native:
            try:
                return self._native.find(key, keys, (snapshot, *archives))
            except ProtocolAbsent:
                self._is_native = False
        founds: list[FoundEntry] = []
        for version in archives:
            found = self._found(key, keys, version)
            if found is not None and found.kind is MatchKind.EXACT:
                return found
            founds += [found] if found else []
        return min(founds, key=lambda found: _ORDER.index(found.kind), default=None)

    def peek(self, key: str, version: str) -> int | None:
        """See `Transport.peek`."""
        with self._snapshots():
            return self._native.peek(key, version)

    def reserve_snapshot(
        self,
        key: str,
        version: str,
        bases: Auto | Sequence[int],
        inputs: Inputs | None = None,
    ) -> SnapshotUpload:
        """See `Transport.reserve_snapshot`."""
        with self._snapshots():
            return self._native.reserve_snapshot(key, version, bases, inputs)

    def put_pack(
        self, upload: SnapshotUpload, number: int, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """See `Transport.put_pack`."""
        self._native.put_pack(upload, number, body, blake3=blake3, sha256=sha256)

    def put_manifest(
        self, upload: SnapshotUpload, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """See `Transport.put_manifest`."""
        self._native.put_manifest(upload, body, blake3=blake3, sha256=sha256)

    def commit(self, upload: SnapshotUpload, packs: Sequence[str]) -> Committed:
        """See `Transport.commit`."""
        return self._native.commit(upload, packs)

    def abandon(self, upload: SnapshotUpload) -> None:
        """See `Transport.abandon`."""
        self._native.abandon(upload)

    def reserve_archive(
        self,
        key: str,
        version: str,
        inputs: Inputs | None = None,  # noqa: ARG002  -- GitHub's protocols have no word for them
    ) -> ArchiveUpload:
        """See `Transport.reserve_archive`."""
        return self._asked(lambda server: server.reserve(key, version))

    def report_damage(self, entry: FoundEntry, reason: str) -> None:
        """See `Transport.report_damage`. GitHub's protocols have no word for it."""
        if entry.entry_id is not None:
            self._native.report_damage(entry.entry_id, reason)

    def close(self) -> None:
        """See `Transport.close`."""
        self._on_close()
        self._requests.close()

    @contextmanager
    def _snapshots(self) -> Iterator[None]:
        if not self._is_native:
            raise SnapshotsUnsupported
        try:
            yield
        except ProtocolAbsent as exc:
            self._is_native = False
            raise SnapshotsUnsupported from exc

    def _found(self, key: str, restore_keys: Sequence[str], version: str) -> FoundEntry | None:
        def asked() -> FoundArchive | None:
            return self._asked(lambda server: server.find(key, restore_keys, version))

        found = asked()
        if found is None:
            return None
        matched_key = found.key

        def renewed() -> dict[str, str]:
            again = asked()
            if again is None or again.key != matched_key:
                raise BlobMissing(ARCHIVE)
            return {ARCHIVE: again.url}

        links = Links({ARCHIVE: found.url}, renewed)
        return FoundEntry(
            key=found.key,
            version=version,
            kind=_kind(key, found.key),
            scope=found.scope,
            entry_id=None,
            size_bytes=None,
            blobs=(LinkedBlob(self._requests, links, ARCHIVE, size_bytes=None),),
        )

    def _asked(self, act: Callable[[_ArchiveServer], T]) -> T:
        """Return what `act` does with the first of GitHub's protocols that the server speaks."""
        while True:
            try:
                return act(self._archive_server())
            except ProtocolAbsent:
                if len(self._dialects) == 1:
                    raise
                del self._dialects[0]

    def _archive_server(self) -> _ArchiveServer:
        dialect, base = self._dialects[0]
        if dialect is Dialect.ARTIFACTCACHE:
            from runcache.client.artifactcache import ArtifactCacheServer  # noqa: PLC0415  -- rare

            return ArtifactCacheServer(self._requests, base, self._address.token)
        from runcache.client.twirp import TwirpServer  # noqa: PLC0415  -- protobuf takes 40 ms

        return TwirpServer(self._requests, base, self._address.token)


def _kind(key: str, matched_key: str) -> MatchKind:
    if matched_key == key:
        return MatchKind.EXACT
    return MatchKind.PREFIX if matched_key.startswith(key) else MatchKind.RESTORE_KEY
