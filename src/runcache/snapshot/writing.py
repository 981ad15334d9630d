"""Records become files, folders and links: each is made under another name, and appears complete.

Names are reached through `Folders`, which follow no link; files that are there are never written
to, but replaced.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from stat import S_IMODE, S_ISDIR
from typing import Final

from runcache.errors import FileUnwritable
from runcache.snapshot.fetching import Use
from runcache.snapshot.folders import Folders, Made, remove
from runcache.snapshot.ledger import Ledger
from runcache.snapshot.limits import PERMISSIONS
from runcache.snapshot.looking import State
from runcache.snapshot.scan import STAGING_PREFIX, shown, stamp_in

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE_NEW: Final = _CREATE | os.O_EXCL
_PRIVATE: Final = 0o600


class Writer:
    """Writes what belongs below all roots. To be used by one thread, and to be closed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._manifest = ledger.manifest
        self._folders: dict[int, Folders] = {}

    def close(self) -> None:
        """Close all folders."""
        for folders in self._folders.values():
            folders.close()

    def make_folder(self, root: int, name: bytes, mode: int) -> None:
        """Make a folder, unless it is there."""
        target = self._ledger.target(root)
        with self._naming(root, name):
            made = self.folders(root).make(name, mode)
        if made is Made.EXISTED:
            return
        self._ledger.touched.add((root, name))
        if name:
            self._ledger.touched.add((root, name.rpartition(b"/")[0]))
        if made is Made.REPLACED:
            self._ledger.replaced.append(self._ledger.path_of(root, name))
        elif not target.is_fresh:
            self._ledger.created.append((root, name))

    def write(self, piece: memoryview, uses: Sequence[Use]) -> None:
        """Write a chunk to the files to which it belongs; a file that is complete appears."""
        for record, offset in uses:
            if len(piece) == self._manifest.sizes[record]:
                self.write_file(record, piece)
            else:
                self._write_part(record, offset, piece)

    def write_file(self, record: int, contents: bytes | memoryview) -> None:
        """Write a file that has these contents, and zeros behind them up to its size."""
        # Thousands of small files are written: neither a call to the disk nor to a function more
        # than there must be.
        ledger, manifest = self._ledger, self._manifest
        root, mtime_ns = ledger.root_of(record), manifest.mtimes_ns[record]
        mode, size_bytes = manifest.modes[record] & PERMISSIONS, manifest.sizes[record]
        target = ledger.target(root)
        try:
            if target.is_fresh:
                folder, draft = self.folders(root).place(manifest.names[record])
            else:
                folder, draft = self._draft_of(root, record)
            descriptor = os.open(draft, _CREATE_NEW, mode, dir_fd=folder)
            try:
                if len(contents) < size_bytes:
                    os.ftruncate(descriptor, size_bytes)
                _write_at(descriptor, contents, 0)
                if mode & target.umask:
                    os.fchmod(descriptor, mode)
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                stat = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            ledger.stamps[record] = stamp_in(stat)
            if not target.is_fresh:
                self._appear(root, record)
        except OSError as exc:
            raise self._failure(root, manifest.names[record], exc) from exc

    def complete(self, record: int) -> None:
        """Complete a file below a fresh root, of which somebody else wrote the last chunks."""
        root, name = self._ledger.root_of(record), self._manifest.names[record]
        with self._naming(root, name):
            folder, part = self.folders(root).place(name)
            descriptor = os.open(part, _CREATE, _PRIVATE, dir_fd=folder)
            try:
                self._complete(descriptor, record)
            finally:
                os.close(descriptor)

    def write_link(self, record: int) -> None:
        """Make a link."""
        root, name = self._ledger.root_of(record), self._manifest.names[record]
        mtime_ns = self._manifest.mtimes_ns[record]
        with self._naming(root, name):
            folder, draft = self._draft_of(root, record)
            os.symlink(self._manifest.targets[record], draft, dir_fd=folder)
            os.utime(draft, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
            self._appear(root, record)

    def tidy(self, record: int) -> None:
        """Correct permissions and time of a file or link whose contents are right."""
        root, name = self._ledger.root_of(record), self._manifest.names[record]
        mtime_ns = self._manifest.mtimes_ns[record]
        with self._naming(root, name):
            folder, part = self.folders(root).place(name)
            if record not in self._manifest.targets:
                os.chmod(part, self._manifest.modes[record] & PERMISSIONS, dir_fd=folder)
            os.utime(part, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
            stat = os.stat(part, dir_fd=folder, follow_symlinks=False)
            self._ledger.stamps[record] = stamp_in(stat)

    def tidy_folder(self, record: int) -> None:
        """Give a folder its permissions and its time; then nothing below it may be opened."""
        root, name = self._ledger.root_of(record), self._manifest.names[record]
        mode, mtime_ns = self._manifest.modes[record], self._manifest.mtimes_ns[record]
        with self._naming(root, name):
            parent, part = self.folders(root).place(name)
            former = os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode
            os.utime(part, ns=(mtime_ns, mtime_ns), dir_fd=parent, follow_symlinks=False)
            if (former ^ mode) & PERMISSIONS:
                # A folder keeps the bits that its file system or its owner gave it.
                special = S_IMODE(former) & ~PERMISSIONS
                os.fchmod(self.folders(root).open(name), mode & PERMISSIONS | special)

    def reset_folder(self, root: int, name: bytes) -> None:
        """Take back a permission to write to a folder, if it is still there, and got one."""
        mode = self._ledger.target(root).changed_modes.get(name)
        if mode is not None:
            with self._naming(root, name), suppress(FileNotFoundError):
                os.fchmod(self.folders(root).open(name), mode)

    def remove(self, root: int, name: bytes) -> bool:
        """Remove a file, or a folder if it is empty; say whether it is gone."""
        with self._naming(root, name):
            folder, part = self.folders(root).place(name)
            self._ledger.touched.add((root, name.rpartition(b"/")[0]))
            stat = os.stat(part, dir_fd=folder, follow_symlinks=False)
            if not S_ISDIR(stat.st_mode):
                os.unlink(part, dir_fd=folder)
                return True
            try:
                os.rmdir(part, dir_fd=folder)
            except OSError as exc:
                if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return False
        return True

    def folders(self, root: int) -> Folders:
        """Return the folders of a root, open in this thread."""
        folders = self._folders.get(root)
        if folders is None:
            folders = self._folders[root] = self._ledger.target(root).folders()
        return folders

    def _write_part(self, record: int, offset: int, piece: memoryview) -> None:
        root, name = self._ledger.root_of(record), self._manifest.names[record]
        with self._naming(root, name):
            folder, draft = self._draft_of(root, record)
            descriptor = os.open(draft, _CREATE, _PRIVATE, dir_fd=folder)
            try:
                _write_at(descriptor, piece, offset)
                with self._ledger.lock:
                    self._ledger.missing[record] -= 1
                    is_complete = not self._ledger.missing[record]
                if is_complete:
                    self._complete(descriptor, record)
            finally:
                os.close(descriptor)
            if is_complete:
                self._appear(root, record)

    def _complete(self, descriptor: int, record: int) -> None:
        os.ftruncate(descriptor, self._manifest.sizes[record])
        os.fchmod(descriptor, self._manifest.modes[record] & PERMISSIONS)
        mtime_ns = self._manifest.mtimes_ns[record]
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        self._ledger.stamps[record] = stamp_in(os.fstat(descriptor))

    def _draft_of(self, root: int, record: int) -> tuple[int, bytes]:
        """Return where a record is made, which is where it belongs if its root is fresh."""
        target = self._ledger.target(root)
        if target.is_fresh or target.staging is None:
            return self.folders(root).place(self._manifest.names[record])
        return target.staging, b"%x" % record

    def _appear(self, root: int, record: int) -> None:
        """Let what was made take its place."""
        ledger, name = self._ledger, self._manifest.names[record]
        if ledger.target(root).is_fresh:
            return
        state = ledger.found.states[record]
        folder, part = self.folders(root).place(name)
        ledger.touched.add((root, name.rpartition(b"/")[0]))
        if state is not State.ABSENT:
            ledger.replaced.append(ledger.path_of(root, name))
        if state is State.OBSTRUCTED:
            remove(part, folder)
        self._move(root, record, part, folder)
        if state is State.ABSENT:
            ledger.created.append((root, name))
        if record not in self._manifest.targets:
            stat = os.stat(part, dir_fd=folder, follow_symlinks=False)
            ledger.stamps[record] = stamp_in(stat)

    def _move(self, root: int, record: int, part: bytes, folder: int) -> None:
        staging = self._ledger.target(root).staging
        try:
            os.rename(b"%x" % record, part, src_dir_fd=staging, dst_dir_fd=folder)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            self._cross(record, part, folder)

    def _cross(self, record: int, part: bytes, folder: int) -> None:
        """Let a record take its place on a file system that is mounted below its root."""
        draft = STAGING_PREFIX + os.urandom(8).hex().encode()
        target = self._manifest.targets.get(record)
        mtime_ns = self._manifest.mtimes_ns[record]
        try:
            if target is not None:
                os.symlink(target, draft, dir_fd=folder)
            else:
                self._copy(record, draft, folder)
            os.utime(draft, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
            os.rename(draft, part, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            raise

    def _copy(self, record: int, draft: bytes, folder: int) -> None:
        staging = self._ledger.target(self._ledger.root_of(record)).staging
        source = os.open(b"%x" % record, os.O_RDONLY | os.O_CLOEXEC, dir_fd=staging)
        with open(source, "rb") as original:
            made = os.open(draft, _CREATE_NEW, _PRIVATE, dir_fd=folder)
            with open(made, "wb") as copy:
                shutil.copyfileobj(original, copy)
                os.fchmod(made, self._manifest.modes[record] & PERMISSIONS)

    @contextmanager
    def _naming(self, root: int, name: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise self._failure(root, name, exc) from exc

    def _failure(self, root: int, name: bytes, error: OSError) -> FileUnwritable:
        path = shown(self._ledger.path_of(root, name))
        return FileUnwritable(path, error.strerror or str(error))


def _write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    count = os.pwrite(descriptor, data, offset) if data else 0
    while count < len(data):
        count += os.pwrite(descriptor, memoryview(data)[count:], offset + count)
