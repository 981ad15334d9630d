"""The walk of a lookup: its order, its kinds, and its explanation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import InvalidKey, TooManyKeys
from runcache.matching import Outcome, Step, answered_step, keys_of, outcomes, walk
from runcache.model import MAX_KEYS, Entry, Key, MatchKind

FEATURE = "refs/heads/feature"
MAIN = "refs/heads/main"


def entry_of(scope: str, key: str) -> Entry:
    return Entry(1, "octo/hello", scope, key, "v", 1, created_at=0, last_accessed_at=0)


def test_a_walk_asks_scope_by_scope_and_in_each_key_by_key() -> None:
    steps = walk([FEATURE, MAIN], keys_of("npm-feature-x", ["npm-feature", "npm-"]))

    asked = [(step.scope, step.key, step.is_exact) for step in steps]
    assert asked == [
        (scope, key, is_exact)
        for scope in (FEATURE, MAIN)
        for key in ("npm-feature-x", "npm-feature", "npm-")
        for is_exact in (True, False)
    ]


def test_only_the_key_itself_hits_exactly_or_by_prefix() -> None:
    steps = walk([MAIN], keys_of("npm-1", ["npm-"]))

    assert [step.kind for step in steps] == [
        MatchKind.EXACT,
        MatchKind.PREFIX,
        MatchKind.RESTORE_KEY,
        MatchKind.RESTORE_KEY,
    ]


def test_a_restore_key_that_repeats_the_key_counts_once() -> None:
    keys = keys_of("npm-1", ["npm-1", "npm-", "npm-"])

    assert keys == (Key("npm-1"), Key("npm-"))


def test_ten_keys_are_taken_and_eleven_are_not() -> None:
    restore_keys = [f"key-{number}" for number in range(MAX_KEYS)]

    assert len(keys_of("key", restore_keys[1:])) == MAX_KEYS
    with pytest.raises(TooManyKeys) as refused:
        keys_of("key", restore_keys)

    assert (refused.value.count, refused.value.limit) == (11, 10)


@pytest.mark.parametrize("bad", ["", "a,b", "a\0b", "\ud800", "x" * 513])
def test_a_restore_key_must_be_a_key_too(bad: str) -> None:
    with pytest.raises(InvalidKey):
        keys_of("good", [bad])


def test_a_step_accepts_entries_of_its_scope_alone() -> None:
    exact, prefix = walk([MAIN], keys_of("npm-"))

    assert exact.accepts(entry_of(MAIN, "npm-"))
    assert not exact.accepts(entry_of(MAIN, "npm-1"))
    assert prefix.accepts(entry_of(MAIN, "npm-1"))
    assert not prefix.accepts(entry_of(MAIN, "npm"))
    assert not prefix.accepts(entry_of(FEATURE, "npm-1"))


def test_an_entry_that_answers_no_step_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(LookupError):
        answered_step(walk([MAIN], keys_of("npm-")), entry_of(MAIN, "pip-"))


def test_after_a_miss_every_step_has_found_nothing() -> None:
    steps = walk([FEATURE, MAIN], keys_of("npm-1", ["npm-"]))

    assert outcomes(steps, None) == (Outcome.NOTHING,) * len(steps)


def test_steps_before_the_answer_found_nothing_and_those_behind_were_not_reached() -> None:
    steps = walk([FEATURE, MAIN], keys_of("npm-1", ["npm-"]))

    found = outcomes(steps, entry_of(MAIN, "npm-1"))

    answered = (Outcome.ANSWERED,)
    assert found == (Outcome.NOTHING,) * 4 + answered + (Outcome.NOT_REACHED,) * 3


keys = st.text(st.sampled_from("ab"), min_size=1, max_size=3)
scopes = st.sampled_from([FEATURE, MAIN, "refs/tags/v1"])


@given(
    searched=st.lists(scopes, min_size=1, unique=True),
    asked=st.lists(keys, min_size=1, max_size=4),
    scope=scopes,
    saved=keys,
)
def test_an_answer_is_explained_by_the_first_step_that_could_give_it(
    searched: list[str], asked: list[str], scope: str, saved: str
) -> None:
    steps = walk(searched, keys_of(asked[0], asked[1:]))
    entry = entry_of(scope, saved)

    if scope not in searched or not any(saved.startswith(key) for key in asked):
        with pytest.raises(LookupError):
            answered_step(steps, entry)
        return
    step = answered_step(steps, entry)

    # The rules in their own words, without the steps.
    first = next(key for key in asked if saved.startswith(key))
    kind = MatchKind.RESTORE_KEY
    if first == asked[0]:
        kind = MatchKind.EXACT if saved == first else MatchKind.PREFIX
    assert step == Step(scope, first, kind, is_exact=saved == first)
