"""The jobs that a matrix makes, each with its values and the system it runs on.

What only a run can tell is `UNKNOWN`; a matrix that holds too much of it is unknown as a whole.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Final, TypeAlias

from runcache.insight.lint import nodes
from runcache.insight.lint.nodes import Node, Scalar, Sequence, items_of, mapping_of, text_of
from runcache.insight.lint.scalars import Style

MAX_CASES: Final = 256  # of one matrix, on GitHub
MAX_NAMES: Final = 50


class Unknown(Enum):
    """What only a run can tell."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN

Single: TypeAlias = bool | float | str | None
Value: TypeAlias = Single | Unknown | Mapping[str, Single | Unknown]

_OPERATING_SYSTEMS: Final = {
    "Linux": re.compile(r"ubuntu|linux|debian"),
    "Windows": re.compile(r"windows"),
    "macOS": re.compile(r"macos"),
}
_NUMBER: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OF_MATRIX: Final = re.compile(r"\$\{\{\s*matrix\.([\w-]+)(?:\.([\w-]+))?\s*\}\}")


@dataclass(frozen=True, slots=True)
class Case:
    """One job of a matrix: its values by name, and `runner.os`; `None` where it is unknown."""

    matrix: Mapping[str, Value] | None
    os: str | None


def cases_of(job: nodes.Mapping) -> tuple[Case, ...]:
    """Return the jobs that a job of a workflow becomes, or one of which the matrix is unknown."""
    strategy = mapping_of(job.get("strategy"))
    matrix = strategy.get("matrix") if strategy else None
    combinations = [{}] if matrix is None else _combinations(matrix)
    runs_on = job.get("runs-on")
    if combinations is None:
        return (Case(None, _os_of(runs_on, None)),)
    return tuple(Case(values, _os_of(runs_on, values)) for values in combinations)


def value_of(node: Node) -> Value:
    """Return what an expression sees of a value: a scalar, or a mapping of them."""
    if isinstance(node, nodes.Mapping):
        return {key.text: _single(value) for key, value in node.entries}
    return _single(node)


def _single(node: Node) -> Single | Unknown:
    if not isinstance(node, Scalar) or "${{" in node.text:
        return UNKNOWN
    if node.style is not Style.PLAIN:
        return node.text
    if node.text in {"", "~", "null", "Null", "NULL"}:
        return None
    if node.text.lower() in {"true", "false"}:
        return node.text.lower() == "true"
    return float(node.text) if _NUMBER.fullmatch(node.text) else node.text


def _combinations(matrix: Node) -> list[dict[str, Value]] | None:
    if not isinstance(matrix, nodes.Mapping):
        return None
    axes = {
        name.text: node for name, node in matrix.entries if name.text not in {"include", "exclude"}
    }
    sizes = [len(items_of(node)) for node in axes.values()]
    are_lists = all(isinstance(node, Sequence) for node in axes.values())
    if not are_lists or len(axes) > MAX_NAMES or prod(sizes) > MAX_CASES:
        return None
    excluded = _entries(matrix.get("exclude"))
    included = _entries(matrix.get("include"))
    if excluded is None or included is None:
        return None
    values = [[value_of(item) for item in items_of(node)] for node in axes.values()]
    made = [dict(zip(axes, row, strict=True)) for row in itertools.product(*values)] if axes else []
    kept = [row for row in made if not any(_agrees(row, entry) for entry in excluded)]
    return list(_with_included(kept, included)) or None


def _entries(node: Node | None) -> list[dict[str, Value]] | None:
    """Return the entries of `include` or `exclude`, and `None` if one of them is unknown."""
    if node is None:
        return []
    items = items_of(node)
    if not isinstance(node, Sequence) or len(items) > MAX_CASES:
        return None
    entries = []
    for item in items:
        if not isinstance(item, nodes.Mapping) or len(item.entries) > MAX_NAMES:
            return None
        entries.append({key.text: value_of(value) for key, value in item.entries})
    return None if any(UNKNOWN in entry.values() for entry in entries) else entries


def _agrees(row: Mapping[str, Value], entry: Mapping[str, Value]) -> bool:
    return all(name in row and row[name] == value for name, value in entry.items())


def _with_included(
    rows: list[dict[str, Value]], entries: Iterable[dict[str, Value]]
) -> Iterator[dict[str, Value]]:
    """Extend each row by the entries that change none of its own values; the others are rows."""
    extended = [dict(row) for row in rows]
    alone = []
    for entry in entries:
        fits = [
            at
            for at, row in enumerate(rows)
            if all(row.get(name, value) == value for name, value in entry.items())
        ]
        for at in fits:
            extended[at].update(entry)
        if not fits:
            alone.append(entry)
    yield from extended
    yield from alone


def _os_of(runs_on: Node | None, matrix: Mapping[str, Value] | None) -> str | None:
    if isinstance(runs_on, nodes.Mapping):
        runs_on = runs_on.get("labels")
    labels = [text_of(item) for item in (items_of(runs_on) or (runs_on,))]
    texts = [_resolved(label, matrix) for label in labels if label]
    found = {
        name
        for text in texts
        for name, pattern in _OPERATING_SYSTEMS.items()
        if text is not None and pattern.search(text.lower())
    }
    return found.pop() if len(found) == 1 and None not in texts else None


def _resolved(label: str, matrix: Mapping[str, Value] | None) -> str | None:
    """Return a label of a runner, and `None` if it holds more than values of the matrix."""
    if "${{" not in label:
        return label
    found = _OF_MATRIX.fullmatch(label.strip())
    if found is None or matrix is None:
        return None
    value = matrix.get(found[1])
    if found[2] and isinstance(value, Mapping):
        value = value.get(found[2])
    return value if isinstance(value, str) else None
