"""What a policy forgets, and that it never forgets more than it must."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import InvalidLimit
from runcache.retention import (
    MAX_LIMIT_BYTES,
    BlobUse,
    Cascade,
    EffectiveLimits,
    EntryUse,
    Forgotten,
    Limits,
    LimitValues,
    Reason,
    References,
    over_limit,
    unused,
    unused_before,
)


def entry(entry_id: int, size_bytes: int, *, accessed_at: int) -> EntryUse:
    """Return an entry that shares its bytes with nobody."""
    return EntryUse(entry_id, size_bytes, accessed_at, (BlobUse(entry_id, size_bytes, 1),))


def shrink(
    entries: Sequence[EntryUse], excess_bytes: int, *, oversized_bytes: int | None = None
) -> list[Forgotten]:
    return over_limit(
        entries,
        excess_bytes=excess_bytes,
        oversized_bytes=oversized_bytes,
        reason=Reason.REPO_LIMIT,
        references=References(),
    )


def test_the_defaults_are_those_of_the_hosted_service() -> None:
    limits = Limits()

    assert limits.repo_limit_bytes == 10_000_000_000
    assert limits.unused_for == timedelta(days=7)
    assert limits.total_limit_bytes is None


def test_an_entry_is_unused_after_a_week_and_not_a_millisecond_earlier() -> None:
    now_ms = 2_000_000_000_000
    week_ms = 7 * 24 * 3600 * 1000
    kept = entry(1, 10, accessed_at=now_ms - week_ms)
    late = entry(2, 20, accessed_at=now_ms - week_ms - 1)

    plan = unused(
        [kept, late],
        before_ms=unused_before(now_ms, timedelta(days=7)),
        references=References(),
    )

    assert plan == [Forgotten(2, Reason.UNUSED, 20)]


def test_the_least_recently_used_entries_go_first() -> None:
    entries = [
        entry(1, 10, accessed_at=300),
        entry(2, 10, accessed_at=100),
        entry(3, 10, accessed_at=200),
    ]

    plan = shrink(entries, 15)

    assert plan == [
        Forgotten(2, Reason.REPO_LIMIT, 10),
        Forgotten(3, Reason.REPO_LIMIT, 10),
    ]


def test_of_two_that_were_used_at_once_the_older_one_goes() -> None:
    entries = [entry(9, 10, accessed_at=100), entry(4, 10, accessed_at=100)]

    assert [gone.entry_id for gone in shrink(entries, 1)] == [4]


def test_an_entry_that_alone_exceeds_the_limit_goes_and_takes_no_other_along() -> None:
    entries = [
        entry(1, 30, accessed_at=100),
        entry(2, 120, accessed_at=200),
        entry(3, 40, accessed_at=50),
    ]

    plan = shrink(entries, 190 - 100, oversized_bytes=100)

    assert plan == [Forgotten(2, Reason.OVERSIZED, 120)]


def test_an_entry_of_exactly_the_limit_is_not_oversized() -> None:
    entries = [entry(1, 100, accessed_at=200), entry(2, 1, accessed_at=100)]

    plan = shrink(entries, 1, oversized_bytes=100)

    assert plan == [Forgotten(2, Reason.REPO_LIMIT, 1)]


def test_bytes_that_two_entries_share_are_freed_with_the_last_of_them() -> None:
    shared = BlobUse(blob_id=7, size_bytes=50, references=2)
    entries = [
        EntryUse(1, 60, 100, (BlobUse(1, 10, 1), shared)),
        EntryUse(2, 70, 200, (BlobUse(2, 20, 1), shared)),
        EntryUse(3, 30, 300, (BlobUse(3, 30, 1),)),
    ]

    plan = shrink(entries, 40)

    assert [(gone.entry_id, gone.freed_bytes) for gone in plan] == [(1, 10), (2, 70)]


def test_references_are_counted_on_from_page_to_page() -> None:
    shared = BlobUse(blob_id=7, size_bytes=50, references=2)
    references = References()

    first = references.drop(EntryUse(1, 50, 100, (shared,)))
    second = references.drop(EntryUse(2, 50, 200, (shared,)))

    assert (first, second) == (0, 50)


@st.composite
def worlds(draw: st.DrawFn) -> list[EntryUse]:
    """Draw entries that share some of their blobs."""
    sizes = draw(st.lists(st.integers(0, 100), min_size=1, max_size=8))
    held = draw(
        st.lists(
            st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=3, unique=True),
            max_size=8,
        )
    )
    references = Counter(blob for blobs in held for blob in blobs)
    return [
        EntryUse(
            number,
            sum(sizes[blob] for blob in blobs),
            draw(st.integers(0, 5)),
            tuple(BlobUse(blob, sizes[blob], references[blob]) for blob in blobs),
        )
        for number, blobs in enumerate(held)
    ]


def unique_bytes(entries: Sequence[EntryUse]) -> int:
    return sum({blob.blob_id: blob.size_bytes for use in entries for blob in use.blobs}.values())


def without(entries: Sequence[EntryUse], plan: Sequence[Forgotten]) -> list[EntryUse]:
    gone = {forgotten.entry_id for forgotten in plan}
    return [entry for entry in entries if entry.entry_id not in gone]


@given(entries=worlds(), limit_bytes=st.integers(0, 400))
def test_what_stays_fits_and_would_not_with_the_last_that_went(
    entries: list[EntryUse], limit_bytes: int
) -> None:
    excess_bytes = unique_bytes(entries) - limit_bytes

    plan = shrink(entries, excess_bytes, oversized_bytes=limit_bytes)

    assert unique_bytes(without(entries, plan)) <= max(limit_bytes, 0)
    if plan:
        assert unique_bytes(without(entries, plan[:-1])) > limit_bytes


@given(entries=worlds(), limit_bytes=st.integers(0, 400))
def test_what_a_plan_says_it_frees_is_what_is_gone(
    entries: list[EntryUse], limit_bytes: int
) -> None:
    plan = shrink(entries, unique_bytes(entries) - limit_bytes)

    freed_bytes = sum(forgotten.freed_bytes for forgotten in plan)
    assert freed_bytes == unique_bytes(entries) - unique_bytes(without(entries, plan))


@given(entries=worlds(), excess_bytes=st.integers(-10, 400), limit_bytes=st.integers(0, 100))
def test_nobody_goes_before_one_that_was_used_longer_ago(
    entries: list[EntryUse], excess_bytes: int, limit_bytes: int
) -> None:
    plan = shrink(entries, excess_bytes, oversized_bytes=limit_bytes)

    by_id = {use.entry_id: use for use in entries}
    fitting = [by_id[gone.entry_id] for gone in plan if gone.reason is Reason.REPO_LIMIT]
    oversized = [by_id[gone.entry_id] for gone in plan if gone.reason is Reason.OVERSIZED]
    assert [by_id[gone.entry_id] for gone in plan] == oversized + fitting
    assert all(use.size_bytes > limit_bytes for use in oversized)
    for group, is_oversized in ((oversized, True), (fitting, False)):
        stayed = [
            use for use in without(entries, plan) if (use.size_bytes > limit_bytes) is is_oversized
        ]
        last = max((use.last_accessed_at for use in group), default=None)
        assert last is None or all(use.last_accessed_at >= last for use in stayed)
    if fitting:
        assert len(oversized) == sum(use.size_bytes > limit_bytes for use in entries)


@given(entries=worlds(), before_ms=st.integers(0, 6))
def test_all_that_nobody_used_and_nothing_else_is_unused(
    entries: list[EntryUse], before_ms: int
) -> None:
    plan = unused(entries, before_ms=before_ms, references=References())

    assert {gone.entry_id for gone in plan} == {
        use.entry_id for use in entries if use.last_accessed_at < before_ms
    }


SIZES = st.none() | st.integers(0, 10)
TIMES = st.none() | st.integers(0, 10).map(lambda days: timedelta(days=days))
VALUES = st.builds(LimitValues, SIZES, TIMES)
SERVER = LimitValues(5, timedelta(days=5))


@given(owner=VALUES, repository=VALUES)
def test_the_lowest_limit_of_server_owner_and_repository_counts(
    owner: LimitValues, repository: LimitValues
) -> None:
    cascade = Cascade(SERVER, {"octo": owner, "octo/hello": repository, "octopus": LimitValues(0)})

    found = cascade.of("octo/hello")

    def least(name: str, *of: LimitValues) -> int | timedelta:
        given_values = (getattr(each, name) for each in of)
        found: int | timedelta = min(value for value in given_values if value is not None)
        return found

    for name in ("size_bytes", "unused_for"):
        assert getattr(found.inherited, name) == least(name, SERVER, owner)
        assert getattr(found.effective, name) == least(name, SERVER, owner, repository)
    assert found.own == repository
    assert cascade.size_bytes_of("octo/hello") == found.effective.size_bytes
    assert cascade.unused_for_of("octo/hello") == found.effective.unused_for
    assert cascade.of("octo").effective == found.inherited


def test_what_is_not_set_is_inherited() -> None:
    cascade = Cascade(SERVER, {"octo": LimitValues(3)})

    assert cascade.of("other/hello") == EffectiveLimits(None, SERVER, SERVER)
    assert cascade.of("other") == EffectiveLimits(None, SERVER, SERVER)
    assert cascade.of("") == EffectiveLimits(None, SERVER, SERVER)
    assert cascade.of("octo/hello").own is None
    assert cascade.of("octo/hello").effective == LimitValues(3, timedelta(days=5))


def test_a_cascade_names_whom_a_sweep_must_look_at() -> None:
    cascade = Cascade(
        SERVER,
        {
            "a": LimitValues(4, timedelta(days=6)),
            "b/c": LimitValues(2, timedelta(days=4)),
            "d": LimitValues(None, timedelta(days=1)),
        },
    )

    assert cascade.least_size_bytes == 2
    assert cascade.with_shorter_lives() == ["b/c", "d"]
    assert Cascade(SERVER, {}).least_size_bytes == 5
    assert cascade.replaced("b/c", LimitValues(1)).size_bytes_of("b/c") == 1
    assert cascade.size_bytes_of("b/c") == 2


@pytest.mark.parametrize(
    ("size_bytes", "unused_for"),
    [(-1, None), (2**63, None), (None, timedelta(microseconds=-1))],
)
def test_less_than_nothing_is_no_limit(
    size_bytes: int | None, unused_for: timedelta | None
) -> None:
    with pytest.raises(InvalidLimit):
        LimitValues(size_bytes, unused_for)


def test_the_servers_own_limits_may_be_anything() -> None:
    server = Limits(repo_limit_bytes=2**70, unused_for=timedelta.max).of_each_repository()

    assert server == LimitValues(MAX_LIMIT_BYTES, timedelta.max)
