"""The calls of `hashFiles` in the keys of a step, and the patterns that they are given."""

from collections.abc import Iterator
from dataclasses import dataclass

from runcache.errors import ExpressionError
from runcache.expressions.hashfiles import FOLLOW
from runcache.expressions.nodes import Call, Node
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.scopes import Scope
from runcache.insight.lint.source import Place
from runcache.insight.lint.templates import Text, hash_calls
from runcache.insight.lint.values import known_value


@dataclass(frozen=True, slots=True)
class HashCall:
    """A call in a text.

    `is_needed`: the text is made with its result, whatever the circumstances are.
    """

    text: Text
    call: Call
    is_needed: bool

    def place(self) -> Place:
        """Return where it is written, up to its closing bracket."""
        return self.text.place(self.call.position, _end_of(self.text.value, self.call.position))

    def patterns(self, scope: Scope) -> tuple[str, ...] | None:
        """Return the patterns, each of one line; `None` if one of them is not known."""
        values = [known_value(argument, scope) for argument in self.call.arguments]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        lines = "\n".join(value for value in known if value.lower() != FOLLOW).split("\n")
        return tuple(line.strip() for line in lines if line.strip())


def hash_calls_of(step: CacheStep) -> Iterator[HashCall]:
    """Yield the calls in the key of a step."""
    if step.key is None:
        return
    try:
        trees = [part.tree for part in step.key.parts() if part.tree]
    except ExpressionError:
        return
    for tree in trees:
        needed = {call.position for call in _needed_calls(tree)}
        for call in hash_calls(tree):
            yield HashCall(step.key, call, call.position in needed)


def hashed_patterns(step: CacheStep) -> tuple[str, ...] | None:
    """Return the patterns of all calls in the key of a step; `None` if one is not known."""
    found: dict[str, None] = {}
    for call in hash_calls_of(step):
        for scope in step.at.scopes:
            patterns = call.patterns(scope)
            if patterns is None:
                return None
            found |= dict.fromkeys(patterns)
    return tuple(found)


def _needed_calls(tree: Node) -> Iterator[Call]:
    """Yield the calls that are the expression itself, or arguments of a `format`."""
    match tree:
        case Call(name) if name.lower() == "hashfiles":
            yield tree
        case Call(name, arguments) if name.lower() == "format":
            for argument in arguments:
                yield from _needed_calls(argument)


def _end_of(text: str, position: int) -> int:
    """Return where a call that begins at `position` ends."""
    at = text.index("(", position) + 1
    depth, is_quoted = 1, False
    while depth:
        if text[at] == "'":
            is_quoted = not is_quoted
        elif not is_quoted:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at
