"""Hashes of files that are not there."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from runcache.errors import InvalidPattern
from runcache.insight.lint.actions import input_of
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.hash_calls import HashCall, hash_calls_of
from runcache.insight.lint.project import Project
from runcache.insight.lint.source import Place
from runcache.insight.lint.templates import written_in
from runcache.insight.lint.wording import quoted
from runcache.insight.lint.workspace import brings_files, is_checkout, workspace_is_repository

# Places of runners: such a path may be the workspace, by its full name.
_OF_A_RUNNER: Final = re.compile(r"/(?:home|Users|github|__w|opt|tmp|root)/|[A-Za-z]:")


def hash_of_nothing(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find hashes of no file at all."""
    for call in hash_calls_of(step):
        for patterns in _different_patterns(call, step):
            message = _why_nothing(step, patterns, project) if call.is_needed else None
            if message:
                yield Fault(call.place(), message)
                break
    if step.setup and (paths := input_of(step.at.step, step.setup.paths_input)):
        text = written_in(paths)
        lines = [line.value for line in text.lines()]
        is_known = lines and "${{" not in text.value
        message = _why_nothing(step, lines, project) if is_known else None
        if message:
            yield Fault(text.place(), message)


def _different_patterns(call: HashCall, step: CacheStep) -> Iterator[tuple[str, ...]]:
    found = (call.patterns(scope) for scope in step.at.scopes)
    return (patterns for patterns in dict.fromkeys(found) if patterns)


def _why_nothing(step: CacheStep, patterns: Sequence[str], project: Project) -> str | None:
    """Return why patterns match no file, and `None` if they do or that is not known."""
    try:
        found = project.files(patterns)
    except InvalidPattern as exc:
        return f"`{exc.pattern}` is no pattern: {exc.reason}"
    if found is None or found or not workspace_is_repository(step, patterns):
        return None
    if any(_OF_A_RUNNER.match(pattern) for pattern in patterns):
        return None
    if patterns[0].startswith("/"):
        return f"`{patterns[0]}` begins at the root of the file system, and matches nothing"
    match = "matches" if len(patterns) == 1 else "match"
    return f"{quoted(patterns)} {match} no file of the repository"


def hash_before_checkout(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find hashes that are taken before the repository is there."""
    place = _place_of_hash(step)
    before, behind = step.at.steps_before, step.at.job.steps[step.at.index :]
    if place is None or any(brings_files(other, ()) or is_checkout(other) for other in before):
        return
    if any(is_checkout(other) for other in behind):
        yield Fault(place, "the repository is checked out by a later step")


def _place_of_hash(step: CacheStep) -> Place | None:
    """Return where a step hashes files of the repository."""
    if step.setup is not None:
        switch = input_of(step.at.step, step.setup.input)
        return written_in(switch).place() if switch else step.name.place()
    return next((call.place() for call in hash_calls_of(step)), None)
