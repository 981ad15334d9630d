"""What every cache service refuses (protocol §8), and expressions that cannot be read."""

from collections.abc import Iterator
from typing import Final

from runcache.errors import ExpressionError
from runcache.expressions.interpolation import tree
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.project import Project
from runcache.insight.lint.templates import CONTEXTS, Text
from runcache.insight.lint.values import Digest, Pieces
from runcache.model import MAX_KEY_UNITS, MAX_KEYS

_HEX_DIGITS: Final = 64


def keys_of(step: CacheStep) -> tuple[Text, ...]:
    """Return the texts that become keys: the key itself, and the restore keys."""
    return (*([step.key] if step.key else []), *(step.restore_keys or ()))


def broken_expression(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find texts that GitHub cannot read."""
    for text in (*keys_of(step), *step.paths):
        try:
            tree(text.value, names=CONTEXTS)
        except ExpressionError as exc:
            at = min(exc.position, max(len(text.value) - 1, 0))
            yield Fault(text.place(at, at + 1), exc.reason)


def key_too_long(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find keys that are too long even where nothing is known of their parts."""
    for text in keys_of(step):
        least = max((_least_units(pieces) for pieces in step.becomes(text)), default=0)
        if least > MAX_KEY_UNITS:
            yield Fault(text.place(), f"the key has {least} characters or more")


def _least_units(pieces: Pieces) -> int:
    """Return the least length that a text can have, in UTF-16 units; a digest is of something."""
    return sum(
        len(piece.encode("utf-16-le", "surrogatepass")) // 2
        if isinstance(piece, str)
        else _HEX_DIGITS * isinstance(piece, Digest)
        for piece in pieces
    )


def key_with_comma(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find keys with a comma."""
    for text in keys_of(step):
        at = _own_comma(text)
        if at is not None:
            yield Fault(text.place(at, at + 1), "a key cannot hold a comma")
        elif any("," in piece for pieces in step.becomes(text) for piece in _known(pieces)):
            yield Fault(text.place(), "the key holds a comma once it is evaluated")


def _known(pieces: Pieces) -> Iterator[str]:
    return (piece for piece in pieces if isinstance(piece, str))


def _own_comma(text: Text) -> int | None:
    """Return where a comma stands outside of expressions."""
    try:
        parts = text.parts()
    except ExpressionError:
        return None
    return next(
        (p.position + p.text.index(",") for p in parts if p.tree is None and "," in p.text), None
    )


def too_many_keys(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find lookups with more keys than a client sends."""
    keys = keys_of(step)
    if step.key and step.restores and len(keys) > MAX_KEYS:
        excess = keys[MAX_KEYS]
        yield Fault(excess.place(), f"this is one more than the {MAX_KEYS} keys of a lookup")
