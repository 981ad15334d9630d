"""Where the records below a root are written.

A root that is not there yet is made in a hidden folder beside its place, and appears by one rename
when it is complete. Below a root that is there, each file is made in a hidden folder of the root,
and appears by a rename of its own.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from stat import S_ISDIR
from types import TracebackType
from typing import Final

import msgspec

from runcache.errors import FileUnwritable
from runcache.snapshot.folders import Folders, remove
from runcache.snapshot.limits import PERMISSIONS
from runcache.snapshot.looking import Comparison, State
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.scan import shown
from runcache.snapshot.staging import staging_in, umask_in

_PARENT_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What a root is called in a hidden folder until it appears.
_FRESH_NAME: Final = b"root"


_Exit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]


class Target(msgspec.Struct):
    """A root as it is restored.

    It is called `base` in the folder `parent`. In the folder `staging` files are made, or, if it is
    fresh, the root, which may replace something; `umask` are permissions that they do not get by
    being made. `changed_modes` has the permissions of folders that had to be made writable.
    """

    path: bytes
    parent: int
    base: bytes
    staging: int | None = None
    umask: int = PERMISSIONS
    is_fresh: bool = False
    replaces: bool = False
    has_appeared: bool = False
    changed_modes: dict[bytes, int] = msgspec.field(default_factory=dict)
    context: ExitStack = msgspec.field(default_factory=ExitStack)

    def folders(self) -> Folders:
        """Return the folders of the root as they are now, for one thread."""
        if self.is_fresh and self.staging is not None:
            return Folders(self.staging, _FRESH_NAME, self.changed_modes)
        return Folders(self.parent, self.base, self.changed_modes)

    def appear(self) -> None:
        """Let a fresh root take its place; what is there, and is no folder, is replaced.

        Raises:
            FileUnwritable: it cannot, since somebody made a folder there meanwhile, perhaps.
        """
        if self.is_fresh:
            with _naming(self.path):
                if self.replaces:
                    os.unlink(self.base, dir_fd=self.parent)
                os.rename(_FRESH_NAME, self.base, src_dir_fd=self.staging, dst_dir_fd=self.parent)
            self.is_fresh, self.has_appeared = False, True

    def end_staging(self) -> None:
        """Remove the hidden folder, and everything in it."""
        self.context.close()
        self.staging = None

    def vanish(self) -> None:
        """Remove a root that has appeared."""
        if self.has_appeared:
            remove(self.base, self.parent)


@contextmanager
def opened(
    manifest: Manifest, roots: Sequence[bytes], found: Comparison
) -> Iterator[list[Target | None]]:
    """Yield the targets of the roots, `None` for one of which there is nothing here nor there.

    In the end all hidden folders are gone, and everything in them. So are, after a failure, folders
    that had to be made for roots.

    Raises:
        FileUnwritable: a parent of a root cannot be made or opened, or not be written to.
    """
    with ExitStack() as stack:
        targets: list[Target | None] = []
        for root, records in manifest.roots():
            with _naming(roots[root]):
                targets.append(_opened(manifest, roots[root], records, found, stack))
        yield targets


def _opened(
    manifest: Manifest, path: bytes, records: range, found: Comparison, stack: ExitStack
) -> Target | None:
    parent_path, base = os.path.split(path)
    has_folder = os.path.isdir(path) and not os.path.islink(path)
    if records:
        stack.push(_made_folders(parent_path))
    elif not os.path.lexists(path):
        return None
    parent = os.open(parent_path, _PARENT_FLAGS)
    stack.callback(os.close, parent)
    target = Target(path, parent, base)
    stack.callback(target.end_staging)
    if all(found.states[record] in (State.RIGHT, State.UNTIDY) for record in records):
        return target
    is_folder = manifest.names[records[0]] != b"" or S_ISDIR(manifest.modes[records[0]])
    place = parent
    if is_folder and has_folder:
        # Not beside it: the root may be a file system of its own.
        folders = target.folders()
        target.context.callback(folders.close)
        place = folders.open(b"")
    target.staging = target.context.enter_context(staging_in(place))
    target.umask = umask_in(target.staging)
    target.is_fresh = is_folder and not has_folder
    target.replaces = target.is_fresh and os.path.lexists(path)
    return target


def _made_folders(path: bytes) -> "_Exit":
    """Make a folder and those that it is in; return what removes the new ones after a failure."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)

    def remove_after_failure(
        kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None:
            for folder in missing:
                with suppress(OSError):
                    os.rmdir(folder)

    for folder in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(folder)
    return remove_after_failure


@contextmanager
def _naming(path: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise FileUnwritable(shown(path), exc.strerror or str(exc)) from exc
