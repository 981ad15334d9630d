"""The paths that `actions/cache` packs, as its toolkit finds them (protocol §7)."""

import os
from collections.abc import Sequence
from pathlib import Path

from runcache.globs.patterns import read_patterns
from runcache.globs.walk import search


def resolve_paths(
    patterns: Sequence[str], *, folder: Path, workspace: Path, home: Path | None = None
) -> list[str]:
    """Return what the patterns of a cache step match, relative to `workspace`, in order.

    A folder stands for all that is in it, so patterns do not match what is below what they
    describe. Links are followed, and broken ones left out. The workspace itself is `.`, and what is
    outside begins with `..`.

    Args:
        patterns: the step's paths, each of which may have several lines.
        folder: where relative patterns begin: the working folder of the action.
        workspace: the folder that the archive is unpacked in.
        home: what `~` stands for; by default the home folder of the user.

    Raises:
        InvalidPattern: one of the patterns cannot be.
        FileUnreadable: a folder that may hold a match cannot be read.
    """
    read = read_patterns(
        patterns,
        root=os.path.realpath(folder),
        home=None if home is None else str(home),
        implicit_descendants=False,
    )
    return [os.path.relpath(found.path, workspace) for found in search(read, follow_links=True)]
