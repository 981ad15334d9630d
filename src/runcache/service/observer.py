"""What the service tells those who count and log."""

from collections.abc import Iterable, Sequence

import msgspec

from runcache.model import Blob, Entry, Grant, Hit, Key, Span


class Lookup(msgspec.Struct, frozen=True):
    """What a job asked for: the key itself and its restore keys, and versions as it prefers."""

    grant: Grant
    keys: tuple[Key, ...]
    versions: Sequence[str]


class Observer:
    """Hears of what the service does. Nothing here may block or raise."""

    def found(self, lookup: Lookup, hit: Hit) -> None:
        """Hear of a lookup that found an entry."""

    def missed(self, lookup: Lookup) -> None:
        """Hear of a lookup that found nothing."""

    def gave_up(self, lookup: Lookup, reason: Exception) -> None:
        """Hear of a lookup that was answered as a miss, since nobody could say in time.

        `reason` is a `CatalogUnavailable`, a `StoreUnavailable`, or the `TimeoutError` of both.
        """

    def saved(self, entry: Entry) -> None:
        """Hear of an entry that was committed."""

    def restored(self, blob: str) -> None:
        """Hear that the download of a blob, which is no pack, begins at its first byte."""

    def deleted(self, entries: Sequence[Entry], *, by: str) -> None:
        """Hear of entries that somebody has deleted."""

    def limits_changed(self, subject: str, *, by: str) -> None:
        """Hear that the limits of `owner/name`, or of each repository of `owner`, are others."""

    def damaged(self, blob: str) -> None:
        """Hear of a blob that is no longer whole, and whose entries were dropped."""

    def damage_reported(self, entry: Entry, reason: str) -> None:
        """Hear of a client that says that an entry is damaged: nothing is proven by it."""


def tell_of_restore(
    observers: Iterable[Observer], blob: Blob, span: Span, *, is_restore: bool
) -> None:
    """Tell of a download of `span`, if it is where a restore begins.

    `is_restore` is false for what is read to save something else.
    """
    # One byte is how clients ask whether ranges work.
    if is_restore and not blob.is_pack and span.start == 0 and span.size_bytes > 1:
        for observer in observers:
            observer.restored(blob.name)
