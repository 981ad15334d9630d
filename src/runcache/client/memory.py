"""What this machine last saved or restored: the base of its next snapshot."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_FORGET_AFTER_SECONDS: Final = 90 * 24 * 3600
_MAX_DIGITS: Final = 18


class Memory:
    """Remembers entries by their version and by the folder that their paths are relative to.

    `folder` is where, and need not exist. `place` names whoever keeps the entries. What cannot be
    written down or read is not remembered, and nobody is told: it costs time, and nothing else.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self._folder = folder
        self._place = place

    def entry(self, version: str, folder: Path) -> int | None:
        """Return the id of the entry that was last saved or restored, if that is known."""
        try:
            text = self._file(version, folder).read_text("ascii").strip()
        except (OSError, ValueError):
            return None
        return int(text) if text.isdigit() and len(text) <= _MAX_DIGITS else None

    def note(self, version: str, folder: Path, entry_id: int) -> None:
        """Remember an entry, and forget what was not needed for 90 days."""
        file = self._file(version, folder)
        draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                draft.write_text(str(entry_id), "ascii")
                draft.replace(file)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            with os.scandir(self._folder) as entries:
                _forget(entries, before=time.time() - _FORGET_AFTER_SECONDS)

    def _file(self, version: str, folder: Path) -> Path:
        named = "\0".join((self._place, version, str(folder)))
        return self._folder / hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()


def _forget(entries: Iterable[os.DirEntry[str]], *, before: float) -> None:
    for entry in entries:
        if entry.stat().st_mtime < before:
            Path(entry).unlink(missing_ok=True)
