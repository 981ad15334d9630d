"""Yarn: two programs of one name, whose projects each may have a cache of their own."""

from pathlib import Path
from typing import Final

from runcache.presets.dependencies import Dependencies, projects_of
from runcache.presets.surroundings import Surroundings, unreadable

_VERSION: Final = ("yarn", "--version")
_CLASSIC_LOCK: Final = b"# yarn lockfile v1"


def folders(around: Surroundings, dependencies: Dependencies) -> tuple[str, ...]:
    """Return the caches of the projects that the lock files belong to, each once.

    Raises:
        ToolFailed: yarn ended with an error, or answered what is no folder.
        ToolHung: it did not end in time.
    """
    projects = projects_of(around, dependencies)
    return tuple(dict.fromkeys(_folder(around, project) for project in projects))


def keeps_caches_in_projects(around: Surroundings, dependencies: Dependencies) -> bool:
    """Say whether all projects have caches of their own that Git does not have.

    Yarn 2 and newer remove from such a cache what the lock file does not name, so an older one is
    of use. The action alone restores one then (management §4.1).
    """
    return all(_keeps_own_cache(around, project) for project in projects_of(around, dependencies))


def _folder(around: Surroundings, project: Path) -> str:
    lines = around.lines(*_VERSION, folder=project)
    if lines is None:
        return _default(around, project)
    if not lines:
        raise unreadable(_VERSION, lines, "its version")
    is_classic = lines[-1].startswith("1.")
    command = ("cache", "dir") if is_classic else ("config", "get", "cacheFolder")
    return around.ask_folder("yarn", *command, default="", folder=project)


def _default(around: Surroundings, project: Path) -> str:
    try:
        lock = (project / "yarn.lock").read_bytes()
    except OSError:
        lock = b""
    if _CLASSIC_LOCK not in lock:
        return f"{around.machine.home}/.yarn/berry/cache"
    caches = around.user_folder("XDG_CACHE_HOME", linux=".cache/yarn", macos="Library/Caches/Yarn")
    return f"{caches}/v6"


def _keeps_own_cache(around: Surroundings, project: Path) -> bool:
    if (project / ".yarn/cache").is_dir():
        return False
    answer = around.lines("yarn", "config", "get", "enableGlobalCache", folder=project)
    return "false" in "\n".join(answer or ())
