"""Restore keys: whether there are any, what they find, and in which order."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from runcache.insight.lint.cache_steps import CacheStep, seen_from
from runcache.insight.lint.ecosystems import Ecosystem, Interpreter, ecosystems_of_files
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.hash_calls import hashed_patterns
from runcache.insight.lint.matrix import Case
from runcache.insight.lint.prefixes import starts_with
from runcache.insight.lint.project import Project
from runcache.insight.lint.scopes import Opaque, meaning_of
from runcache.insight.lint.templates import Text
from runcache.insight.lint.values import Digest, Pieces, pieces_of

MAX_LOOKED_AT: Final = 20  # different keys of another step

# Names of systems and what is between words: a restore key of these says not what it is for.
_SAYS_NOTHING: Final = re.compile(
    r"(?:[\W_]|(?:linux|ubuntu|windows|macos)(?:-(?:latest|[0-9.]++))?+|x64|arm64)*+",
    re.IGNORECASE,
)
_OF_THE_RUNNER: Final = frozenset({"runner.os", "runner.arch"})


def no_restore_keys(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find downloads that start from nothing whenever a dependency changes."""
    if step.key is None or step.restore_keys != () or not step.restores or step.wants_exact_key:
        return
    has_beginning = any(isinstance(piece, Digest) for piece in step.keys[0][1:])
    if has_beginning and _can_use_older(step) and not _is_handed_over(step, project):
        beginning = _beginning_of(step.key)
        form = "`restore-keys: {}`" if step.action else "`--restore-key '{}'`"
        yield Fault(
            step.key.place(),
            "without restore keys each change of the dependencies starts from nothing",
            f"add {form.format(beginning)}" if beginning else None,
        )


def _can_use_older(step: CacheStep) -> bool:
    """Say whether an older entry helps, as far as is known: whether tools add to it what they lack.

    `npm ci` makes its folder anew, and who names more in a key than the system wants no other
    environment.
    """
    contents = step.contents
    if not contents or len(contents) < len(step.included):
        return False
    interpreters = {content.interpreter for content in contents}
    names_more = not step.references <= {"hashfiles", "runner.os", "runner.arch"} or any(
        re.search("[0-9]", piece) for piece in step.keys[0] if isinstance(piece, str)
    )
    return Interpreter.NODE not in interpreters and not (
        Interpreter.PYTHON in interpreters and names_more
    )


def _is_handed_over(step: CacheStep, project: Project) -> bool:
    """Say whether another job of the workflow saves just this entry for the step."""
    return not step.saves and any(
        other.saves and other.at.workflow is step.at.workflow and other.at.job is not step.at.job
        for key in step.keys
        for other in project.steps_with(key)
    )


def _beginning_of(key: Text) -> str | None:
    """Return what is written before the first expression with a hash."""
    part = next((part for part in key.parts() if "hashFiles" in part.text), None)
    found = key.value[: part.position].rstrip() if part else ""
    return found.removesuffix("${{").rstrip() or None


def restore_key_not_prefix(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find restore keys that neither the step's own entries begin with, nor those of another."""
    texts = step.restore_keys if step.key else None
    for text in texts or ():
        pairs = zip(step.keys, step.becomes(text), strict=True)
        is_none = all(starts_with(key, prefix) is False for key, prefix in pairs)
        if is_none and not _finds_another(step, text, project):
            message = "the key does not begin with this restore key, so it finds no older entry"
            yield Fault(text.place(), message)


def _finds_another(step: CacheStep, text: Text, project: Project) -> bool:
    """Say whether a restore key may find what another step saves at the same paths."""
    prefixes = _different(step.becomes(text))
    return any(
        starts_with(key, prefix) is not False
        for other in project.steps_at(step.paths)
        if other is not step
        for key in _different(other.keys)
        for prefix in prefixes
    )


def _different(keys: Iterable[Pieces]) -> list[Pieces]:
    return list(islice(dict.fromkeys(keys), MAX_LOOKED_AT))


def restore_key_order(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find restore keys behind one that matches all that they do."""
    texts = step.restore_keys or ()
    becomes = [step.becomes(text) for text in texts]
    for number, text in enumerate(texts):
        for earlier in range(number):
            if becomes[earlier] != becomes[number] and all(
                starts_with(longer, shorter) is True
                for longer, shorter in zip(becomes[number], becomes[earlier], strict=True)
            ):
                before = texts[earlier].value
                message = f"`{before}` comes before it, and finds whatever it would find"
                yield Fault(text.place(), message)
                break


def restore_key_too_short(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find restore keys that name nothing but a system, or match what another tool saved."""
    if step.key is None or not step.restore_keys:
        return
    own = step.keys
    texts = [text for text in step.restore_keys if step.becomes(text) != own]
    for number, text in enumerate(texts):
        if number == 0 and _says_nothing(text, step):
            yield Fault(text.place(), "the restore key does not say what it is for")
        elif other := _crosses_to(step, text, project):
            where = seen_from(step, other, other.name.place())
            yield Fault(text.place(), f"it also finds what {where} saves for another tool")


def _says_nothing(text: Text, step: CacheStep) -> bool:
    """Say whether a restore key is made of systems, architectures and punctuation only."""
    scope = replace(step.at.scopes[0], case=Case(matrix=None, os=None))
    return all(
        _SAYS_NOTHING.fullmatch(piece) is not None
        if isinstance(piece, str)
        else isinstance(piece, Opaque) and _is_of_the_runner(piece.expression, step)
        for piece in pieces_of(text, scope)
    )


def _is_of_the_runner(expression: str, step: CacheStep) -> bool:
    if not expression.startswith("matrix."):
        return expression in _OF_THE_RUNNER
    values = [meaning_of(expression.split("."), scope) for scope in step.at.scopes]
    return all(isinstance(value, str) and _SAYS_NOTHING.fullmatch(value) for value in values)


def _crosses_to(step: CacheStep, text: Text, project: Project) -> CacheStep | None:
    """Return a step that saves another ecosystem's files where a restore key finds them."""
    own = _ecosystems(step)
    prefixes = _different(step.becomes(text))
    for other in project.steps_at(step.paths) if own else ():
        theirs = _ecosystems(other)
        if other.saves and theirs and not theirs & own:
            keys = _different(other.keys)
            if any(starts_with(key, prefix) is True for key in keys for prefix in prefixes):
                return other
    return None


def _ecosystems(step: CacheStep) -> set[Ecosystem]:
    return ecosystems_of_files(hashed_patterns(step) or ())
