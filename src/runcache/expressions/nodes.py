"""The tree of an expression.

Each node has as its `position` where its text begins, as an offset in the expression. Nodes are
named tuples, which take a tenth of the time of data classes to define: to tell two apart, compare
their types as well.
"""

from collections.abc import Iterator
from typing import Literal as OneOf
from typing import NamedTuple, TypeAlias

ComparisonOperator = OneOf["==", "!=", "<", "<=", ">", ">="]


class Literal(NamedTuple):
    """A value that is written out."""

    value: bool | float | str | None
    position: int = 0


class ContextName(NamedTuple):
    """A context such as `runner`, as it was written."""

    name: str
    position: int


class Index(NamedTuple):
    """`operand[index]`, or `operand.name`, which is the same with a literal."""

    operand: "Node"
    index: "Node"  # type: ignore[assignment]  # hides a method of tuples that no node needs
    position: int


class Filter(NamedTuple):
    """`operand.*` or `operand[*]`."""

    operand: "Node"
    position: int


class Call(NamedTuple):
    """A function and its arguments; the name is as it was written."""

    name: str
    arguments: tuple["Node", ...]
    position: int


class Not(NamedTuple):
    """`!operand`."""

    operand: "Node"
    position: int


class Comparison(NamedTuple):
    """`left == right` and its relatives."""

    operator: ComparisonOperator
    left: "Node"
    right: "Node"
    position: int


class And(NamedTuple):
    """`a && b && c`, at least two of them."""

    operands: tuple["Node", ...]
    position: int


class Or(NamedTuple):
    """`a || b || c`, at least two of them."""

    operands: tuple["Node", ...]
    position: int


Node: TypeAlias = Literal | ContextName | Index | Filter | Call | Not | Comparison | And | Or


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right below this one, in the order of their texts."""
    match node:
        case Index(operand, index):
            return (operand, index)
        case Filter(operand) | Not(operand):
            return (operand,)
        case Call(_, arguments):
            return arguments
        case Comparison(_, left, right):
            return (left, right)
        case And(operands) | Or(operands):
            return operands
    return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all that are below it, each before those below itself."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(children(node)))


def depth_of(node: Node) -> int:
    """Return how many nodes are on the longest way down, this one included."""
    return 1 + max(map(depth_of, children(node)), default=0)
