"""How keys are like each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.insight.explain import Cause
from runcache.insight.explain.likeness import (
    alike,
    has_empty_part,
    merely_alike,
    shared_prefix,
    spellings,
)
from runcache.model import MatchKind

HASH = "0a1b2c3d4e5f6a7b8c9d"
OTHER_HASH = "ffeeddccbbaa99887766"


@pytest.mark.parametrize(
    ("key", "cause", "kind"),
    [
        ("npm-1", None, MatchKind.EXACT),
        ("npm-1 ", Cause.OTHER_BLANKS, MatchKind.EXACT),
        ("npm -1", Cause.OTHER_BLANKS, MatchKind.EXACT),
        ("Npm-1", Cause.OTHER_CASE, MatchKind.EXACT),
        ("npm-1-x", None, MatchKind.PREFIX),
        ("npm-2", None, MatchKind.RESTORE_KEY),
        ("NPM-1-x", Cause.OTHER_CASE, MatchKind.PREFIX),
        ("NPM-2", Cause.OTHER_CASE, MatchKind.RESTORE_KEY),
    ],
)
def test_a_key_is_as_near_as_what_differs(
    key: str, cause: Cause | None, kind: MatchKind | None
) -> None:
    found = alike(["npm-1", "npm-"], key)

    assert found is not None
    assert (found.cause, found.kind) == (cause, kind)


@pytest.mark.parametrize(
    ("asked", "key", "cause"),
    [
        (f"linux-npm-{HASH}", f"linux-npm-{OTHER_HASH}", Cause.OTHER_HASH),
        (f"linux-npm-{HASH}", f"macos-npm-{HASH}", Cause.SIMILAR_KEY),
        ("linux-npm-node20", "linux-npm-node22", Cause.SIMILAR_KEY),
        ("dependencies", "dependencis", Cause.SIMILAR_KEY),
    ],
)
def test_keys_that_match_nothing_may_be_alike(asked: str, key: str, cause: Cause) -> None:
    found = merely_alike(asked, key)

    assert alike([asked], key) is None
    assert found is not None
    assert (found.cause, found.kind) == (cause, None)
    assert found.similarity < 1


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("npm-1", "gradle-8"),
        ("yarn-1", "npm-1"),
        (f"a-{HASH}", f"b-{HASH[:10]}{OTHER_HASH[:10]}"),
        ("x" * 400, "x" * 399 + "y"),
    ],
)
def test_keys_that_have_little_in_common_are_not_alike(asked: str, key: str) -> None:
    assert merely_alike(asked, key) is None


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_the_key_itself_is_the_nearest(asked: str, key: str) -> None:
    itself, other = alike([asked], asked), alike([asked], key)

    assert itself is not None
    assert itself.rank == 0
    assert other is None or (other.rank == 0) == (key == asked)


def test_a_key_may_be_spelled_in_other_ways_by_mistake() -> None:
    assert spellings(" Npm-1") == ("Npm-1", " npm-1", " NPM-1")
    assert spellings("linux") == ("LINUX", "Linux")
    assert spellings("1") == ()


@pytest.mark.parametrize("key", ["npm-", "-npm", "npm--v2", "npm__v2", "a/b//c"])
def test_a_part_without_a_value_leaves_a_trace(key: str) -> None:
    assert has_empty_part(key)


@pytest.mark.parametrize("key", ["npm", "npm-1", "v1.2", "npm-1 "])
def test_other_keys_have_no_empty_part(key: str) -> None:
    assert not has_empty_part(key)


@pytest.mark.parametrize(
    ("one", "other", "prefix"),
    [
        ("linux-npm-ab12", "linux-npm-ab99", "linux-npm-"),
        ("linux-npm", "linux-npm-1", "linux-"),
        ("npm1", "npm2", None),
        ("-a", "-b", None),
    ],
)
def test_a_restore_key_that_finds_both_ends_at_a_separator(
    one: str, other: str, prefix: str | None
) -> None:
    assert shared_prefix(one, other) == prefix
