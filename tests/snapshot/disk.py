"""Folders as values: what a test puts on the disk, and what it finds there."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISLNK

LONG_AGO_NS = 1_600_000_000_123_456_789


@dataclass(frozen=True, slots=True)
class File:
    """A file with its contents."""

    contents: bytes = b""
    mode: int = 0o644
    mtime_ns: int = LONG_AGO_NS


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder. Folders that are only implied by what is in them need not be named."""

    mode: int = 0o755
    mtime_ns: int = LONG_AGO_NS


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: bytes
    mtime_ns: int = LONG_AGO_NS


Thing = File | Folder | Link
Tree = Mapping[bytes, Thing]
"""What is below a root, by name; `b""` is the root itself."""


def plant(root: Path, tree: Tree) -> Path:
    """Make `root` be exactly what `tree` says; return it."""
    top = os.fsencode(root)
    for name, thing in sorted(tree.items()):
        path = os.path.join(top, name) if name else top
        os.makedirs(os.path.dirname(path), exist_ok=True)
        match thing:
            case File():
                with open(path, "wb") as file:
                    file.write(thing.contents)
            case Folder():
                os.makedirs(path, exist_ok=True)
            case Link():
                os.symlink(thing.target, path)
    for name, thing in sorted(tree.items(), reverse=True):
        path = os.path.join(top, name) if name else top
        if not isinstance(thing, Link):
            os.chmod(path, thing.mode)
        os.utime(path, ns=(thing.mtime_ns, thing.mtime_ns), follow_symlinks=False)
    return root


def tree_at(root: Path) -> dict[bytes, Thing]:
    """Return what is at `root`, nothing if there is nothing."""
    found: dict[bytes, Thing] = {}
    top = os.fsencode(root)
    pending = [b""]
    while pending:
        name = pending.pop()
        path = os.path.join(top, name) if name else top
        try:
            stat = os.lstat(path)
        except FileNotFoundError:
            continue
        if S_ISLNK(stat.st_mode):
            found[name] = Link(os.readlink(path), stat.st_mtime_ns)
        elif S_ISDIR(stat.st_mode):
            found[name] = Folder(S_IMODE(stat.st_mode), stat.st_mtime_ns)
            pending += [os.path.join(name, part) if name else part for part in os.listdir(path)]
        else:
            with open(path, "rb") as file:
                found[name] = File(file.read(), S_IMODE(stat.st_mode), stat.st_mtime_ns)
    return found


def discard(root: Path) -> None:
    """Remove what is at `root`, also if its folders may not be written to."""
    if root.is_symlink() or root.is_file():
        root.unlink()
        return
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o700)
    shutil.rmtree(root, ignore_errors=True)
