"""Frames of small files in the making, and a guess at which contents are worth compressing well."""

from typing import Final

from runcache.snapshot.chunking import CUT_ABOVE_BYTES
from runcache.snapshot.limits import KIB
from runcache.snapshot.sharing import Frame

FRAME_BYTES: Final = 512 * KIB
"""From this length on a frame of small files is complete."""

# Contents that are compressed already, or random, have nearly all bytes there are in any window.
_WINDOW_BYTES: Final = 128
_DENSE_WINDOW: Final = 85
# Nothing is gained by guessing what little files are.
_GUESSED_BYTES: Final = 4 * KIB


class Draft:
    """A frame of small files that is being made, all of which are worth compressing well or not."""

    def __init__(self) -> None:
        self.is_dense = False
        self.buffer = memoryview(bytearray(FRAME_BYTES + CUT_ABOVE_BYTES))
        self.used_bytes = 0
        self.frame = new_frame()

    @property
    def is_full(self) -> bool:
        """Say whether it is complete."""
        return self.used_bytes >= FRAME_BYTES

    def taken(self) -> tuple[Frame, memoryview]:
        """Return the frame and its contents, which are valid until the next file is read."""
        frame, contents = self.frame, self.buffer[: self.used_bytes]
        self.frame, self.used_bytes = new_frame(), 0
        return frame, contents


def new_frame() -> Frame:
    """Return a frame that is not stored yet."""
    return Frame(-1, 0, 0, 0)


def is_dense(contents: memoryview) -> bool:
    """Guess whether contents cannot be compressed, from a few bytes a quarter into them."""
    start = len(contents) // 4
    window = contents[start : start + _WINDOW_BYTES]
    return len(contents) >= _GUESSED_BYTES and len(set(window.tobytes())) > _DENSE_WINDOW
