"""The acts behind `runcache forget`, `prune` and `check`, and behind the server's sweeps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import BATCH
from runcache.errors import InvalidSettings
from runcache.maintenance.checking import Checking, CheckReport
from runcache.maintenance.debris import Debris
from runcache.maintenance.forgetting import ForgetReport, Forgetting
from runcache.maintenance.pruning import PruneReport, Pruning
from runcache.maintenance.subsets import EVERYTHING, Subset
from runcache.retention import Cascade, EvictionPreview, Limits
from runcache.store.blobs import BlobStore
from runcache.store.direct import DirectStore

if TYPE_CHECKING:
    from runcache.maintenance.composing import ComposeReport, Composing

_MILLISECOND: Final = timedelta(milliseconds=1)
# Facts of the catalog.
_BOOT_ID: Final = "boot_id"
_SWEPT_AT: Final = "swept_at"


class Maintenance:
    """All that is done to a catalog and its store but to answer requests."""

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        limits: Limits,
        *,
        now: Callable[[], int],
        direct: DirectStore | None = None,
    ) -> None:
        debris = Debris(catalog, store)
        self._catalog = catalog
        self._store = store
        self._now = now
        self._forgetting = Forgetting(catalog, store, limits, now=now)
        self._pruning = Pruning(catalog, store, debris, now=now)
        self._checking = Checking(catalog, store, debris, now=now)
        self._composing = None if direct is None else _composing(catalog, direct, limits, now)

    async def claim_store(self) -> None:
        """Make sure that the store is this catalog's: to another one, all of it would be debris.

        Raises:
            InvalidSettings: it is another catalog's.
        """
        if not await self._store.claim(await self._catalog.identity()):
            raise InvalidSettings(
                "the store belongs to another catalog",
                hint="name the catalog of this store, or an empty folder as `store`",
            )

    async def sweep(
        self, *, causes: Mapping[str, str] | None = None, every: timedelta | None = None
    ) -> tuple[ForgetReport, PruneReport] | None:
        """Forget and prune, unless another process is at it: then return `None`.

        Also if one was at it lately, where each of them sweeps `every` so often.
        """
        async with self._catalog.exclusively("sweep") as is_mine:
            if not is_mine or (every is not None and await self._was_swept_within(every / 2)):
                return None
            done = await self.forget(causes=causes), await self.prune()
            await self._catalog.exchange_fact(_SWEPT_AT, str(self._now()))
            return done

    async def keep(
        self, read: Sequence[str], *, written: Sequence[str] = (), lease: timedelta
    ) -> None:
        """Keep blobs that are being read, even if doomed, and uploads that are being written."""
        if read:
            await self._catalog.blobs.hold(read, until=self._now() + lease // _MILLISECOND)
        if written:
            await self._catalog.uploads.note_active(written, now_ms=self._now())

    async def recover(self, boot_id: str) -> int:
        """After a start: distrust what a power failure may have torn, and return how much was lost.

        A killed process loses nothing, since what it wrote is in the page cache. Only when the
        machine was started anew (`boot_id`), bytes without a proof of durability are misses until
        `settle` has verified them; those without a digest, and all unfinished uploads, are dropped.
        """
        if self._store.is_durable_at_once:
            return 0
        if await self._catalog.fact(_BOOT_ID) == boot_id:
            return 0
        # Nobody serves before this is done, nor does it once somebody does.
        async with self._catalog.exclusively("recover", wait=True):
            former = await self._catalog.fact(_BOOT_ID)
            lost = 0 if former in {None, boot_id} else await self._distrust()
            await self._catalog.exchange_fact(_BOOT_ID, boot_id)
            return lost

    async def is_over_limit(self, repositories: Iterable[str]) -> bool:
        """Say whether one of these repositories, or all there are together, keep too much."""
        return await self._forgetting.is_over_limit(repositories)

    async def forget(
        self, *, dry_run: bool = False, causes: Mapping[str, str] | None = None
    ) -> ForgetReport:
        """Forget what the limits do not keep: unused entries, then the least recently used ones.

        `causes` are those of `Forgetting.forget`.
        """
        return await self._forgetting.forget(dry_run=dry_run, causes=causes)

    async def would_forget(self, subject: str, cascade: Cascade) -> EvictionPreview:
        """Return what these limits would forget of a repository, or of those of an owner."""
        return await self._forgetting.would_forget(subject, cascade)

    async def prune(self, *, dry_run: bool = False) -> PruneReport:
        """Void expired uploads, and delete the bytes that nothing refers to."""
        return await self._pruning.prune(dry_run=dry_run)

    async def delete_doomed(self) -> None:
        """Delete doomed blobs that no link, transfer or upload keeps any more.

        Not while another process is at it.
        """
        async with self._catalog.exclusively("prune") as is_mine:
            if is_mine:
                await self._pruning.delete_doomed(PruneReport())

    async def settle(self) -> int:
        """Hash and sync what was committed since; return how many blobs were damaged.

        One process does so at a time: each waits, and finds what those before it left.
        """
        async with self._catalog.exclusively("settle", wait=True):
            return await self._checking.settle()

    async def compose(self) -> "ComposeReport | None":
        """Make one object of each blob that came in several parts, where clients have links to it.

        Returns `None` if there are no such links, or another process is at it.
        """
        if self._composing is None:
            return None
        async with self._catalog.exclusively("compose") as is_mine:
            return await self._composing.compose() if is_mine else None

    async def verify(self, entry_id: int) -> list[str]:
        """Read an entry, and return the names of its blobs that are damaged.

        These are dropped with all entries that have them. What has no digest yet is only counted.
        """
        async with self._catalog.exclusively("verify", wait=True):
            return await self._checking.verify(entry_id)

    async def check(
        self, *, read_data: bool = False, subset: Subset = EVERYTHING, repair: bool = False
    ) -> CheckReport:
        """Verify that the bytes of each entry are there, with `read_data` also that they are right.

        Read are the blobs of `subset` only. What several entries share is looked at once. `repair`
        forgets damaged entries, removes what nothing refers to, and corrects counts.
        """
        return await self._checking.check(read_data=read_data, subset=subset, repair=repair)

    async def set_clock(self) -> None:
        """Ask the catalog what time it is: replicas on several machines have to agree."""
        await self._catalog.set_clock()

    async def _was_swept_within(self, time: timedelta) -> bool:
        swept_at = int(await self._catalog.fact(_SWEPT_AT) or 0)
        return self._now() - swept_at < time // _MILLISECOND

    async def _distrust(self) -> int:
        lost = await self._catalog.entries.suspect_all_unproven(now_ms=self._now())
        while uploads := await self._catalog.uploads.after(0, limit=BATCH):
            for upload in uploads:
                await self._catalog.uploads.void(upload, now_ms=self._now())
        return lost


def _composing(
    catalog: Catalog, direct: DirectStore, limits: Limits, now: Callable[[], int]
) -> "Composing":
    from runcache.maintenance.composing import Composing  # noqa: PLC0415  -- S3 alone needs it

    return Composing(catalog, direct, link_ttl=limits.link_ttl, now=now)
