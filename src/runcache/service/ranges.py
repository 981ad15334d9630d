"""Uploads that come in ranges, each of which is a block with its place in its id (pure)."""

import re
from collections.abc import Iterable
from typing import Final

from runcache.errors import InvalidRange, SizeMismatch
from runcache.model import Span

_RANGE_ID: Final = re.compile(r"([0-9]+)-([0-9]+)", re.ASCII)


def range_id(span: Span) -> str:
    """Return the id of the block that a range of an upload becomes."""
    return f"{span.start}-{span.end}"


def chained(range_ids: Iterable[str], size_bytes: int) -> list[str]:
    """Return the ids of ranges in the order in which they fill `size_bytes` from the start.

    Raises:
        InvalidRange: they leave a gap or overlap, or are not ranges.
        SizeMismatch: they end elsewhere.
    """
    spans = sorted(map(_span_of, range_ids), key=lambda span: (span.start, span.end))
    position = 0
    for span in spans:
        if span.start != position:
            what = "overlap" if span.start < position else "leave a gap"
            message = f"the uploaded ranges {what} at byte {min(span.start, position)}"
            raise InvalidRange(message)
        position = span.end
    if position != size_bytes:
        raise SizeMismatch(announced_bytes=size_bytes, received_bytes=position)
    return [range_id(span) for span in spans]


def _span_of(range_id: str) -> Span:
    found = _RANGE_ID.fullmatch(range_id)
    if found is None:
        # Blocks that came over another protocol.
        message = "the upload does not consist of ranges"
        raise InvalidRange(message)
    return Span(int(found[1]), int(found[2]))
