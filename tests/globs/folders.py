"""Folders with files in them, and what is found there."""

import os
from collections.abc import Mapping
from pathlib import Path

from runcache.globs.patterns import read_patterns
from runcache.globs.walk import search


def make(top: Path, *files: str, links: Mapping[str, str] | None = None) -> Path:
    """Make files whose content is their name, and links; a final slash makes it a folder."""
    for name in files:
        path = top / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    for name, target in (links or {}).items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).symlink_to(target)
    return top


def make_unlistable(folder: Path) -> Path:
    """Make a folder that holds another which nobody can list by its path, not even root."""
    folder.mkdir(parents=True)
    place = os.open(folder, os.O_RDONLY)
    for _ in range(os.pathconf(folder, "PC_PATH_MAX") // 255 + 1):
        os.mkdir("x" * 255, dir_fd=place)
        inner = os.open("x" * 255, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    return folder


def found(
    top: Path,
    *lines: str,
    follow_links: bool = False,
    implicit_descendants: bool = True,
    within: str = "/",
) -> list[str]:
    """Return what patterns find in a folder, relative to it and in order."""
    patterns = read_patterns(
        lines, root=str(top), home=str(top), implicit_descendants=implicit_descendants
    )
    items = search(patterns, follow_links=follow_links, within=within)
    return [os.path.relpath(item.path, top) for item in items]
