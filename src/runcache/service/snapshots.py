"""How snapshots are saved: reserved with bases, received pack by pack, and committed."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Literal

from runcache.catalog.catalog import Catalog
from runcache.catalog.snapshots import ReceivedBlob
from runcache.errors import MalformedMessage, ReadDenied, TooManyPacks, UploadGone
from runcache.model import MAX_PACKS, Contents, Entry, Grant, Inputs, PackName, Upload
from runcache.service.accesses import Accesses
from runcache.service.observer import Observer
from runcache.service.receiving import Body, Receiver
from runcache.service.wholeness import Wholeness
from runcache.store import layout
from runcache.store.blobs import BlobStore


class Snapshots:
    """Uploads of a manifest and packs, some of which other entries have already.

    All methods may raise `StoreUnavailable` and `CatalogUnavailable`.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        receiver: Receiver,
        wholeness: Wholeness,
        accesses: Accesses,
        observers: Iterable[Observer],
        now: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._receiver = receiver
        self._wholeness = wholeness
        self._accesses = accesses
        self._observers = tuple(observers)
        self._now = now

    async def reserve(
        self,
        grant: Grant,
        key: str,
        version: str,
        bases: Literal["auto"] | Sequence[int] = (),
        inputs: Inputs | None = None,
    ) -> tuple[Upload, list[Contents]]:
        """Reserve a key in the scope that the grant may write, as `CacheService.reserve` does.

        `bases` are ids of entries whose packs it may share, `auto` the newest snapshot of the same
        version. Those that are whole snapshots which the grant may read are returned; their blobs
        are kept until the upload ends in any way. `inputs` are for the records.

        Raises:
            Others: as `CacheService.reserve`.
        """
        upload, held = await self._catalog.snapshots.reserve(
            await self._receiver.begin(grant, key, version, is_snapshot=True, inputs=inputs),
            bases=None if bases == "auto" else bases,
            readable=_readable_scopes(grant),
        )
        self._receiver.note_active(upload)
        whole = [base for base in held if await self._is_whole(base)]
        for base in whole:
            self._accesses.note(base.entry.id, base.blobs, is_use=False)
        return upload, whole

    async def write_pack(
        self,
        grant: Grant,
        pack: PackName,
        body: Body,
        *,
        announced_bytes: int | None,
        blake3: bytes,
        sha256: bytes,
    ) -> None:
        """Receive a pack; one with the same name replaces it.

        The first digest is verified now, the second one behind the commit.

        Raises:
            UploadGone: this job has no such upload.
            SizeMismatch, DigestMismatch: other bytes were received than announced.
            TooManyPacks: the upload has as many as it may have.
            UploadTooLarge: all that was received for it exceeds `entry_limit`.
            StoreFull: there is no room for it; the upload is void then, and its key free.
        """
        upload = await self.upload_of(grant, pack.upload_id)
        self._receiver.require_size(announced_bytes or 0)
        blob = await self._catalog.snapshots.open_pack(
            pack, blob=layout.new_blob_name(), now_ms=self._now()
        )
        await self._write(upload, blob, body, announced_bytes, blake3=blake3, sha256=sha256)

    async def write_manifest(
        self,
        grant: Grant,
        upload_id: int,
        body: Body,
        *,
        announced_bytes: int | None,
        blake3: bytes,
        sha256: bytes,
    ) -> None:
        """Receive the manifest; another one replaces it.

        Raises:
            Others: as `write_pack`.
        """
        upload = await self.upload_of(grant, upload_id)
        await self._write(upload, upload.blob, body, announced_bytes, blake3=blake3, sha256=sha256)

    async def commit(self, grant: Grant, upload_id: int, packs: Sequence[PackName]) -> Entry:
        """Turn an upload into an entry of its manifest and `packs`; again, it is the same entry.

        Raises:
            MalformedMessage: a pack is named twice.
            TooManyPacks: there are more than an entry may have.
            UploadGone: this job has no such upload.
            ManifestMissing: its manifest was never received.
            PackGone: a pack is neither of this upload nor of an entry that the grant may read.
            UploadTooLarge: all of it exceeds `entry_limit`.
            EntryExists: another job was first.
        """
        if len(packs) > MAX_PACKS:
            raise TooManyPacks(limit=MAX_PACKS)
        if len(set(packs)) < len(packs):
            message = "a pack of the snapshot is named twice"
            raise MalformedMessage(message)
        with suppress(UploadGone):
            upload = await self.upload_of(grant, upload_id)
            entry = await self._catalog.snapshots.commit(
                upload,
                packs,
                readable=_readable_scopes(grant),
                limit_bytes=self._receiver.limits.entry_limit_bytes,
                now_ms=self._now(),
            )
            self._receiver.note_ended(upload)
            for observer in self._observers:
                observer.saved(entry)
            return entry
        # Perhaps the answer to the first commit was lost.
        saved = await self._catalog.entries.get(upload_id)
        mine = (grant.repository, grant.writable_scope)
        if saved is None or not saved.is_snapshot or (saved.repository, saved.scope) != mine:
            raise UploadGone
        return saved

    async def abandon(self, grant: Grant, upload_id: int) -> None:
        """Give an upload up and free its key.

        Raises:
            UploadGone: this job has no such upload.
        """
        upload = await self.upload_of(grant, upload_id)
        await self._catalog.uploads.void(upload, now_ms=self._now())
        self._receiver.note_ended(upload)

    async def upload_of(self, grant: Grant, upload_id: int) -> Upload:
        """Return an upload of the same job that becomes a snapshot, by its id.

        Raises:
            UploadGone: there is none, or it is not this job's.
        """
        upload = await self._catalog.uploads.get(upload_id, now_ms=self._now())
        if not (upload.is_snapshot and upload.belongs_to(grant)):
            raise UploadGone
        return upload

    async def _write(
        self,
        upload: Upload,
        blob: str,
        body: Body,
        announced_bytes: int | None,
        *,
        blake3: bytes,
        sha256: bytes,
    ) -> None:
        async with self._receiver.received(
            upload, blob, body, announced_bytes, expected_blake3=blake3
        ) as part:
            replaced = await self._catalog.snapshots.set_blob(
                upload,
                blob,
                ReceivedBlob(part, blake3, sha256),
                limit_bytes=self._receiver.limits.entry_limit_bytes,
                now_ms=self._now(),
            )
        await self._store.delete_parts(blob, replaced)

    async def _is_whole(self, base: Contents) -> bool:
        """Say whether a base can be shared; one that is damaged is dropped."""
        lately_whole = self._wholeness.lately_whole()
        unknown = [blob.name for blob in base.blobs if blob.name not in lately_whole]
        parts = await self._catalog.blobs.parts_by_name(unknown)
        damaged = await self._wholeness.first_damaged(base.blobs, parts)
        if damaged is not None:
            await self._wholeness.drop(damaged)
        return damaged is None


def _readable_scopes(grant: Grant) -> tuple[str, ...]:
    """Return the scopes to share packs with: a job that may only write shares nothing."""
    try:
        return grant.readable_scopes
    except ReadDenied:
        return ()
