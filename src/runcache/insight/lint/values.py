"""What texts become when a job runs, as far as the workflow says it.

A text becomes pieces: text that is known, digests of files, and what only the run can tell. Two
pieces of the last kind are the same if they come from the same expression in the same job.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from runcache.errors import ExpressionError
from runcache.expressions import evaluate
from runcache.expressions.nodes import Call, Literal, Node
from runcache.expressions.values import to_string
from runcache.insight.lint.scopes import Meaning, Opaque, Scope, meaning_of
from runcache.insight.lint.templates import Part, Text, canonical, path_of, references

MAX_PIECES: Final = 200
MAX_LENGTH: Final = 20_000  # of known text; no key is as long

_ITEM: Final = re.compile(r"\{\{|\}\}|\{(?P<number>[0-9]{1,3})\}|[^{}]+")  # of a format


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of files: 64 hex digits, or nothing if there is no such file."""

    expression: str


Piece: TypeAlias = str | Digest | Opaque
Pieces: TypeAlias = tuple[Piece, ...]
"""No two known texts are neighbours, and none is empty."""


def pieces_of(text: Text, scope: Scope) -> Pieces:
    """Return what a text becomes; if it cannot be read, that is not known."""
    try:
        parts = text.parts()
    except ExpressionError:
        return (Opaque(text.value),)
    found: list[Piece] = []
    for part in parts:
        found += _pieces_of_part(part, scope)
        if len(found) > MAX_PIECES:
            break
    joined = _joined(found)
    return (Opaque(text.value),) if joined is None else joined


def references_of(text: Text, scope: Scope) -> frozenset[str]:
    """Return what a text depends on: names such as `runner.os`, and `hashfiles`.

    A variable that the workflow defines is replaced by what its own value depends on, and values
    of a matrix that are known are left out. Of a text that cannot be read nothing is known but
    itself.
    """
    try:
        parts = text.parts()
    except ExpressionError:
        return frozenset({text.value})
    found: set[str] = set()
    for part in parts:
        for node in references(part.tree) if part.tree else ():
            path = path_of(node) or ("hashfiles",)
            meaning = meaning_of(path, scope)
            if isinstance(meaning, tuple):
                found |= references_of(*meaning)
            elif isinstance(meaning, Opaque) or path[0] != "matrix":
                found.add(".".join(path))
    return frozenset(found)


def known_text(pieces: Pieces) -> str | None:
    """Return the whole text, if all of it is known."""
    if any(not isinstance(piece, str) for piece in pieces):
        return None
    return "".join(piece for piece in pieces if isinstance(piece, str))


def known_value(node: Node, scope: Scope) -> str | None:
    """Return what an expression becomes, if all of it is known."""
    return known_text(_pieces(node, scope))


def _pieces_of_part(part: Part, scope: Scope) -> Pieces:
    if part.tree is None:
        return _text(part.text)
    pieces = _pieces(part.tree, scope)
    if pieces == (Opaque(canonical(part.tree)),):
        constant = _constant(part.text, part.tree, scope)
        return pieces if constant is None else _text(constant)
    return pieces


def _pieces(node: Node, scope: Scope) -> Pieces:
    match node:
        case Literal(value):
            return _text(to_string(value))
        case Call(name) if name.lower() == "hashfiles":
            return (Digest(canonical(node)),)
        case Call(name, (Literal(str(pattern)), *arguments)) if name.lower() == "format":
            formatted = _formatted(pattern, arguments, scope)
            return (Opaque(canonical(node)),) if formatted is None else formatted
    if path := path_of(node):
        return _referred(meaning_of(path, scope))
    return (Opaque(canonical(node)),)


def _referred(meaning: Meaning) -> Pieces:
    match meaning:
        case (Text() as text, Scope() as scope):
            return pieces_of(text, scope)
        case Opaque():
            return (meaning,)
    return _text(to_string(meaning))


def _constant(expression: str, tree: Node, scope: Scope) -> str | None:
    """Return what an expression becomes if everything in it is known."""
    contexts: dict[str, Any] = {}
    for reference in references(tree):
        *names, last = path_of(reference) or ("hashfiles",)
        meaning = meaning_of((*names, last), scope)
        known = known_text(pieces_of(*meaning)) if isinstance(meaning, tuple) else meaning
        if known is None or isinstance(known, Opaque) or not names:
            return None
        place = contexts
        for name in names:
            place = place.setdefault(name, {})
        place[last] = known
    try:
        return to_string(evaluate(expression, contexts))
    except ExpressionError:
        return None


def _formatted(pattern: str, arguments: Sequence[Node], scope: Scope) -> Pieces | None:
    """Return what `format` makes, and `None` if that is an error or too long."""
    made = [_pieces(argument, scope) for argument in arguments]
    found: list[Piece] = []
    at = 0
    while at < len(pattern) and len(found) <= MAX_PIECES:
        item = _ITEM.match(pattern, at)
        if item is None:
            return None
        if item["number"] is None:
            found.append({"{{": "{", "}}": "}"}.get(item[0], item[0]))
        elif int(item["number"]) < len(made):
            found += made[int(item["number"])]
        else:
            return None
        at = item.end()
    return _joined(found)


def _joined(pieces: Sequence[Piece]) -> Pieces | None:
    """Join known texts that are neighbours; `None` if it becomes too long to look at."""
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        elif piece != "":
            found.append(piece)
    length = sum(len(piece) for piece in found if isinstance(piece, str))
    return tuple(found) if len(pieces) <= MAX_PIECES and length <= MAX_LENGTH else None


def _text(text: str) -> Pieces:
    return (text,) if text else ()
