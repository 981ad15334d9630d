"""Nodes made of others, with their depths: the parser refuses a tree before it is too deep."""

from collections.abc import Sequence
from typing import NamedTuple, cast

from runcache.expressions.lexer import Token
from runcache.expressions.nodes import (
    And,
    Call,
    Comparison,
    ComparisonOperator,
    Filter,
    Index,
    Literal,
    Node,
    Not,
    Or,
)


class Measured(NamedTuple):
    """A node and how many nodes are on the longest way down, itself included."""

    node: Node
    depth: int = 1


def call(function: Token, arguments: Sequence[Measured]) -> Measured:
    """Return the call of a function."""
    nodes = tuple(argument.node for argument in arguments)
    return _above(Call(function.text, nodes, function.position), *arguments)


def member(operand: Measured, name: Token) -> Measured:
    """Return `operand.name`."""
    return index(operand, Measured(Literal(name.text, name.position)))


def index(operand: Measured, inner: Measured) -> Measured:
    """Return `operand[inner]`."""
    return _above(Index(operand.node, inner.node, operand.node.position), operand, inner)


def all_items(operand: Measured) -> Measured:
    """Return `operand.*`."""
    return _above(Filter(operand.node, operand.node.position), operand)


def negation(operator: Token, operand: Measured) -> Measured:
    """Return `!operand`."""
    return _above(Not(operand.node, operator.position), operand)


def comparison(operator: Token, left: Measured, right: Measured) -> Measured:
    """Return `left operator right`."""
    spelling = cast("ComparisonOperator", operator.text)
    node = Comparison(spelling, left.node, right.node, left.node.position)
    return _above(node, left, right)


def chain(operator: Token, operands: Sequence[Measured]) -> Measured:
    """Return operands joined by `&&` or `||` as one node.

    A chain of the same operator among them, which was in brackets, is dissolved in it.
    """
    kind = And if operator.text == "&&" else Or
    nodes: list[Node] = []
    depth = 0
    for node, own_depth in operands:
        if isinstance(node, kind):
            nodes.extend(node.operands)
            depth = max(depth, own_depth)
        else:
            nodes.append(node)
            depth = max(depth, own_depth + 1)
    return Measured(kind(tuple(nodes), operands[0].node.position), depth)


def _above(node: Node, *operands: Measured) -> Measured:
    return Measured(node, 1 + max((operand.depth for operand in operands), default=0))
