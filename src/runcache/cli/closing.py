"""What a person reads at the end of a restore or a save."""

from collections.abc import Sequence

from runcache.cli.console import counted
from runcache.client.results import Hit, Saved
from runcache.quantities import print_about


def restored_text(hit: Hit, content_bytes: int) -> str:
    """Return such as `restored 26 840 files, 635 MB, fetched 12.0 MB, 0.6 s`.

    `content_bytes` is how large the files are, 0 if that is not known.
    """
    parts = [
        f"restored {counted(hit.files_written + hit.files_unchanged, 'file')}",
        *_about(content_bytes),
        f"fetched {print_about(hit.fetched_bytes)}",
        f"{hit.seconds:.1f} s",
    ]
    instead = [] if hit.exact else [f"`{hit.matched_key}` is the nearest to `{hit.key}`"]
    return "\n".join([*instead, ", ".join(parts)])


def found_text(hit: Hit) -> str:
    """Return what a lookup found, and where."""
    scope = "" if hit.scope is None else f" in `{hit.scope}`"
    parts = [f"found `{hit.matched_key}`{scope}", *_about(hit.size_bytes)]
    return ", ".join(parts)


def missed_text(key: str, restore_keys: Sequence[str]) -> str:
    """Return what was not found."""
    return f"found nothing for {', '.join(f'`{text}`' for text in (key, *restore_keys))}"


def saved_text(saved: Saved, content_bytes: int) -> str:
    """Return such as `saved 26 840 files, 635 MB, sent 12.0 MB, 0.6 s`."""
    if not saved.created:
        scope = "" if saved.scope is None else f" in `{saved.scope}`"
        return f"`{saved.key}` is saved already{scope}, and entries never change"
    parts = [
        f"saved {counted(saved.files, 'file')}",
        *_about(content_bytes),
        f"sent {print_about(saved.new_bytes)}",
        f"{saved.seconds:.1f} s",
    ]
    return ", ".join(parts)


def _about(size_bytes: int | None) -> list[str]:
    return [print_about(size_bytes)] if size_bytes else []
