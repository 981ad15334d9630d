"""The actions that steps use, and their inputs."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from runcache.insight.lint.nodes import Scalar
from runcache.insight.lint.templates import Text, written_in
from runcache.insight.lint.workflow import Step

_ACTION: Final = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?P<path>(?:/[\w.-]+)*)@(?P<ref>\S+)")


@dataclass(frozen=True, slots=True)
class Action:
    """An action as `uses` names it: `actions/cache` in small letters, `/restore`, `v4`."""

    name: str
    path: str
    ref: str
    written: Text


def action_of(step: Step) -> Action | None:
    """Return the action that a step uses, unless it lies in the repository or is an image."""
    return _read(step.uses) if step.uses else None


@lru_cache(maxsize=4096)
def _read(uses: Scalar) -> Action | None:
    written = written_in(uses)
    found = _ACTION.fullmatch(written.value)
    if found is None:
        return None
    return Action(found["name"].lower(), found["path"].lower(), found["ref"], written)


def input_of(step: Step, name: str) -> Scalar | None:
    """Return an input of the action that a step uses; names of inputs are not case-sensitive."""
    found = step.inputs.find(name) if step.inputs else None
    return found if isinstance(found, Scalar) else None


def is_set(step: Step, name: str) -> bool:
    """Say whether an input is there and not `false`."""
    found = input_of(step, name)
    return found is not None and found.text.strip().lower() != "false"
