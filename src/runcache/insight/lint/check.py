"""Checks files: reads them, lets every rule look at every cache step, and reports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from runcache.errors import InvalidWorkflow
from runcache.expressions.lexer import shortened
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.findings import Fault, Finding
from runcache.insight.lint.ignores import Ignore, ignores_of, lines_of, silenced_lines
from runcache.insight.lint.project import Project
from runcache.insight.lint.recognize import cache_steps_of
from runcache.insight.lint.registry import BROKEN_FILE, RULES, UNKNOWN_RULE, Rule
from runcache.insight.lint.source import Place, Source
from runcache.insight.lint.workflow import read_workflow

MAX_MESSAGE: Final = 400
MAX_IGNORES: Final = 1_000  # of one file


@dataclass(frozen=True, slots=True)
class Report:
    """How many files were checked, how many cache steps they have, and what was found, in order."""

    file_count: int
    step_count: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _File:
    source: Source
    root: Path | None
    steps: tuple[CacheStep, ...] = ()
    broken: Fault | None = None


def check(files: Sequence[Path]) -> Report:
    """Check workflows and actions; that one cannot be read is a finding, too."""
    read = [_read(file) for file in files]
    projects = {
        root: Project(root, [step for file in read if file.root == root for step in file.steps])
        for root in {file.root for file in read}
    }
    findings = [finding for file in read for finding in _findings(file, projects[file.root])]
    return Report(len(read), sum(len(file.steps) for file in read), tuple(findings))


def root_of(file: Path) -> Path | None:
    """Return the folder of the repository that a file is a workflow or an action of.

    That is the folder around `.github`. Of a file elsewhere it is not known.
    """
    folders = file.resolve().parents
    return next((folder.parent for folder in folders if folder.name == ".github"), None)


def _read(file: Path) -> _File:
    name, root = str(file), root_of(file)
    try:
        source = Source(name, file.read_bytes().decode("utf-8-sig"))
    except OSError as exc:
        reason = f"it cannot be opened: {(exc.strerror or str(exc)).lower()}"
        return _File(Source(name, ""), root, broken=Fault(Place(0, 0), reason))
    except UnicodeDecodeError as exc:
        reason = f"it is not UTF-8: byte {exc.start + 1} is wrong"
        return _File(Source(name, ""), root, broken=Fault(Place(0, 0), reason))
    try:
        return _File(source, root, tuple(cache_steps_of(read_workflow(source))))
    except InvalidWorkflow as exc:
        place = Place(exc.offset, min(exc.offset + 1, len(source.text)))
        return _File(source, root, broken=Fault(place, exc.reason))


def _findings(file: _File, project: Project) -> list[Finding]:
    """Return what is wrong with a file, in the order of its lines."""
    if file.broken:
        return [_finding(file.source, BROKEN_FILE, file.broken)]
    ignores = tuple(islice(ignores_of(file.source), MAX_IGNORES))
    silenced = silenced_lines(ignores)
    found = {
        _finding(file.source, rule, fault): None
        for rule, fault in _faults(file, project, ignores)
        if silenced.get(rule.id, set()).isdisjoint(lines_of(fault.place, file.source))
    }
    return sorted(found, key=lambda one: (one.start.line, one.start.column, one.rule))


def _faults(
    file: _File, project: Project, ignores: Sequence[Ignore]
) -> Iterator[tuple[Rule, Fault]]:
    for ignore in ignores:
        if ignore.rule not in RULES:
            message = f"there is no rule `{ignore.rule}`"
            yield UNKNOWN_RULE, Fault(ignore.place, message)
    for step in file.steps:
        for rule in RULES.values():
            if rule.look is not None:
                yield from ((rule, fault) for fault in rule.look(step, project))


def _finding(source: Source, rule: Rule, fault: Fault) -> Finding:
    place = source.first_line_of(fault.place)
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        path=source.name,
        start=source.position(place.start),
        end=source.position(place.end),
        message=shortened(fault.message, MAX_MESSAGE),
        why=rule.why,
        fix=fault.fix or rule.fix,
        excerpt=source.excerpt(place),
    )
