"""In what two versions differ: by what is known of them, or by trying what people mix up.

A version is a digest, so it cannot be read. But whoever asks knows the inputs of theirs, and if the
same with one change is the other version, then that change is the difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product
from typing import Final

from runcache.insight.explain.values import Difference, Input, Inputs
from runcache.records import Origin
from runcache.versions import COMPRESSIONS, SNAPSHOT, cache_version

_WINDOWS: Final = "Windows"
_ANY_OTHER: Final = "Linux"
_ALL: Final = "all systems"
# What other clients and older ones have there, too.
_COMPRESSIONS: Final = (*COMPRESSIONS, SNAPSHOT, "zstd", None)
_HOMES: Final = ("~", "/home/runner", "/Users/runner", "/root", "$HOME")
# All orders of so many paths are tried; more and longer ones than these are not tried at all.
_MAX_PERMUTED: Final = 4
_MAX_PATHS: Final = 32
_MAX_LENGTH: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a version was made of. One for Windows alone is another than that of all others."""

    paths: tuple[str, ...]
    compression: str | None
    is_for_windows: bool

    @property
    def version(self) -> str:
        system = _WINDOWS if self.is_for_windows else _ANY_OTHER
        return cache_version(self.paths, self.compression, system)


def difference_table(inputs: Inputs | None) -> dict[str, tuple[Difference, ...]]:
    """Return the versions of what is easily mistaken for `inputs`, and in what they differ."""
    if inputs is None:
        return {}
    table: dict[str, tuple[Difference, ...]] = {}
    for made in product(_paths_like(inputs.paths), _COMPRESSIONS, (False, True)):
        saved = _Saved(*made)
        differences = _differences(inputs, saved, system=None)
        known = table.setdefault(saved.version, differences)
        # Of two ways to the same version the shorter one is it.
        if len(differences) < len(known):
            table[saved.version] = differences
    return table


def differences_from(asked: Inputs | None, origin: Origin) -> tuple[Difference, ...]:
    """Return in what the version that `origin` has made differs from that of `asked`.

    Both may be unknown.
    """
    if origin.paths is None:
        return ()
    if asked is None:
        return (
            Difference(Input.PATHS, None, _listed(origin.paths)),
            Difference(Input.COMPRESSION, None, origin.compression),
        )
    is_for_windows = origin.system == _WINDOWS and not origin.cross_os
    saved = _Saved(origin.paths, origin.compression, is_for_windows)
    return _differences(asked, saved, system=origin.system)


def inputs_of(origin: Origin) -> Inputs | None:
    """Return what an entry was saved with, if its client said so."""
    if origin.paths is None:
        return None
    return Inputs(
        paths=origin.paths,
        compression=origin.compression,
        system=origin.system or _ANY_OTHER,
        cross_os=bool(origin.cross_os),
    )


def _differences(asked: Inputs, saved: _Saved, *, system: str | None) -> tuple[Difference, ...]:
    found = []
    if saved.paths != asked.paths:
        found.append(Difference(Input.PATHS, _listed(asked.paths), _listed(saved.paths)))
    if saved.compression not in asked.compressions:
        wanted = " or ".join(asked.compressions)
        found.append(Difference(Input.COMPRESSION, wanted, saved.compression))
    if saved.is_for_windows != (asked.system == _WINDOWS and not asked.cross_os):
        wanted_for = _ALL if asked.system == _WINDOWS and asked.cross_os else asked.system
        other = _ALL if system == _WINDOWS else system
        found.append(
            Difference(Input.SYSTEM, wanted_for, _WINDOWS if saved.is_for_windows else other)
        )
    return tuple(found)


def _listed(paths: tuple[str, ...]) -> str:
    return "\n".join(paths)


def _paths_like(paths: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield `paths`, and what else they may have been when the entry was saved."""
    yield paths
    if len(paths) > _MAX_PATHS or sum(map(len, paths)) > _MAX_LENGTH:
        return
    if len(paths) <= _MAX_PERMUTED:
        yield from permutations(paths)
    else:
        yield tuple(sorted(paths))
        yield paths[::-1]
    if len(paths) > 1:
        for position, path in enumerate(paths):
            yield paths[:position] + paths[position + 1 :]
            yield (path,)
    yield tuple(path.rstrip("/") for path in paths)
    yield tuple(f"{path.rstrip('/')}/" for path in paths)
    yield tuple(path.removeprefix("./") for path in paths)
    yield tuple(path if path.startswith(("/", "~", "!", "$")) else f"./{path}" for path in paths)
    for home in _HOMES:
        for other in _HOMES:
            if any(path.startswith(home) for path in paths):
                yield tuple(_moved(path, home, other) for path in paths)


def _moved(path: str, home: str, other: str) -> str:
    is_below = path == home or path.startswith(f"{home}/")
    return other + path.removeprefix(home) if is_below else path
