"""Workflows and composite actions: their triggers, jobs and steps, as far as caching needs them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runcache.errors import InvalidWorkflow
from runcache.insight.lint.matrix import Case, cases_of
from runcache.insight.lint.nodes import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    items_of,
    mapping_of,
    text_of,
)
from runcache.insight.lint.reader import read
from runcache.insight.lint.source import Place, Source

# Far beyond any workflow: they are for files that multiply themselves by aliases.
MAX_STEPS: Final = 1_000
MAX_RUNS: Final = 30_000  # of steps, counted as often as a matrix runs them


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a job: an action with its inputs, or a script. `place` is where it begins."""

    place: Place
    id: str | None
    uses: Scalar | None
    script: Scalar | None
    inputs: Mapping | None
    env: Mapping | None
    condition: str


@dataclass(frozen=True, slots=True)
class Job:
    """The steps of a job in order, and what it runs on: a case for each job that a matrix makes.

    There is at least one case. The steps of a composite action are one job, of which nothing else
    is known.
    """

    id: str
    cases: tuple[Case, ...]
    env: Mapping | None
    condition: str
    cache_mode: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A file with jobs. `triggers` are the names of the events that start it."""

    source: Source
    name: str | None
    triggers: frozenset[str]
    env: Mapping | None
    cache_mode: str | None
    jobs: tuple[Job, ...]
    is_action: bool


def read_workflow(source: Source) -> Workflow:
    """Read a workflow, or an action.

    Raises:
        InvalidWorkflow: it cannot be read.
    """
    root = read(source)
    if root is None:
        raise InvalidWorkflow("the file is empty", offset=0)
    if not isinstance(root, Mapping):
        raise InvalidWorkflow("the file is not a mapping", offset=root.place.start)
    runs = mapping_of(root.get("runs"))
    return Workflow(
        source=source,
        name=text_of(root.get("name")),
        triggers=frozenset(_triggers(root.get("on") or root.get("true"))),
        env=mapping_of(root.get("env")),
        cache_mode=text_of(root.get("cache-mode")),
        jobs=tuple(_jobs(root)) if runs is None else (_composite(runs),),
        is_action=runs is not None,
    )


def _triggers(node: Node | None) -> Iterator[str]:
    match node:
        case Scalar(text):
            yield text
        case Sequence(items):
            yield from (item.text for item in items if isinstance(item, Scalar))
        case Mapping():
            yield from (name.text for name in node.names())


def _jobs(root: Mapping) -> Iterator[Job]:
    jobs = mapping_of(root.get("jobs"))
    step_count = run_count = 0
    for name, node in jobs.entries if jobs else ():
        if not isinstance(node, Mapping):
            continue
        cases = cases_of(node)
        count = len(items_of(node.get("steps")))
        step_count += count
        run_count += count * len(cases)
        if step_count > MAX_STEPS or run_count > MAX_RUNS:
            raise InvalidWorkflow(f"it has more than {MAX_STEPS} steps", offset=name.place.start)
        yield Job(
            id=name.text,
            cases=cases,
            env=mapping_of(node.get("env")),
            condition=text_of(node.get("if")) or "",
            cache_mode=text_of(node.get("cache-mode")),
            steps=tuple(_steps(node)),
        )


def _composite(runs: Mapping) -> Job:
    if len(items_of(runs.get("steps"))) > MAX_STEPS:
        raise InvalidWorkflow(f"it has more than {MAX_STEPS} steps", offset=runs.place.start)
    return Job(
        id="runs",
        cases=(Case(matrix=None, os=None),),
        env=None,
        condition="",
        cache_mode=None,
        steps=tuple(_steps(runs)),
    )


def _steps(node: Mapping) -> Iterator[Step]:
    for step in items_of(node.get("steps")):
        if isinstance(step, Mapping):
            yield Step(
                place=step.place,
                id=text_of(step.get("id")),
                uses=_scalar(step.get("uses")),
                script=_scalar(step.get("run")),
                inputs=mapping_of(step.get("with")),
                env=mapping_of(step.get("env")),
                condition=text_of(step.get("if")) or "",
            )


def _scalar(node: Node | None) -> Scalar | None:
    return node if isinstance(node, Scalar) else None
