"""Lists in messages."""

from collections.abc import Iterable

MAX_NAMED = 3


def in_words(names: Iterable[str], conjunction: str = "and") -> str:
    """Return names as `a, b and c`; of a long list the first ones, and how many more there are."""
    listed = list(names)
    if len(listed) > MAX_NAMED:
        listed = [*listed[: MAX_NAMED - 1], f"{len(listed) - MAX_NAMED + 1} more"]
    *first, last = listed
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def quoted(names: Iterable[str], conjunction: str = "and") -> str:
    """Return names in backticks, as `in_words` does."""
    return in_words([f"`{name}`" for name in names], conjunction)
