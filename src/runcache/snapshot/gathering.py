"""Small files become frames: one thread finds, reads and names them, the others compress.

Of two threads that read small files, each would wait for the interpreter after every call to the
disk. Who has just looked at a file reads it with the fewest waits.
"""

from typing import Final

from runcache.snapshot.chunking import CUT_ABOVE_BYTES, digest_of
from runcache.snapshot.crew import Crew
from runcache.snapshot.drafts import Draft, is_dense
from runcache.snapshot.reading import Item, Reading, Task, filled, read_steadily

# Of which two are being filled.
_MAX_DRAFTS: Final = 8


class Gatherer:
    """Lets a crew have all files that are to be read. To be used by one thread."""

    def __init__(self, reading: Reading, crew: Crew[Task]) -> None:
        self._reading = reading
        self._crew = crew
        self._draft_count = 0
        self._draft = self._free_draft(is_dense=False)
        self._dense_draft = self._free_draft(is_dense=True)
        self._files = self._size_bytes = 0

    def add(self, item: Item) -> None:
        """Read a small file; let the crew read a large one. It may have to wait for the crew.

        Raises:
            FileUnreadable: the disk refuses it.
            and whatever a task of the crew has raised.
        """
        item.is_read = True
        size_bytes = item.found.size_bytes
        if size_bytes > CUT_ABOVE_BYTES:
            self._crew.give(item)
            return
        try:
            read_steadily(item, self._read, self._reading.warn)
        except _HasGrownError:
            self._crew.give(item)
            return
        self._files += 1
        self._size_bytes += size_bytes
        if self._draft.is_full:
            self._hand_over(self._draft)
            self._draft = self._free_draft(is_dense=False)
        if self._dense_draft.is_full:
            self._hand_over(self._dense_draft)
            self._dense_draft = self._free_draft(is_dense=True)

    def finish(self) -> None:
        """Let the crew have the last files. Nothing can be added any more."""
        for draft in (self._draft, self._dense_draft):
            if draft.used_bytes:
                self._hand_over(draft)

    def _hand_over(self, draft: Draft) -> None:
        self._crew.give(draft)
        self._reading.progress.advance(files=self._files, size_bytes=self._size_bytes)
        self._files = self._size_bytes = 0

    def _free_draft(self, *, is_dense: bool) -> Draft:
        free = self._reading.free_drafts
        if self._draft_count < _MAX_DRAFTS:
            self._draft_count += 1
            draft = Draft()
        else:
            self._crew.wait_until(lambda: bool(free))
            draft = free.pop()
        draft.is_dense = is_dense
        return draft

    def _read(self, descriptor: int, size_bytes: int) -> tuple[tuple[bytes, ...], int]:
        """Read a file into a frame that is being made, where it stays unless it is known."""
        if size_bytes > CUT_ABOVE_BYTES:
            raise _HasGrownError
        draft = self._draft
        start = draft.used_bytes
        contents = draft.buffer[start : start + size_bytes]
        read_bytes = filled(descriptor, contents)
        if not read_bytes:
            return (), 0
        contents = contents[:read_bytes]
        digest = digest_of(contents)
        if is_dense(contents):
            draft = self._dense_draft
            start = draft.used_bytes
        if self._reading.claim(digest, draft.frame, start, read_bytes):
            draft.used_bytes += read_bytes
            if draft is not self._draft:
                draft.buffer[start : start + read_bytes] = contents
        return (digest,), read_bytes


class _HasGrownError(Exception):
    """A file is large by now."""
