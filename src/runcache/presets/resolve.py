"""From the name of a preset to what it means for a project."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from runcache.errors import DependenciesMissing, InvalidPreset
from runcache.presets.dependencies import Patterns
from runcache.presets.detect import detect
from runcache.presets.machine import Machine
from runcache.presets.recipe import Recipe
from runcache.presets.segments import Segments
from runcache.presets.surroundings import Surroundings
from runcache.presets.table import PRESETS, Cache, Preset

AUTO: Final = "auto"


def resolve(
    name: str, *, project: Path, machine: Machine, files: Sequence[str] = ()
) -> tuple[Recipe, ...]:
    """Return the caches of a preset for the project in a folder, the main one first.

    Wrappers of Maven and Gradle are caches of their own, behind the main one. `auto` stands for
    what `detect` finds, and gives the caches of each. `files` are patterns in the manner of
    `@actions/glob`, relative to the folder, that replace the files of the preset, as
    `cache-dependency-path` does.

    Raises:
        InvalidPreset: there is no such preset, it takes no files, or `auto` cannot decide.
        InvalidKey: the key would be none: a folder with a comma in its name, for instance.
        InvalidPattern: one of `files` is no pattern.
        FileUnreadable: a file that the key depends on, or a folder, cannot be read.
        PresetUnresolved: a file, a program or a fact that it is made of cannot be found.
    """
    project = Path(os.path.realpath(project))
    names = detect(project) if name == AUTO else (name,)
    presets = [_preset(name, files) for name in names]
    if files and len(presets) > 1:
        raise InvalidPreset(
            "files are named, but several presets apply: " + ", ".join(f"`{n}`" for n in names),
            hint="name the preset that they belong to",
        )
    around = Surroundings(project, machine)
    return tuple(recipe for preset in presets for recipe in _recipes(preset, around, files))


def _preset(name: str, files: Sequence[str]) -> Preset:
    preset = PRESETS.get(name)
    if preset is None:
        known = ", ".join(f"`{known}`" for known in (*PRESETS, AUTO))
        raise InvalidPreset(f"there is no preset `{name}`", hint=f"the presets are {known}")
    if files and not preset.takes_files:
        raise InvalidPreset(
            f"the preset `{name}` takes no files", hint="set `BUNDLE_GEMFILE` as for Bundler itself"
        )
    return preset


def _recipes(preset: Preset, around: Surroundings, files: Sequence[str]) -> Iterator[Recipe]:
    groups = (tuple(files),) if files else preset.files
    yield _recipe(preset, around, groups + preset.backup_files)
    for extra in preset.extras:
        with contextlib.suppress(DependenciesMissing):
            yield _recipe(extra, around, extra.files)


def _recipe(cache: Cache, around: Surroundings, groups: Sequence[Patterns]) -> Recipe:
    dependencies = cache.hashing(around, groups)
    segments = Segments(around, dependencies)
    key = cache.key.format_map(segments)
    paths = cache.paths(around, dependencies)
    restore_keys = cache.restore_keys if cache.restores(around, dependencies) else ()
    return Recipe(
        name=cache.name,
        paths=paths,
        key=key,
        restore_keys=tuple(template.format_map(segments) for template in restore_keys),
        dependencies=dependencies.patterns,
    )
