"""What the names in expressions mean in a step, as far as the workflow says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from runcache.insight.lint import nodes
from runcache.insight.lint.matrix import UNKNOWN, Case, Single, Value
from runcache.insight.lint.templates import Text, written_in

SYSTEMS: Final = frozenset({"Linux", "Windows", "macOS"})
ARCHITECTURES: Final = frozenset({"X86", "X64", "ARM", "ARM64"})


@dataclass(frozen=True, slots=True)
class Opaque:
    """What only a run can tell; `options` are the values that it can have, if these are known."""

    expression: str
    options: frozenset[str] = frozenset()


class Budget:
    """How many names of a file are looked up: then the rest is unknown, so that none takes long."""

    def __init__(self, limit: int = 200_000) -> None:
        self._left = limit

    def allows_one_more(self) -> bool:
        """Count one, and say whether it is within the limit."""
        self._left -= 1
        return self._left >= 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known where a step's texts are evaluated.

    `step_env` are the variables of the step, which may be made of those in `env`: the blocks of
    job and workflow, innermost first. `changing` are variables that an earlier step may have
    changed. `keys` are those of earlier cache steps, by the step's id in small letters, each with
    the scope that it is evaluated in.
    """

    case: Case
    budget: Budget
    step_env: nodes.Mapping | None = None
    env: tuple[nodes.Mapping, ...] = ()
    changing: frozenset[str] = frozenset()
    keys: Mapping[str, tuple[Text, "Scope"]] = field(default_factory=dict)
    job: str | None = None
    workflow: str | None = None


Meaning: TypeAlias = Single | Opaque | tuple[Text, Scope]


def meaning_of(path: Sequence[str], scope: Scope) -> Meaning:
    """Return the value of a chain of names, a text to evaluate for it, or that it is unknown."""
    name = ".".join(path)
    if not scope.budget.allows_one_more():
        return Opaque(name)
    found: Meaning | None = None
    match path:
        case ("runner", "os"):
            found = scope.case.os or Opaque(name, SYSTEMS)
        case ("runner", "arch"):
            found = Opaque(name, ARCHITECTURES)
        case ("github", "job"):
            found = scope.job
        case ("github", "workflow"):
            found = scope.workflow
        case ("matrix", *names) if scope.case.matrix is not None:
            found = _of_matrix(names, scope.case.matrix)
        case ("env", variable):
            found = _of_env(variable, scope)
        case ("steps", step, "outputs", "cache-primary-key") if step in scope.keys:
            found = scope.keys[step]
    return Opaque(name) if found is None else found


def _of_matrix(names: Sequence[str], matrix: Mapping[str, Value]) -> Single:
    """Return a value of the matrix; what is not there is an empty text, and `None` is unknown."""
    value: Value | Mapping[str, Value] = matrix
    for name in names:
        if isinstance(value, Mapping):
            value = next((item for key, item in value.items() if key.lower() == name), "")
        elif value is not UNKNOWN:
            value = ""
    if value is UNKNOWN or isinstance(value, Mapping):
        return None
    return "" if value is None else value


def _of_env(variable: str, scope: Scope) -> tuple[Text, Scope] | None:
    blocks = (scope.step_env, *scope.env) if scope.step_env else scope.env
    for block in blocks:
        is_own = block is scope.step_env
        if variable in scope.changing and not is_own:
            return None
        if (value := block.find(variable)) is not None:
            # The variables of a job and of a workflow cannot be made of others.
            inner = replace(scope, step_env=None, env=scope.env if is_own else ())
            return (written_in(value), inner) if isinstance(value, nodes.Scalar) else None
    return None
