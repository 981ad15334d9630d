"""Where the members of an archive belong on the disk, and where they are until it was read whole.

What is at or below a path that was asked for is **inside**. There the archive is in command, and
nothing is written through a link. The folders that lead there are the user's, and may be links.
A **root** is where the search for a path begins. One that is inside, and not there yet, is made in
a hidden folder beside its place, and appears by one rename in the end.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from stat import S_ISDIR
from typing import Final

from runcache.client.selection import ArchivePaths
from runcache.errors import UnsafeEntry
from runcache.snapshot.limits import MAX_PATH_BYTES
from runcache.snapshot.scan import shown
from runcache.snapshot.staging import remove_left_over, staging_in

PARENT_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_STEPS: Final = 10_000
_NO_NAMES: Final = frozenset({b"", b".", b".."})


class BehindLink(Exception):
    """A member lies behind a link of the same archive, which leads inside again."""


@dataclass(slots=True)
class Changes:
    """The paths of what was made where nothing was, and of what was replaced, in order."""

    made: dict[str, None] = field(default_factory=dict)
    replaced: dict[str, None] = field(default_factory=dict)

    def note(self, path: str, *, was_there: bool) -> None:
        """Note that something is at `path` now, where something was or not."""
        if was_there and path not in self.made:
            self.replaced[path] = None
        else:
            self.made[path] = None


class Staging:
    """The hidden folder in the one at `path`, made when it is needed."""

    def __init__(self, path: str, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The folder, open until `stack` is closed, and removed then."""
        if self._descriptor is None:
            parent = os.open(self._path, PARENT_FLAGS)
            self._stack.callback(os.close, parent)
            self._descriptor = self._stack.enter_context(staging_in(parent))
        return self._descriptor


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that members lie in, or will.

    `path` is where it belongs. It is `disk` now, relative to the folder `at`, if that is not
    `None`: so it is with fresh ones, which nobody sees yet. In `staging` the files of others are
    made.
    """

    path: str
    disk: str
    at: int | None
    staging: Staging
    is_inside: bool

    @property
    def is_fresh(self) -> bool:
        """Whether it will appear in the end."""
        return self.at is not None

    def path_of(self, name: str) -> str:
        """Return where something in it belongs."""
        return f"{self.path.rstrip('/')}/{name}"

    def disk_of(self, name: str) -> str:
        """Return where something in it is now."""
        return f"{self.disk.rstrip('/')}/{name}"


class Places:
    """The places of the members of one archive, whose names are relative to `workspace`.

    To be closed. Methods raise `UnsafeEntry` for what no archive of these paths can hold,
    `BehindLink`, and what the system does.
    """

    def __init__(self, workspace: str, paths: ArchivePaths, changes: Changes) -> None:
        self._workspace = [part for part in workspace.split("/") if part]
        self._paths = paths
        self._changes = changes
        self._stack = ExitStack()
        # By the names of members, and by their paths.
        self._named: dict[bytes, Folder] = {}
        self._ready: dict[str, Folder] = {}
        self._fresh: dict[str, Folder] = {}
        self._links: dict[str, str] = {}

    def close(self) -> None:
        """Remove the hidden folders, and what is still in them."""
        self._stack.close()

    def find(self, name: bytes) -> tuple[Folder, str]:
        """Return the folder that a member belongs in, which is ready, and its name in there."""
        if len(name) > MAX_PATH_BYTES or b"\0" in name:
            raise UnsafeEntry(f"`{shown(name[:40])}…` is no name of a file")
        parent, _, last = name.rstrip(b"/").rpartition(b"/")
        known = self._named.get(parent) if last not in _NO_NAMES else None
        if known is not None and known.is_inside:
            return known, os.fsdecode(last)
        parts = self._parts(name)
        path = "/" + "/".join(parts)
        if not parts or self._paths.boundary(path) is None:
            raise UnsafeEntry(f"`{shown(name)}` is outside of the paths")
        folder = self._folder(parts[:-1], path)
        if last not in _NO_NAMES:
            self._named[parent] = folder
        return folder, parts[-1]

    def enter(self, parent: Folder, name: str, wanted: str = "") -> Folder:
        """Return a folder that is inside, ready for what is `wanted` in it or below it.

        Whatever else is in its place gives way.
        """
        path = parent.path_of(name)
        ready = self._ready.get(path)
        if ready is None:
            self._refuse_links(path, wanted or path)
            is_root = path in self._paths.roots
            ready = self._rooted(parent, name) if is_root else self._entered(parent, name)
            self._ready[path] = ready
        return ready

    def is_entered(self, path: str) -> bool:
        """Say whether a folder was made ready."""
        return path in self._ready

    def make_room(self, folder: Folder, name: str) -> bool:
        """Remove a folder in the way, which must be empty; say whether anything is there."""
        self._links.pop(folder.path_of(name), None)
        disk = folder.disk_of(name)
        try:
            mode = os.stat(disk, dir_fd=folder.at, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        if S_ISDIR(mode):
            os.rmdir(disk, dir_fd=folder.at)
            self._ready.clear()
            self._named.clear()
        return True

    def note_link(self, path: str, target: str) -> None:
        """Hear of a link that was made."""
        self._links[path] = target

    def appear(self) -> None:
        """Let everything that is fresh take its place."""
        for folder in self._fresh.values():
            was_there = os.path.lexists(folder.path)
            if was_there:
                os.unlink(folder.path)
            os.rename(folder.disk, folder.path, src_dir_fd=folder.at)
            self._changes.note(folder.path, was_there=was_there)

    def _parts(self, name: bytes) -> list[str]:
        """Return the parts of an absolute path."""
        if name.startswith(b"/"):
            raise UnsafeEntry(f"`{shown(name)}` is an absolute name")
        parts = self._workspace
        names = [part for part in name.split(b"/") if part not in {b"", b"."}]
        while names[:1] == [b".."]:
            del names[0]
            parts = parts[:-1]
        if b".." in names:
            raise UnsafeEntry(f"`{shown(name)}` leaves a folder by `..`")
        return parts + [os.fsdecode(part) for part in names]

    def _folder(self, parts: Sequence[str], wanted: str) -> Folder:
        """Return a folder that is ready for what is `wanted` in it or below it."""
        path = "/" + "/".join(parts)
        ready = self._ready.get(path)
        if ready is not None:
            return ready
        is_inside = self._paths.boundary(path) is not None
        if is_inside:
            return self.enter(self._folder(parts[:-1], wanted), parts[-1], wanted)
        self._lead_to(path)
        if self._leads_to_root(path):
            staging = self._staging(path)
        else:
            staging = self._folder(parts[:-1], wanted).staging
        self._ready[path] = Folder(path, path, None, staging, is_inside=False)
        return self._ready[path]

    def _leads_to_root(self, path: str) -> bool:
        prefix = f"{path.rstrip('/')}/"
        return any(root == path or root.startswith(prefix) for root in self._paths.roots)

    def _staging(self, path: str) -> Staging:
        remove_left_over(os.fsencode(path))
        return Staging(path, self._stack)

    def _lead_to(self, path: str) -> None:
        """Make a folder that leads inside, and those above it, if they are missing."""
        if not os.path.isdir(path):
            missing = path
            while not os.path.lexists(os.path.dirname(missing)):
                missing = os.path.dirname(missing)
            os.makedirs(path, exist_ok=True)
            self._changes.note(missing, was_there=False)

    def _refuse_links(self, path: str, wanted: str) -> None:
        if path not in self._links:
            return
        beyond = self._resolved(wanted)
        if beyond is None or self._paths.boundary(beyond) is None:
            raise UnsafeEntry(f"`{wanted}` is behind a link that leads out of the paths")
        raise BehindLink

    def _resolved(self, path: str) -> str | None:
        """Return where the links of the archive lead from `path`; `None`: they go in circles."""
        done: list[str] = []
        pending = path.split("/")[::-1]
        for _ in range(_MAX_STEPS):
            if not pending:
                return "/" + "/".join(done)
            part = pending.pop()
            target = self._links.get("/" + "/".join([*done, part]))
            if target is not None:
                pending += target.split("/")[::-1]
                done = [] if target.startswith("/") else done
            elif part == "..":
                del done[-1:]
            elif part not in {"", "."}:
                done.append(part)
        return None

    def _rooted(self, parent: Folder, name: str) -> Folder:
        """Return a root that is there, or a fresh one."""
        path = parent.path_of(name)
        if os.path.lexists(path) and S_ISDIR(os.lstat(path).st_mode):
            # Not beside it: it may be a file system of its own, or its parent another's.
            return Folder(path, path, None, self._staging(path), is_inside=True)
        at = parent.staging.descriptor
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=at)
        self._fresh[path] = Folder(path, name, at, parent.staging, is_inside=True)
        return self._fresh[path]

    def _entered(self, parent: Folder, name: str) -> Folder:
        """Return a folder below a root."""
        path, disk = parent.path_of(name), parent.disk_of(name)
        was_there, is_there = False, False
        try:
            os.mkdir(disk, dir_fd=parent.at)
        except FileExistsError:
            was_there = True
            mode = os.stat(disk, dir_fd=parent.at, follow_symlinks=False).st_mode
            is_there = S_ISDIR(mode)
            if not is_there:
                os.unlink(disk, dir_fd=parent.at)
                os.mkdir(disk, dir_fd=parent.at)
        if not (parent.is_fresh or is_there):
            self._changes.note(path, was_there=was_there)
        return Folder(path, disk, parent.at, parent.staging, is_inside=True)
