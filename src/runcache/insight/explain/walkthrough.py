"""The lookup itself in words: its scopes, its steps, its answer, and what else matches."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runcache.access import Role
from runcache.catalog.near import Kept
from runcache.insight.explain.candidates import Asked, is_matching
from runcache.insight.explain.values import ReadableScope, Rival, StepOutcome
from runcache.insight.explain.wording import ago, quoted, role_of
from runcache.matching import Outcome, Step, answered_step, outcomes
from runcache.model import Entry, MatchKind

MAX_RIVALS: Final = 5


def scopes_of(roles: Mapping[str, Role]) -> tuple[ReadableScope, ...]:
    """Return what is searched, in order, and why."""
    return tuple(
        ReadableScope(scope, role, f"{quoted(scope)} is searched: {role_of(role)}.")
        for scope, role in roles.items()
    )


def outcomes_of(
    steps: Sequence[Step], answer: Entry | None, roles: Mapping[str, Role], now_ms: int
) -> tuple[StepOutcome, ...]:
    """Return what came of each step of a lookup that ended with `answer`."""
    return tuple(
        StepOutcome(
            scope=step.scope,
            role=roles[step.scope],
            key=step.key,
            kind=step.kind,
            is_exact=step.is_exact,
            outcome=outcome,
            entry=answer if outcome is Outcome.ANSWERED else None,
            sentence=_step_sentence(step, outcome, answer, now_ms),
        )
        for step, outcome in zip(steps, outcomes(steps, answer), strict=True)
    )


def headline_of(steps: Sequence[Step], answer: Entry | None, asked: Asked) -> str:
    """Return the answer in one sentence."""
    if answer is None:
        on = f"{quoted(asked.keys[0])} on {quoted(asked.scopes[0])}"
        return f"Nothing is restored for {on}: no step finds an entry."
    step = answered_step(steps, answer)
    why = {
        MatchKind.EXACT: "it is the key itself",
        MatchKind.PREFIX: "it is the newest whose key begins with the key",
        MatchKind.RESTORE_KEY: f"it is found by the restore key {quoted(step.key)}",
    }
    return f"{quoted(answer.key)} is restored from {quoted(answer.scope)}: {why[step.kind]}."


def rivals_of(
    steps: Sequence[Step], answer: Entry, entries: Iterable[Kept], asked: Asked
) -> tuple[Rival, ...]:
    """Return the entries that would be restored next, and why `answer` goes before them."""
    matching = [
        kept.entry for kept in entries if kept.entry.id != answer.id and is_matching(asked, kept)
    ]

    def rank(entry: Entry) -> tuple[int, int, int, int]:
        step = steps.index(answered_step(steps, entry))
        return step, asked.versions.index(entry.version), -entry.created_at, -entry.id

    nearest = sorted(matching, key=rank)[:MAX_RIVALS]
    return tuple(Rival(entry, _why_not(steps, answer, entry, asked)) for entry in nearest)


def _step_sentence(step: Step, outcome: Outcome, answer: Entry | None, now_ms: int) -> str:
    key = quoted(step.key)
    if outcome is Outcome.NOT_REACHED:
        return "Not looked for, since a step before has found something."
    if answer is None or outcome is Outcome.NOTHING:
        has = "has the key" if step.is_exact else "has a key that begins with"
        return f"No entry of the wanted version {has} {key}."
    saved = f"saved {ago(answer.created_at, now_ms)}"
    if step.is_exact:
        return f"{key} is there, {saved}."
    return f"{quoted(answer.key)}, {saved}, is the newest whose key begins with {key}."


def _why_not(steps: Sequence[Step], answer: Entry, entry: Entry, asked: Asked) -> str:
    """Say why `answer` goes before `entry`."""
    first, second = answered_step(steps, answer), answered_step(steps, entry)
    if first.scope != second.scope:
        key_itself = second.is_exact and not first.is_exact and second.kind is MatchKind.EXACT
        but = "it is the key itself, but " if key_itself else ""
        why = f"{but}{quoted(first.scope)} is searched to its end before {quoted(second.scope)}"
    elif first.key != second.key:
        why = f"{quoted(first.key)} is looked for before {quoted(second.key)}"
    elif first.is_exact != second.is_exact:
        why = f"{quoted(first.key)} itself goes before keys that begin with it"
    elif answer.version != entry.version:
        why = f"version {1 + asked.versions.index(answer.version)} of those asked for goes first"
    else:
        why = f"of the keys that begin with {quoted(first.key)} the newest goes first"
    return f"{quoted(entry.key)} of {quoted(entry.scope)}: {why}."
