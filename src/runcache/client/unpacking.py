"""Members of an archive onto the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from stat import S_ISDIR, S_ISREG
from types import TracebackType
from typing import Final, Self

from runcache.client.decompression import Contents
from runcache.client.places import PARENT_FLAGS, BehindLink, Changes, Folder, Places
from runcache.client.selection import ArchivePaths
from runcache.client.tar import Kind, Member
from runcache.errors import CacheError, FileUnwritable, PartlyRestored, UnsafeEntry
from runcache.progress import Progress
from runcache.snapshot.folders import FOLDER_FLAGS, remove
from runcache.snapshot.limits import PERMISSIONS
from runcache.snapshot.scan import shown

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Unpacker:
    """Writes the members of one archive. `workspace` is what their names are relative to.

    To be used in a `with`: left without `finish`, it removes what it made, and raises
    `PartlyRestored` if it had replaced something. Any method may raise `UnsafeEntry` for what no
    archive of these paths can hold, and `FileUnwritable` for what the disk refuses.

    Attributes:
        files: how many members were written, folders and links not counted.
    """

    def __init__(
        self,
        workspace: str,
        paths: ArchivePaths,
        *,
        progress: Progress,
        warn: Callable[[str], None],
        is_exact: bool = False,
    ) -> None:
        self._paths = paths
        self._progress = progress
        self._warn = warn
        self._is_exact = is_exact
        self._changes = Changes()
        self._places = Places(workspace, paths, self._changes)
        self._numbers = count()
        self._folders: list[tuple[str, Member]] = []
        self._kept: set[str] = set()
        self._is_finished = False
        self.files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._places.close()
        if self._is_finished:
            return
        for path in reversed(self._changes.made):
            with suppress(OSError):
                _remove(path)
        if isinstance(error, CacheError) and self._changes.replaced:
            raise PartlyRestored([*self._changes.replaced], str(error)) from error

    def add(self, member: Member, contents: Contents) -> None:
        """Write a member, whose contents come next."""
        with _disk_errors(shown(member.name)):
            try:
                folder, name = self._places.find(member.name)
                self._write(member, folder, name, contents)
            except BehindLink:
                # The search for `**` follows links, so that what is behind them comes twice.
                contents.skip(member.size_bytes + member.padding_bytes)
            else:
                if self._is_exact:
                    self._kept.add(folder.path_of(name))

    def finish(self) -> None:
        """Let everything appear, give folders their modes and times, and remove all others."""
        with _disk_errors("what was restored"):
            self._places.appear()
        for path, member in reversed(self._folders):
            # Another member may have come instead of an empty folder.
            with _disk_errors(path), suppress(FileNotFoundError, NotADirectoryError):
                descriptor = os.open(path, FOLDER_FLAGS)
                try:
                    os.fchmod(descriptor, member.mode & PERMISSIONS)
                    os.utime(descriptor, ns=(member.mtime_ns, member.mtime_ns))
                finally:
                    os.close(descriptor)
        self._is_finished = True
        if self._is_exact:
            for path in self._paths.matches():
                self._remove_others(path)

    def _write(self, member: Member, folder: Folder, name: str, contents: Contents) -> None:
        match member.kind:
            case Kind.FOLDER:
                self._places.enter(folder, name)
                self._folders.append((folder.path_of(name), member))
            case Kind.FILE:
                self._write_file(member, folder, name, contents)
            case Kind.HARD_LINK:
                self._write_hard_link(member, folder, name)
            case Kind.LINK:
                self._write_link(member, folder, name)
            case Kind.PIPE:
                self._warn(f"left out `{folder.path_of(name)}`, which is a pipe")
            case Kind.OTHER:
                raise UnsafeEntry(f"`{shown(member.name)}` is no file, folder or link")

    def _write_file(self, member: Member, folder: Folder, name: str, contents: Contents) -> None:
        with self._draft(folder, name) as (draft, at):
            descriptor = os.open(draft, _CREATE, 0o600, dir_fd=at)
            try:
                _fill(descriptor, member.size_bytes, contents, self._progress)
                os.fchmod(descriptor, member.mode & PERMISSIONS)
                os.utime(descriptor, ns=(member.mtime_ns, member.mtime_ns))
            finally:
                os.close(descriptor)
        contents.skip(member.padding_bytes)
        self._count()

    def _write_hard_link(self, member: Member, folder: Folder, name: str) -> None:
        of, target_name = self._places.find(member.target)
        if of.path_of(target_name) == folder.path_of(name):
            return  # So packs `tar` what it is told of twice.
        target = of.disk_of(target_name)
        try:
            is_file = S_ISREG(os.stat(target, dir_fd=of.at, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            is_file = False
        if not is_file:
            raise UnsafeEntry(f"`{shown(member.name)}` is a hard link to what is no file")
        with self._draft(folder, name) as (draft, at):
            os.link(target, draft, src_dir_fd=of.at, dst_dir_fd=at, follow_symlinks=False)
        self._count()

    def _write_link(self, member: Member, folder: Folder, name: str) -> None:
        target = os.fsdecode(member.target)
        times = (member.mtime_ns, member.mtime_ns)
        with self._draft(folder, name) as (draft, at):
            os.symlink(target, draft, dir_fd=at)
            os.utime(draft, ns=times, dir_fd=at, follow_symlinks=False)
        self._places.note_link(folder.path_of(name), target)

    def _count(self) -> None:
        self.files += 1
        self._progress.advance(files=1)

    @contextmanager
    def _draft(self, folder: Folder, name: str) -> Iterator[tuple[str, int | None]]:
        """Yield where to make a file or link, which takes its place after the block.

        It is the place itself where nobody sees it yet.
        """
        if folder.is_fresh:
            if self._places.make_room(folder, name):
                with suppress(FileNotFoundError):
                    os.unlink(folder.disk_of(name), dir_fd=folder.at)
            yield folder.disk_of(name), folder.at
            return
        draft, at = f"{next(self._numbers):x}", folder.staging.descriptor
        yield draft, at
        path = folder.path_of(name)
        was_there = self._places.make_room(folder, name)
        os.rename(draft, path, src_dir_fd=at)
        self._changes.note(path, was_there=was_there)

    def _remove_others(self, path: str) -> None:
        with _disk_errors(path):
            if not os.path.lexists(path):
                return
            if path not in self._kept and not self._places.is_entered(path):
                _remove(path)
            elif S_ISDIR(os.lstat(path).st_mode):
                for name in os.listdir(path):
                    self._remove_others(f"{path.rstrip('/')}/{name}")


def _fill(descriptor: int, size_bytes: int, contents: Contents, progress: Progress) -> None:
    left_bytes = size_bytes
    while left_bytes:
        piece = contents.some(left_bytes)
        left_bytes -= piece.nbytes
        progress.advance(size_bytes=piece.nbytes)
        while piece:
            piece = piece[os.write(descriptor, piece) :]


def _remove(path: str) -> None:
    parent = os.open(os.path.dirname(path), PARENT_FLAGS)
    try:
        remove(os.fsencode(os.path.basename(path)), parent)
    finally:
        os.close(parent)


@contextmanager
def _disk_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise FileUnwritable.because_of(exc, path) from exc
