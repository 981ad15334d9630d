"""GitHub's expression language, as the runner evaluates it (management §5.4)."""

from collections.abc import Mapping
from os import PathLike
from types import MappingProxyType
from typing import Final, cast

from runcache.errors import ExpressionError
from runcache.expressions import interpolation
from runcache.expressions.evaluator import Evaluator
from runcache.expressions.functions import FUNCTIONS
from runcache.expressions.hashfiles import hash_files_below
from runcache.expressions.nodes import Node
from runcache.expressions.parser import parse
from runcache.expressions.values import Value, is_primitive, kind_of, to_string

__all__ = ["Value", "evaluate", "interpolate"]

_NO_CONTEXTS: Final[Mapping[str, object]] = MappingProxyType({})


def evaluate(
    expression: str,
    contexts: Mapping[str, object] = _NO_CONTEXTS,
    *,
    root: str | PathLike[str] = ".",
) -> Value:
    """Return the value of an expression, which is written without its `${{` and `}}`.

    Args:
        expression: the text; an empty one is None.
        contexts: the values of `runner`, `github` and so on, made of None, bool, int, float, str,
            list and dict. Other names are unknown.
        root: the folder below which `hashFiles` looks for files.

    Raises:
        ExpressionError: the expression cannot be read, or has no value.
    """
    return _value_of(parse(expression, names=contexts), expression, contexts, root)


def interpolate(
    text: str,
    contexts: Mapping[str, object] = _NO_CONTEXTS,
    *,
    root: str | PathLike[str] = ".",
) -> str:
    """Return a text, such as a key, with the value in place of each `${{ expression }}`.

    Contexts and root are those of `evaluate`.

    Raises:
        ExpressionError: an expression cannot be read or has no value, or the text is nothing but
            one and that gives an array or an object.
    """
    value = _value_of(interpolation.tree(text, names=contexts), text, contexts, root)
    if not is_primitive(value):
        reason = f"a string is expected, and the expression gives an {kind_of(value).lower()}"
        raise ExpressionError(reason, kind="evaluation", position=0, expression=text)
    return to_string(value)


def _value_of(
    node: Node, expression: str, contexts: Mapping[str, object], root: str | PathLike[str]
) -> Value:
    functions = {**FUNCTIONS, "hashfiles": hash_files_below(root)}
    values = cast("Mapping[str, Value]", contexts)
    return Evaluator(expression, values, functions).evaluate(node)
