"""Releases of `actions/cache` that stopped working, and inputs that have no effect."""

import re
from collections.abc import Iterator
from typing import Final

from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.project import Project
from runcache.insight.lint.templates import written_in

# The first release of each major version that works since version 1 of the service is gone;
# the names of major versions themselves (`v3`) point to the last one.
_FIRST_THAT_WORKS: Final = {3: (3, 4), 4: (4, 2)}
_RELEASE: Final = re.compile(r"v(?P<major>[0-9]+)(?:\.(?P<minor>[0-9]+))?(?:\.[0-9]+)?")
# What became of an input, and what to do instead.
_WITHOUT_EFFECT: Final = {
    "save-always": (
        "was withdrawn, and does nothing",
        "remove it; to save in any case, use `actions/cache/save` with `if: always()`",
    ),
    "upload-chunk-size": ("has no effect on version 2 of the cache service", "remove it"),
}


def deprecated_release(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find releases that only speak to a service that is gone."""
    found = _RELEASE.fullmatch(step.action.ref) if step.action else None
    if step.action is None or step.action.name != "actions/cache" or found is None:
        return
    major = int(found["major"])
    release = (major, int(found["minor"])) if found["minor"] else None
    first = _FIRST_THAT_WORKS.get(major)
    if major < min(_FIRST_THAT_WORKS) or (release and first and release < first):
        yield Fault(step.name.place(), f"`{step.action.ref}` cannot reach GitHub's cache any more")


def deprecated_input(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find inputs that have no effect."""
    if step.action is None or step.action.name != "actions/cache" or step.at.step.inputs is None:
        return
    for name in step.at.step.inputs.names():
        if name.text.lower() in _WITHOUT_EFFECT:
            reason, fix = _WITHOUT_EFFECT[name.text.lower()]
            yield Fault(written_in(name).place(), f"`{name.text}` {reason}", fix)
