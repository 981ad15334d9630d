"""Which presets a project asks for, by the files in its folder."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from runcache.errors import FileUnreadable, InvalidPreset
from runcache.presets.table import PRESETS, Ecosystem, Preset

_PIP: Final = "pip"


def detect(project: Path) -> tuple[str, ...]:
    """Return the presets for a project, at most one for each ecosystem, in the table's order.

    Lock files tell, and for Node before them what `package.json` names as its package manager. Only
    the folder itself is looked at. `venv` is never among them.

    Raises:
        InvalidPreset: there is no preset to be found, or several for one ecosystem.
        FileUnreadable: the folder cannot be listed.
    """
    names = _names_in(project)
    marked = [preset for preset in PRESETS.values() if names.intersection(preset.marks)]
    chosen: list[Preset] = []
    for ecosystem in Ecosystem:
        candidates = [preset for preset in marked if preset.ecosystem is ecosystem]
        chosen += _choose(project, ecosystem, candidates)
    if not chosen:
        looked_for = (mark for preset in PRESETS.values() for mark in preset.marks)
        raise InvalidPreset(
            f"`{project}` has none of the files that tell which preset it needs:"
            f" {_listed(dict.fromkeys(looked_for))}",
            hint="name the preset",
        )
    return tuple(preset.name for preset in chosen)


def _names_in(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as exc:
        raise FileUnreadable.because_of(exc, str(folder)) from exc


def _choose(project: Path, ecosystem: Ecosystem, candidates: Sequence[Preset]) -> Sequence[Preset]:
    if ecosystem is Ecosystem.NODE and (named := _named_by_package_json(project)):
        return (named,)
    if ecosystem is Ecosystem.PYTHON:
        # The files of pip do not speak against another one: both are often there besides its own.
        others = [preset for preset in candidates if preset.name != _PIP]
        if others or not _installs_with_pip(project):
            candidates = others
    if len(candidates) > 1:
        found = _listed(
            mark for preset in candidates for mark in preset.marks if (project / mark).exists()
        )
        raise InvalidPreset(
            f"several package managers could be meant by {found} in `{project}`",
            hint=f"name one of the presets {_listed(preset.name for preset in candidates)}, or"
            " remove the files that are no longer in use",
        )
    return candidates


def _named_by_package_json(project: Path) -> Preset | None:
    try:
        package = json.loads((project / "package.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # the package manager itself will complain of it
    presets = (PRESETS.get(name) for name in _package_managers(package))
    return next((found for found in presets if found and found.ecosystem is Ecosystem.NODE), None)


def _package_managers(package: object) -> Iterator[str]:
    """Yield the names in `devEngines.packageManager`, one or a list, and `packageManager`."""
    tools: Sequence[object] = ()
    match package:
        case {"devEngines": {"packageManager": [*tools]}}:
            pass
        case {"devEngines": {"packageManager": tool}}:
            tools = (tool,)
    for tool in tools:
        match tool:
            case {"name": str(name)}:
                yield name
    match package:
        case {"packageManager": str(name_and_version)}:
            yield name_and_version.partition("@")[0]


def _installs_with_pip(project: Path) -> bool:
    """Say whether there are requirements, or a project, and not only settings of tools."""
    if (project / "requirements.txt").exists():
        return True
    try:
        content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return "project" in content or "build-system" in content


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)
