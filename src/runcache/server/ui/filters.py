"""How pages show values: sizes, times, counts and refs."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from markupsafe import Markup

from runcache.quantities import AGES, print_about, print_age

_DASH: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"
_KINDS: Final[Mapping[str, str]] = {"heads": "branch", "tags": "tag", "pull": "pull request"}


def filters(now: Callable[[], int]) -> dict[str, Callable[..., Any]]:
    """Return all of them by name; `now` is in milliseconds since 1970."""

    def ago(at_ms: int) -> Markup:
        return _time(at_ms, print_age((now() - at_ms) // 1000))

    return {
        "ago": ago,
        "count": count,
        "moment": lambda at_ms: _time(at_ms, _readable(at_ms)),
        "number": number,
        "percent": percent,
        "prose": prose,
        "ref_kind": ref_kind,
        "ref_label": ref_label,
        "ref_name": ref_name,
        "signed_size": signed_size,
        "size": print_about,
        "span": span,
    }


def number(value: int) -> str:
    """Return a count with its thousands apart: `12,345`."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: `1 entry`, `2 entries`."""
    return f"{value:,} {noun if value == 1 else plural or f'{noun}s'}"


def percent(part: float, whole: float) -> str:
    """Return what share of `whole` a part is: `37 %`, `< 1 %`, or a dash of nothing."""
    if whole <= 0:
        return _DASH
    share = 100 * part / whole
    return "< 1 %" if 0 < share < 1 else f"{share:.0f} %"


def prose(text: str) -> Markup:
    """Return a sentence with what stands in backticks as code."""
    # What no backtick closes stays as it is.
    pieces = re.split(r"`([^`]*)`", text)
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if place % 2 else piece
        for place, piece in enumerate(pieces)
    )


def span(duration: timedelta) -> str:
    """Return a time span with its largest unit that is whole: `7 days`, `36 hours`."""
    seconds = duration // timedelta(seconds=1)
    for unit, length in AGES[2:]:
        if seconds >= length and seconds % length == 0:
            return count(seconds // length, unit)
    return count(seconds, "second")


def signed_size(size_bytes: int) -> str:
    """Return a change of size: `+1.2 GB`, the same with a minus, or `0 B`."""
    sign = "+" if size_bytes > 0 else _MINUS if size_bytes < 0 else ""
    return f"{sign}{print_about(abs(size_bytes))}"


def ref_kind(ref: str) -> str:
    """Return what a ref is of: `branch`, `tag`, `pull request`, or `ref`."""
    return _KINDS.get(_parts(ref)[0], "ref")


def ref_name(ref: str) -> str:
    """Return what people call a ref: `main`, `v1`, `#7`; itself if it is of another kind."""
    kind, name = _parts(ref)
    if kind == "pull":
        pull_request, _, _ = name.partition("/")
        return f"#{pull_request}"
    return name if kind in _KINDS else ref


def ref_label(ref: str) -> str:
    """Return what people call a ref where nothing else says what it is: `main`, `tag v1`."""
    kind = ref_kind(ref)
    return ref_name(ref) if kind in {"branch", "ref"} else f"{kind} {ref_name(ref)}"


def _parts(ref: str) -> tuple[str, str]:
    kind, _, name = ref.removeprefix("refs/").partition("/")
    return (kind, name) if ref.startswith("refs/") and name else ("", ref)


def _time(at_ms: int, text: str) -> Markup:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="milliseconds"), _readable(at_ms), text
    )


def _readable(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
