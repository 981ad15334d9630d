"""Tree → value."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from runcache.errors import ExpressionError
from runcache.expressions.casing import fold
from runcache.expressions.functions import Arguments, Function
from runcache.expressions.memory import POINTER_BYTES, Counter, Memory
from runcache.expressions.nodes import (
    And,
    Call,
    Comparison,
    ContextName,
    Filter,
    Index,
    Literal,
    Node,
    Not,
    Or,
)
from runcache.expressions.values import (
    Filtered,
    Kind,
    Value,
    are_equal,
    is_less,
    is_primitive,
    is_truthy,
    kind_of,
    members,
    to_number,
    to_string,
)

_COMPARISONS: Final[Mapping[str, Callable[[Value, Value], bool]]] = {
    "==": are_equal,
    "!=": lambda left, right: not are_equal(left, right),
    "<": is_less,
    "<=": lambda left, right: are_equal(left, right) or is_less(left, right),
    ">": lambda left, right: is_less(right, left),
    ">=": lambda left, right: are_equal(left, right) or is_less(right, left),
}

_Members = dict[str, tuple[str, Value]]


class Evaluator:
    """Evaluates trees of one expression.

    Args:
        expression: its text, for errors.
        contexts: their values by name; of names that differ in case the first counts.
        functions: by their names in small letters, at least those that the tree names.
    """

    def __init__(
        self, expression: str, contexts: Mapping[str, Value], functions: Mapping[str, Function]
    ) -> None:
        self._expression = expression
        self._contexts = members(contexts)
        self._functions = functions
        self._memory = Memory()
        # Objects by their identity; the entry keeps the object alive, so that it stays its own.
        self._members: dict[int, tuple[object, _Members]] = {}

    def evaluate(self, tree: Node) -> Value:
        """Return the value of a tree; a number is a float, and an array a plain list.

        Raises:
            ExpressionError: a function has no result, or a limit is exceeded.
        """
        value = self._evaluate(tree, 0)
        if isinstance(value, Filtered):
            return list(value)
        return to_number(value) if kind_of(value) is Kind.NUMBER else value

    def _evaluate(self, node: Node, level: int) -> Value:
        try:
            return self._value_of(node, level)
        except ValueError as exc:
            raise ExpressionError(
                str(exc), kind="evaluation", position=node.position, expression=self._expression
            ) from exc

    def _value_of(self, node: Node, level: int) -> Value:
        counter = Counter(self._memory)
        value: Value
        match node:
            case Literal():
                value = node.value
            case ContextName(name):
                value = self._contexts[fold(name)][1]
            case Index():
                value = self._index(node, level, counter)
            case Call():
                value = self._call(node, level, counter)
            case Comparison(operator, left, right):
                compare = _COMPARISONS[operator]
                value = compare(self._evaluate(left, level + 1), self._evaluate(right, level + 1))
            case And(operands):
                value = self._first(operands, level, is_wanted=False)
            case Or(operands):
                value = self._first(operands, level, is_wanted=True)
            case Not(operand):
                value = not is_truthy(self._evaluate(operand, level + 1))
            case Filter(operand):
                value = self._filter(self._evaluate(operand, level + 1), counter)
        self._memory.hold(level, value, new_bytes=counter.taken_bytes)
        return value

    def _first(self, operands: tuple[Node, ...], level: int, *, is_wanted: bool) -> Value:
        """Return the first operand that is truthy, or falsy, as wanted; else the last."""
        value: Value = None
        for operand in operands:
            value = self._evaluate(operand, level + 1)
            if is_truthy(value) is is_wanted:
                break
        return value

    def _call(self, node: Call, level: int, counter: Counter) -> Value:
        def evaluate(number: int) -> Value:
            return self._evaluate(node.arguments[number], level + 1)

        function = self._functions[node.name.lower()]
        return function(Arguments(evaluate, len(node.arguments), self._memory, counter))

    def _index(self, node: Index, level: int, counter: Counter) -> Value:
        operand = self._evaluate(node.operand, level + 1)
        # The index of what has no items is not evaluated, as in the runner.
        if is_primitive(operand):
            return None
        index = self._evaluate(node.index, level + 1)
        if isinstance(operand, Filtered):
            counter.add(POINTER_BYTES * len(operand))
            return Filtered(value for item in operand for value in self._items(item, index))
        return next(self._items(operand, index), None)

    def _items(self, operand: Value, index: Value) -> Iterator[Value]:
        """Yield the one item of an array or object that an index means, if there is one."""
        if isinstance(operand, dict) and is_primitive(index):
            found = self._members_of(operand).get(fold(to_string(index)))
            if found is not None:
                yield found[1]
        elif isinstance(operand, list):
            number = to_number(index)
            if 0 <= number < len(operand):
                yield operand[math.floor(number)]

    def _filter(self, operand: Value, counter: Counter) -> Filtered:
        """Return the items of an array or object; those of each item if it was filtered before."""
        containers = operand if isinstance(operand, Filtered) else [operand]
        found = Filtered()
        for container in containers:
            if isinstance(container, list | dict):
                counter.add(POINTER_BYTES * len(container))
            if isinstance(container, list):
                found.extend(container)
            elif isinstance(container, dict):
                found.extend(value for _, value in self._members_of(container).values())
        return found

    def _members_of(self, mapping: dict[str, Value]) -> _Members:
        known = self._members.get(id(mapping))
        if known is None:
            known = self._members[id(mapping)] = (mapping, members(mapping))
        return known[1]
