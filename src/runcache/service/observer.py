"""What the service tells those who count and log."""

from runcache.model import Entry, Hit


class Observer:
    """Hears of what the service does. Nothing here may block or raise."""

    def found(self, hit: Hit) -> None:
        """Hear of a lookup that found an entry."""

    def missed(self, repository: str) -> None:
        """Hear of a lookup that found nothing."""

    def saved(self, entry: Entry) -> None:
        """Hear of an entry that was committed."""

    def damaged(self, blob: str) -> None:
        """Hear of a blob that is no longer whole, and whose entries were dropped."""

    def damage_reported(self, entry: Entry, reason: str) -> None:
        """Hear of a client that says that an entry is damaged: nothing is proven by it."""
