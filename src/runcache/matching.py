"""Which entry answers a lookup, and why.

A lookup is a walk: scope by scope, and in each scope key by key, first the key itself and then the
newest entry that has it as a prefix. The catalog looks for the first step that finds something;
everybody who has to say why reads the same steps.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from runcache.errors import TooManyKeys
from runcache.model import MAX_KEYS, Entry, Key, MatchKind


class Step(NamedTuple):
    """One question of a walk: an entry of `scope` with this `key`, exactly or as its prefix.

    A lookup has up to a hundred: a tuple is made in a fifth of the time of a frozen dataclass.
    """

    scope: str
    key: str
    kind: MatchKind
    is_exact: bool

    def accepts(self, entry: Entry) -> bool:
        """Say whether `entry` answers this step (its repository and version taken as equal)."""
        if entry.scope != self.scope:
            return False
        return entry.key == self.key if self.is_exact else entry.key.startswith(self.key)


class Outcome(Enum):
    """What came of a step of a walk."""

    NOTHING = "nothing"
    ANSWERED = "answered"
    NOT_REACHED = "not_reached"  # a step before it has answered


def keys_of(primary: str, restore_keys: Iterable[str] = ()) -> tuple[Key, ...]:
    """Return the keys of a lookup, checked, each once, in order.

    go-actions-cache repeats the key itself among the restore keys, so only different ones count.

    Raises:
        InvalidKey: one of them is not a key.
        TooManyKeys: there are more than ten (protocol §8).
    """
    keys = tuple(dict.fromkeys(Key(text) for text in (primary, *restore_keys)))
    if len(keys) > MAX_KEYS:
        raise TooManyKeys(len(keys), limit=MAX_KEYS)
    return keys


def walk(scopes: Sequence[str], keys: Sequence[Key]) -> tuple[Step, ...]:
    """Return every step of a lookup in the documented order (protocol §2.4)."""
    steps: list[Step] = []
    for scope in scopes:
        for position, key in enumerate(keys):
            exact, prefix = (
                (MatchKind.EXACT, MatchKind.PREFIX)
                if position == 0
                else (MatchKind.RESTORE_KEY, MatchKind.RESTORE_KEY)
            )
            steps.append(Step(scope, key.text, exact, is_exact=True))
            steps.append(Step(scope, key.text, prefix, is_exact=False))
    return tuple(steps)


def answered_step(steps: Iterable[Step], entry: Entry) -> Step:
    """Return the step that `entry` answered: the first that accepts it.

    Raises:
        LookupError: `entry` answers none of them.
    """
    for step in steps:
        if step.accepts(entry):
            return step
    raise LookupError(entry.key)


def outcomes(steps: Sequence[Step], entry: Entry | None) -> tuple[Outcome, ...]:
    """Return what came of each step of a lookup that ended with `entry`, or with nothing.

    Raises:
        LookupError: `entry` answers none of them.
    """
    if entry is None:
        return (Outcome.NOTHING,) * len(steps)
    answered = steps.index(answered_step(steps, entry))
    later = len(steps) - answered - 1
    return (Outcome.NOTHING,) * answered + (Outcome.ANSWERED,) + (Outcome.NOT_REACHED,) * later
