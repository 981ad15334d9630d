"""The folder of a backup: every name in it, and how it changes from one backup to the next.

```
catalog.jsonl           what is in the backup (`backup_list.py`)
blobs/3f/3fa9…          the bytes of a blob, named by their SHA-256
signing.key             the server's secret, if it was asked for
lock                    locked by who writes to the folder
```

`catalog.jsonl` is replaced by a rename once all bytes that it names are on the disk: until then,
and when the process dies, the former backup is there. A blob is marked with the time of the backup
that names it (its mtime), and those with an older mark are deleted at the end.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runcache.errors import FileUnreadable, FileUnwritable, InvalidBackup
from runcache.maintenance.backup_list import BackupList, ListDraft
from runcache.maintenance.drafts import BUFFER_BYTES, Draft, sync_folder, writing

_LIST: Final = "catalog.jsonl"
_BLOBS: Final = "blobs"
_KEY: Final = "signing.key"
_LOCK: Final = "lock"
_DRAFT: Final = ".new-"
_NAMES: Final = frozenset((_LIST, _BLOBS, _KEY, _LOCK))
# Some file systems keep times to two seconds only.
_MARK_SECONDS: Final = 2


class BackupFolder:
    """A folder with a backup, or one that gets its first. Every method blocks.

    All raise `FileUnreadable` or `FileUnwritable` if the file system fails.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.list = BackupList(path / _LIST)

    @contextmanager
    def locked(self, catalog_id: str) -> Iterator[None]:
        """Be the only one that writes to the folder, which is made if it is missing.

        Raises:
            InvalidBackup: it holds something else than backups of this catalog.
            FileUnwritable: another backup is being written to it.
        """
        lock = self._lock()
        try:
            if self.list.is_there and self.list.header().catalog != catalog_id:
                raise InvalidBackup(str(self.path), "holds the backup of another cache")
            yield
        finally:
            os.close(lock)

    def mark(self, digest: str, size_bytes: int, mark: int) -> bool:
        """Mark a blob that is there already; say whether it is."""
        path = self.blob_path(digest)
        with writing(path):
            try:
                is_there = path.stat().st_size == size_bytes
            except FileNotFoundError:
                return False
            if is_there:
                os.utime(path, (mark, mark))
            return is_there

    def draft(self) -> Draft:
        """Begin a blob."""
        folder = self.path / _BLOBS
        with writing(folder):
            folder.mkdir(exist_ok=True, mode=0o700)
        return Draft(folder / f"{_DRAFT}{secrets.token_hex(8)}")

    def keep(self, draft: Draft, mark: int) -> None:
        """Make a draft a blob, which survives a power failure."""
        path = self.blob_path(draft.digest)
        with writing(path):
            path.parent.mkdir(exist_ok=True, mode=0o700)
            draft.move_to(path)
            os.utime(path, (mark, mark))

    def list_draft(self) -> ListDraft:
        """Begin the list of what is in the backup."""
        return ListDraft(Draft(self.path / f"{_DRAFT}{secrets.token_hex(8)}"))

    def publish(self, draft: ListDraft) -> None:
        """Make a list that of the folder: from now on this is the backup."""
        draft.end()
        with writing(self.path):
            (self.path / _BLOBS).mkdir(exist_ok=True, mode=0o700)
            sync_folder(self.path / _BLOBS)
        draft.file.move_to(self.path / _LIST)

    def remove_unmarked(self, mark: int) -> int:
        """Delete the blobs that no backup since `mark` names, and return how many there were."""
        removed = 0
        blobs = self.path / _BLOBS
        with writing(self.path):
            for draft in (*self.path.glob(f"{_DRAFT}*"), *blobs.glob(f"{_DRAFT}*")):
                draft.unlink()
            for folder in filter(Path.is_dir, blobs.iterdir()):
                old = [file for file in folder.iterdir() if file.stat().st_mtime < mark]
                for file in old:
                    file.unlink()
                removed += len(old)
        return removed

    def write_key(self, text: str | None) -> None:
        """Put the server's secret into the backup, or `None` to leave none of a former one."""
        path = self.path / _KEY
        if text is None:
            with writing(path):
                path.unlink(missing_ok=True)
            return
        draft = Draft(self.path / f"{_DRAFT}{secrets.token_hex(8)}")
        draft.write(text.encode("ascii"))
        draft.move_to(path)

    def read_key(self) -> str | None:
        """Return the server's secret, if it is in the backup."""
        path = self.path / _KEY
        try:
            return path.read_text("ascii") if path.is_file() else None
        except OSError as exc:
            raise FileUnreadable.because_of(exc, str(path)) from exc

    def read_blob(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes of a blob; none if it is not there."""
        path = self.blob_path(digest)
        try:
            with path.open("rb") as file:
                while data := file.read(BUFFER_BYTES):
                    yield data
        except FileNotFoundError:
            return
        except OSError as exc:
            raise FileUnreadable.because_of(exc, str(path)) from exc

    def blob_path(self, digest: str) -> Path:
        """Return where the blob with this digest is."""
        return self.path / _BLOBS / digest[:2] / digest

    def _lock(self) -> int:
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            strange = next((file for file in self.path.iterdir() if not _is_ours(file.name)), None)
            if strange is not None:
                raise InvalidBackup(
                    str(self.path), f"holds `{strange.name}`, which is of no backup"
                )
            lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(lock)
            raise FileUnwritable(str(self.path), "another backup is writing to it") from exc
        return lock


def mark_of(now_ms: int) -> int:
    """Return the mark of a backup that begins now."""
    return now_ms // 1000 // _MARK_SECONDS * _MARK_SECONDS


def _is_ours(name: str) -> bool:
    return name in _NAMES or name.startswith(_DRAFT)
