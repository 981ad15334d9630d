"""Steps that save and restore the same key, and never meet (protocol §6)."""

from collections.abc import Iterator
from typing import Final

from runcache.insight.lint.cache_steps import CacheStep, seen_from
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.project import Project
from runcache.insight.lint.scopes import Opaque, Scope
from runcache.insight.lint.values import Pieces, known_text, pieces_of
from runcache.versions import cache_version

# Names that have one value in all jobs of a run.
_SAME_EVERYWHERE: Final = ("github.", "runner.")


def path_mismatch(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find restores of a key that is saved with other paths only."""
    if step.saves or not step.paths:
        return
    for key in dict.fromkeys(step.keys):
        savers = [
            other
            for other in project.steps_with(key)
            if other.saves and (other.at.job is step.at.job or _is_same_in_all_jobs(key))
        ]
        own = _versions(step, key)
        others = [_versions(saver, key) for saver in savers]
        if savers and own and all(others) and own.isdisjoint(set().union(*others)):
            where = seen_from(step, savers[0], savers[0].paths[0].place())
            message = f"{where} saves this key with other paths"
            yield Fault(step.paths[0].place(), message)
            return


def _is_same_in_all_jobs(key: Pieces) -> bool:
    unknown = [piece.expression for piece in key if isinstance(piece, Opaque)]
    return all(expression.startswith(_SAME_EVERYWHERE) for expression in unknown)


def _versions(step: CacheStep, key: Pieces) -> set[str]:
    """Return the versions that a step has this key with; nothing if its paths are not known."""
    found = set()
    for scope, own in zip(step.at.scopes, step.keys, strict=True):
        if own == key:
            paths = _known_paths(step, scope)
            if not paths:
                return set()
            found.add(cache_version(paths))
    return found


def _known_paths(step: CacheStep, scope: Scope) -> list[str]:
    texts = [known_text(pieces_of(path, scope)) for path in step.paths]
    known = [text for text in texts if text is not None]
    return known if len(known) == len(texts) else []
