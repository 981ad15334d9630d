"""Bytes that go between clients and the store, past this server: it signs, and looks afterwards."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from runcache.catalog.catalog import Catalog
from runcache.catalog.promises import Promise
from runcache.errors import CatalogUnavailable, DigestMismatch, SizeMismatch, StoreUnavailable
from runcache.model import Blob, Grant, Hit, PackName, Span
from runcache.service.observer import Observer, tell_of_restore
from runcache.service.receiving import Receiver
from runcache.service.snapshots import Snapshots
from runcache.store import layout
from runcache.store.direct import DirectStore, SignedUpload

# How long a signed upload may take to begin, and how long its bytes wait for being reported.
UPLOAD_WITHIN: Final = timedelta(minutes=15)
REPORT_WITHIN: Final = timedelta(hours=1)

_MILLISECOND: Final = timedelta(milliseconds=1)
_NOTED_AT_MOST: Final = 10_000
# An entry of 8 GB. To sign a link takes 11 µs, and 0.8 ms to be asked for it later.
LED_AT_ONCE: Final = 256


class DirectTransfers:
    """Signed links of `store`, within what a grant or a link of ours allows.

    All methods may raise `StoreUnavailable` and `CatalogUnavailable`.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: DirectStore,
        receiver: Receiver,
        snapshots: Snapshots,
        observers: Iterable[Observer],
        now: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self.store = store
        self._receiver = receiver
        self._snapshots = snapshots
        self._observers = tuple(observers)
        self._now = now
        self._led_to: dict[str, None] = {}

    @property
    def is_encrypted(self) -> bool:
        """Whether links are `https`."""
        return self.store.is_encrypted

    async def download_url(
        self, blob: Blob, span: Span, *, expires_in: timedelta, is_restore: bool
    ) -> str | None:
        """Return a link of the store for a download of `span`, `None` if the blob is no one object.

        It may begin within `expires_in`, for which the blob must be kept anyway. `is_restore` is
        that of `CacheService.read`.
        """
        if blob.whole is None or not blob.size_bytes:
            return None
        (url,) = await self.store.download_urls([(blob.name, blob.whole)], expires_in=expires_in)
        self._note_led_to([blob.name])
        tell_of_restore(self._observers, blob, span, is_restore=is_restore)
        return url

    async def pack_urls(self, hit: Hit, *, expires_in: timedelta) -> Mapping[str, str]:
        """Return links of the store for downloads of an entry's packs, by the names of their blobs.

        There are none where there are so many that most of the work could be in vain, or where
        somebody is away: then links of ours are asked, which lead there as well.
        """
        if not 1 < len(hit.blobs) <= LED_AT_ONCE:
            return {}
        try:
            parts = await self._catalog.blobs.pack_parts(hit.entry.id)
            places = [(name, found[0].name) for name, found in parts.items()]
            urls = await self.store.download_urls(places, expires_in=expires_in)
        except (CatalogUnavailable, StoreUnavailable):
            return {}
        self._note_led_to(parts)
        return dict(zip(parts, urls, strict=True))

    def blobs_led_to(self) -> list[str]:
        """Return the names of the blobs whose downloads may have begun since the last call."""
        led_to, self._led_to = self._led_to, {}
        return list(led_to)

    async def upload_link(
        self, grant: Grant, upload_id: int, *, size_bytes: int, sha256: bytes
    ) -> SignedUpload:
        """Return where a manifest or pack of an upload may be put; the store takes no other bytes.

        Raises:
            UploadGone: this job has no such upload.
            UploadTooLarge: with it the upload exceeds `entry_limit`.
        """
        upload = await self._snapshots.upload_of(grant, upload_id)
        now = self._now()
        wanted = Promise(layout.new_blob_name(), layout.new_part_name(), size_bytes, sha256)
        promise = await self._catalog.promises.make(
            upload,
            wanted,
            until=now + REPORT_WITHIN // _MILLISECOND,
            limit_bytes=self._receiver.limits.entry_limit_bytes,
            now_ms=now,
        )
        self._receiver.note_active(upload)
        return await self.store.upload_url(
            promise.blob,
            promise.part,
            size_bytes=promise.size_bytes,
            sha256=sha256,
            expires_in=UPLOAD_WITHIN,
        )

    async def take(
        self, grant: Grant, upload_id: int, pack: PackName | None, *, sha256: bytes
    ) -> None:
        """Make what was put there a pack of the upload, or its manifest. Again, it changes nothing.

        The store is asked what it has, and what it verified; the client's word counts nothing.

        Raises:
            UploadGone: this job has no such upload, or no link to put such bytes, or not any more.
            SizeMismatch, DigestMismatch: the bytes that were announced are not there.
            TooManyPacks, UploadTooLarge: as `Snapshots.write_pack`.
        """
        upload = await self._snapshots.upload_of(grant, upload_id)
        promise = await self._catalog.promises.find(upload, pack, sha256, now_ms=self._now())
        if promise is None:
            return
        stored = await self.store.stat(promise.blob, promise.part)
        stored_bytes = 0 if stored is None else stored.size_bytes
        if stored is None or stored_bytes != promise.size_bytes:
            raise SizeMismatch(announced_bytes=promise.size_bytes, received_bytes=stored_bytes)
        if stored.sha256 != sha256:
            raise DigestMismatch
        await self._catalog.promises.keep(
            upload,
            pack,
            promise,
            limit_bytes=self._receiver.limits.entry_limit_bytes,
            now_ms=self._now(),
        )
        self._receiver.note_active(upload)

    def _note_led_to(self, blobs: Iterable[str]) -> None:
        if len(self._led_to) < _NOTED_AT_MOST:
            self._led_to.update(dict.fromkeys(blobs))
