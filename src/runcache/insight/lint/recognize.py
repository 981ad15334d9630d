"""Which steps of a workflow restore or save caches."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from runcache.insight.lint.actions import Action, action_of, input_of, is_set
from runcache.insight.lint.cache_steps import CacheStep, Circumstances
from runcache.insight.lint.commands import Command, commands_in
from runcache.insight.lint.nodes import Scalar
from runcache.insight.lint.scopes import Budget, Scope
from runcache.insight.lint.setup_actions import SETUP_ACTIONS, SetupAction
from runcache.insight.lint.templates import Text, written_in
from runcache.insight.lint.workflow import Step, Workflow

# Lines of inputs that are looked at. Clients take ten keys.
MAX_PATHS: Final = 100
MAX_RESTORE_KEYS: Final = 20

# In a script: what may be the name of a variable that it sets for the steps after it.
_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)(?==|<<)")


def cache_steps_of(workflow: Workflow) -> Iterator[CacheStep]:
    """Yield the cache steps of a workflow, in order."""
    budget = Budget()
    for job in workflow.jobs:
        env = tuple(block for block in (job.env, workflow.env) if block)
        name = None if workflow.is_action else job.id
        scopes = tuple(
            Scope(case, budget, env=env, job=name, workflow=workflow.name) for case in job.cases
        )
        for index, step in enumerate(job.steps):
            own = tuple(replace(scope, step_env=step.env) for scope in scopes)
            for found in _in_step(Circumstances(workflow, job, index, step, own)):
                yield found
                scopes = tuple(map(_with_key, scopes, own, itertools.repeat(found)))
            scopes = tuple(map(_with_changes, scopes, itertools.repeat(step)))


def _with_key(scope: Scope, own: Scope, found: CacheStep) -> Scope:
    """Return the scope of the steps behind a cache step, which `own` is the scope of."""
    step_id = found.at.step.id
    if step_id is None or found.key is None:
        return scope
    return replace(scope, keys={**scope.keys, step_id.lower(): (found.key, replace(own, keys={}))})


def _with_changes(scope: Scope, step: Step) -> Scope:
    if step.script is None or "GITHUB_ENV" not in step.script.text:
        return scope
    changed = {name.lower() for name in _ASSIGNED.findall(step.script.text)}
    return replace(scope, changing=scope.changing | changed)


def _in_step(at: Circumstances) -> Iterator[CacheStep]:
    action = action_of(at.step)
    if action is not None:
        if action.name in SETUP_ACTIONS:
            yield from _by_setup(at, action, SETUP_ACTIONS[action.name])
        elif action.name == "actions/cache" or action.name.endswith("/runcache"):
            yield from _by_action(at, action)
    elif at.step.script is not None:
        yield from (_by_command(at, command) for command in commands_in(at.step.script))


def _by_setup(at: Circumstances, action: Action, setup: SetupAction) -> Iterator[CacheStep]:
    switch = input_of(at.step, setup.input)
    value = switch.text.strip() if switch else setup.default
    if value.lower() not in {"", "false"}:
        yield CacheStep(
            at=at, name=action.written, action=action, setup=setup, restores=True, saves=True
        )


def _by_action(at: Circumstances, action: Action) -> Iterator[CacheStep]:
    if action.path not in {"", "/restore", "/save"}:
        return
    key, paths = input_of(at.step, "key"), input_of(at.step, "path")
    restore_keys = input_of(at.step, "restore-keys")
    archive = input_of(at.step, "format")
    is_ours = action.name != "actions/cache"
    yield CacheStep(
        at=at,
        name=action.written,
        action=action,
        restores=action.path != "/save",
        saves=action.path != "/restore",
        key=written_in(key) if key else None,
        restore_keys=_lines(restore_keys, MAX_RESTORE_KEYS) if restore_keys else (),
        paths=_lines(paths, MAX_PATHS) if paths else (),
        is_cross_os=is_set(at.step, "enableCrossOsArchive"),
        wants_exact_key=is_set(at.step, "fail-on-cache-miss") or is_set(at.step, "lookup-only"),
        packs_whole_folders=not is_ours or (archive is not None and archive.text == "archive"),
    )


def _lines(scalar: Scalar, limit: int) -> tuple[Text, ...]:
    return tuple(itertools.islice(written_in(scalar).lines(), limit))


def _by_command(at: Circumstances, command: Command) -> CacheStep:
    keys, paths = command.values("--key"), command.values("--path")
    return CacheStep(
        at=at,
        name=command.name,
        restores=command.verb != "save",
        saves=command.verb != "restore",
        key=keys[-1] if keys else None,
        restore_keys=command.values("--restore-key"),
        paths=paths or (),
        is_cross_os=command.has("--cross-os"),
        wants_exact_key=command.has("--fail-on-cache-miss") or command.has("--lookup-only"),
        packs_whole_folders="archive" in {text.value for text in command.values("--format") or ()},
    )
