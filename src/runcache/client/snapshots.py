"""Snapshots: the engine that makes and restores them, on one side, and a transport on the other."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from stat import S_ISDIR
from threading import Thread
from typing import Final

from blake3 import blake3

from runcache.client.client import Machine
from runcache.client.memory import Memory
from runcache.client.results import Fetched, RestoreRequest, SaveRequest, Sent
from runcache.client.secrets import Credentials, is_suspect
from runcache.client.selection import SnapshotPaths
from runcache.client.transports import (
    Auto,
    Base,
    FoundEntry,
    Reader,
    RemoteBlob,
    SnapshotUpload,
    Transport,
)
from runcache.errors import (
    BrokenEntry,
    CacheError,
    NothingToSave,
    PackGone,
    ServerUnreachable,
    UnsafeEntry,
)
from runcache.snapshot.ahead import ScanAhead
from runcache.snapshot.index import FileIndex
from runcache.snapshot.limits import Limits
from runcache.snapshot.manifest import Manifest, Stored
from runcache.snapshot.scan import Choice, Found, shown
from runcache.snapshot.sightings import Sightings

AUTO: Final = "auto"
NONE: Final = "none"
_READ_BYTES: Final = 1024 * 1024


class Snapshots:
    """Saves and restores snapshots, over a transport that can."""

    def __init__(self, transport: Transport, machine: Machine, warn: Callable[[str], None]) -> None:
        self._transport = transport
        self._machine = machine
        self._warn = warn
        self._memory = Memory(machine.memory / "bases", transport.place)
        self._index = FileIndex(machine.memory / "files")

    def save(self, request: SaveRequest) -> Sent:
        """Save a snapshot, of which one part is sent while the next one is made.

        Raises:
            EntryExists: the key is saved already.
            SnapshotsUnsupported: whoever keeps the entries keeps archives only.
            NothingToSave: there is nothing at the paths.
            SecretsFound: there are credentials among the files, and that is refused.
        """
        paths = self._paths(request.paths)
        if not any(os.path.lexists(root) for root in paths.roots):
            raise NothingToSave(request.paths)
        is_refused, may_fork = request.refuse_secrets, self._machine.may_fork
        with _Choosing(paths, self._index, is_refused=is_refused, may_fork=may_fork) as choosing:
            sent = self._sent(request, choosing)
        self._memory.note(request.version, self._machine.folder, sent.entry_id)
        return sent

    def _sent(self, request: SaveRequest, choosing: "_Choosing") -> Sent:
        _import_meanwhile("runcache.snapshot.save")
        upload = self._reserved(request)
        try:
            try:
                return self._saved(request, choosing, upload)
            except PackGone:
                # A base was evicted in the one moment in which nobody held it.
                self._transport.abandon(upload)
                upload = self._reserve(request, ())
                return self._saved(request, choosing, upload)
        except ServerUnreachable:
            raise  # Whom nobody reaches, nobody can give a key back.
        except BaseException:
            with suppress(CacheError):
                self._transport.abandon(upload)
            raise

    def restore(self, found: FoundEntry, request: RestoreRequest) -> Fetched:
        """Restore a snapshot, of which only what is missing is fetched.

        Raises:
            BrokenEntry, UnsafeEntry: it is not what it should be. What it wrote is gone again.
            PartlyRestored: something failed after files had been replaced.
            BlobMissing: it was evicted meanwhile.
        """
        paths = self._paths(request.paths)
        index, may_fork = None if request.verify else self._index, self._machine.may_fork
        with Sightings(paths.roots, index, may_fork=may_fork) as sightings:
            return self._restored(found, request, paths, sightings)

    def _restored(
        self,
        found: FoundEntry,
        request: RestoreRequest,
        paths: SnapshotPaths,
        sightings: Sightings,
    ) -> Fetched:
        importing = _import_meanwhile("runcache.snapshot.restore")
        data = _whole(found.blobs[0])
        # Each half of the engine takes a while to be imported, and a process needs only one.
        from runcache.snapshot.filling import Hands  # noqa: PLC0415  -- see above
        from runcache.snapshot.restore import restore  # noqa: PLC0415  -- see above

        importing.join()
        manifest = Manifest.decode(data)
        _check_records(manifest, paths)
        done = restore(
            manifest,
            paths.roots,
            source=_Source(found.blobs),
            index=self._index,
            sightings=sightings,
            exact=paths.choose if request.exact else None,
            progress=request.progress,
            hands=Hands(may_fork=self._machine.may_fork),
        )
        if found.entry_id is not None:
            self._memory.note(found.version, self._machine.folder, found.entry_id)
        return Fetched(len(data) + done.fetched_bytes, done.files_written, done.files_unchanged)

    def _paths(self, texts: Sequence[str]) -> SnapshotPaths:
        return SnapshotPaths(texts, folder=self._machine.folder, home=self._machine.home)

    def _reserved(self, request: SaveRequest) -> SnapshotUpload:
        bases = self._bases(request)
        upload = self._reserve(request, bases)
        if request.base == AUTO and bases != AUTO and not upload.bases:
            # What this machine remembers is gone. To reserve again voids the first upload.
            return self._reserve(request, AUTO)
        return upload

    def _reserve(self, request: SaveRequest, bases: Auto | Sequence[int]) -> SnapshotUpload:
        return self._transport.reserve_snapshot(request.key, request.version, bases, request.inputs)

    def _bases(self, request: SaveRequest) -> Auto | tuple[int, ...]:
        if request.base == NONE:
            return ()
        if request.base == AUTO:
            known = self._memory.entry(request.version, self._machine.folder)
            return AUTO if known is None else (known,)
        named = self._transport.peek(request.base, request.version)
        if named is None:
            self._warn(f"there is no snapshot `{request.base}` to be the base")
            return ()
        return (named,)

    def _saved(self, request: SaveRequest, choosing: "_Choosing", upload: SnapshotUpload) -> Sent:
        from runcache.snapshot.save import DEFAULT_LEVEL, save  # noqa: PLC0415  -- as in `restore`

        written = save(
            choosing.roots,
            sink=_Sink(self._transport, upload),
            scanning=choosing,
            bases=self._stored(upload.bases),
            index=self._index,
            level=DEFAULT_LEVEL if request.level is None else request.level,
            progress=request.progress,
        )
        for warning in written.warnings:
            self._warn(warning)
        if not choosing.has_taken:
            raise NothingToSave(request.paths)
        manifest = memoryview(written.manifest)
        self._transport.put_manifest(
            upload, manifest, blake3=blake3(manifest).digest(), sha256=sha256(manifest).digest()
        )
        committed = self._transport.commit(upload, written.packs)
        choosing.credentials.warn(self._warn)
        return Sent(committed.entry_id, committed.size_bytes, written.new_bytes, written.files)

    def _stored(self, bases: Sequence[Base]) -> list[Stored]:
        found = []
        for base in bases:
            try:
                found.append(Stored.decode(_whole(base.blobs[0])))
            except CacheError as exc:
                # It costs bytes, and nothing else.
                self._warn(f"the last snapshot cannot be shared with: {exc}")
        return found


class _Sink:
    """Where new packs go to (`snapshot.packs.PackSink` is the contract)."""

    def __init__(self, transport: Transport, upload: SnapshotUpload) -> None:
        self._transport = transport
        self._upload = upload

    def name(self, number: int) -> str:
        return f"{self._upload.id}-{number}"

    def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
        self._transport.put_pack(self._upload, number, body, blake3=blake3, sha256=sha256)


class _Source:
    """Where packs come from (`snapshot.packs.PackSource` is the contract)."""

    def __init__(self, blobs: Sequence[RemoteBlob]) -> None:
        self._blobs = {blob.name: blob for blob in blobs}

    def read(self, pack: str, start: int, end: int) -> Reader:
        blob = self._blobs.get(pack)
        if blob is None:
            raise BrokenEntry(f"the snapshot needs the pack `{pack}`, which is not part of it")
        return blob.read(start, end)


def _import_meanwhile(module: str) -> Thread:
    """Let a thread import a module while this one waits for the network."""
    thread = Thread(target=import_module, args=(module,), daemon=True)
    thread.start()
    return thread


def _whole(manifest: RemoteBlob) -> bytes:
    """Return a manifest.

    Raises:
        UnsafeEntry: it is longer than any.
    """
    size_bytes = manifest.size_bytes or 0
    if size_bytes > Limits().manifest_bytes:
        raise UnsafeEntry(f"the manifest has {size_bytes} bytes")
    data = memoryview(bytearray(size_bytes))
    filled_bytes = 0
    with manifest.read(0, size_bytes) as reader:
        while count := reader.readinto(data[filled_bytes:]):
            filled_bytes += count
    return bytes(data)


def _check_records(manifest: Manifest, paths: SnapshotPaths) -> None:
    """Refuse a snapshot of other files than the paths name: no save of these could hold them."""
    if len(manifest.root_starts) - 1 != len(paths.roots):
        raise UnsafeEntry("the snapshot is one of other paths")
    for root, records in manifest.roots():
        if paths.takes_all(root):
            continue
        for record in records:
            name = manifest.names[record]
            if paths.choose(root, name, S_ISDIR(manifest.modes[record])) is not Choice.TAKE:
                raise UnsafeEntry(f"the snapshot holds `{shown(name)}`, which no path names")


class _Choosing(ScanAhead):
    """A scan of what the paths choose, with a look at what may hold credentials."""

    def __init__(
        self, paths: SnapshotPaths, index: FileIndex, *, is_refused: bool, may_fork: bool
    ) -> None:
        self.roots = paths.roots
        self._is_refused = is_refused
        self._paths = paths
        self._all = [paths.takes_all(root) for root in range(len(paths.roots))]
        selection = None if all(self._all) else self._choose
        super().__init__(paths.roots, selection, index, may_fork=may_fork)

    def founds(self, warn: Callable[[str], None]) -> Iterator[Found]:
        """Yield what `scan` does.

        Raises:
            FileUnreadable: a folder or link cannot be read.
            SecretsFound: there are credentials among the files, and they are refused.
        """
        self.has_taken = False
        self.credentials = Credentials(is_refused=self._is_refused)
        for found in super().founds(warn):
            self.has_taken = True
            # An empty name is the root itself, which then is a file.
            if is_suspect(found.name or found.path) and not S_ISDIR(found.mode):
                self.credentials.look(found.path)
            yield found

    def _choose(self, root: int, name: bytes, is_folder: bool) -> Choice:  # noqa: FBT001  -- the contract
        """See `snapshot.scan.Selection`."""
        return Choice.TAKE if self._all[root] else self._paths.choose(root, name, is_folder)
