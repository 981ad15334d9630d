"""What stands in `if:` (management §5.4)."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from os import PathLike
from typing import Final, cast

from runcache.expressions import interpolation
from runcache.expressions.evaluator import Evaluator
from runcache.expressions.functions import FUNCTIONS, Arguments, Function
from runcache.expressions.hashfiles import hash_files_below
from runcache.expressions.nodes import And, Call, Node, walk
from runcache.expressions.numbers import WHITE_SPACE
from runcache.expressions.parser import parse
from runcache.expressions.signatures import FUNCTIONS as SIGNATURES
from runcache.expressions.signatures import STATUS_FUNCTIONS, Signatures
from runcache.expressions.values import Value, is_truthy

_KNOWN: Final[Signatures] = {**SIGNATURES, **STATUS_FUNCTIONS}


class Status(StrEnum):
    """How a job went up to the step whose condition is evaluated."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


def parse_condition(text: str, *, names: Collection[str] | None) -> Node:
    """Return the tree of a condition, with `success() && …` unless it asks for the status itself.

    It may be an expression with or without braces. A text that holds braces and something else is
    no expression but a `format`, and a string that is not empty is always true.

    Raises:
        ExpressionError: it cannot be read.
    """
    if interpolation.OPENING in text:
        tree = interpolation.tree(text, names=names, functions=_KNOWN)
    else:
        tree = parse(text, names=names, functions=_KNOWN)
    success = Call("success", (), 0)
    if not text.strip(WHITE_SPACE):
        return success
    if any(isinstance(node, Call) and node.name.lower() in STATUS_FUNCTIONS for node in walk(tree)):
        return tree
    others = tree.operands if isinstance(tree, And) else (tree,)
    return And((success, *others), 0)


def holds(
    text: str, contexts: Mapping[str, object], status: Status, *, root: str | PathLike[str] = "."
) -> bool:
    """Say whether a step with this condition runs; `hashFiles` looks for files below `root`.

    Raises:
        ExpressionError: the condition cannot be read, or has no value.
    """
    functions = {**FUNCTIONS, **_status_functions(status), "hashfiles": hash_files_below(root)}
    tree = parse_condition(text, names=contexts)
    evaluator = Evaluator(text, cast("Mapping[str, Value]", contexts), functions)
    return is_truthy(evaluator.evaluate(tree))


def _status_functions(status: Status) -> dict[str, Function]:
    def answering(*, is_true: bool) -> Function:
        def function(arguments: Arguments) -> bool:
            if len(arguments):
                raise ValueError("only the condition of a job may name other jobs")
            return is_true

        return function

    return {
        "always": answering(is_true=True),
        **{name: answering(is_true=status == name) for name in Status},
    }
