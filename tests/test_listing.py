"""Where pages of lists begin."""

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import InvalidCursor
from runcache.listing import Order, Position, Selection, SortBy, cursor_behind, position_of
from runcache.model import Entry

REPOSITORY = "octo/hello"
URL_SAFE = frozenset(string.ascii_letters + string.digits + "-_")

ENTRIES = st.builds(
    Entry,
    id=st.integers(1, 2**53),
    repository=st.just(REPOSITORY),
    scope=st.just("refs/heads/main"),
    key=st.just("key"),
    version=st.just("v"),
    size_bytes=st.integers(0, 2**62),
    created_at=st.integers(0, 2**52),
    last_accessed_at=st.integers(0, 2**52),
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
SELECTIONS = st.builds(
    Selection,
    prefix=TEXTS,
    key=st.none() | TEXTS,
    ref=st.none() | TEXTS,
    version=st.none() | TEXTS,
    family=st.none() | TEXTS,
)
ORDERS = st.builds(Order, st.sampled_from(SortBy), st.booleans())


@given(entry=ENTRIES, selection=SELECTIONS, order=ORDERS)
def test_a_cursor_leads_behind_its_entry(entry: Entry, selection: Selection, order: Order) -> None:
    cursor = cursor_behind(entry, selection, order)

    place = position_of(cursor, REPOSITORY, selection, order)

    assert place == Position(order.value_of(entry), entry.id)
    assert set(cursor) <= URL_SAFE


@pytest.mark.parametrize(
    ("repository", "selection", "order"),
    [
        ("octo/other", Selection(prefix="a"), Order()),
        (REPOSITORY, Selection(prefix="b"), Order()),
        (REPOSITORY, Selection(key="a"), Order()),
        (REPOSITORY, Selection(prefix="a", ref="refs/heads/main"), Order()),
        (REPOSITORY, Selection(prefix="a", version="v"), Order()),
        (REPOSITORY, Selection(prefix="a", family="a"), Order()),
        (REPOSITORY, Selection(prefix="a"), Order(SortBy.SIZE)),
        (REPOSITORY, Selection(prefix="a"), Order(is_descending=False)),
    ],
)
def test_a_cursor_of_another_list_is_refused(
    repository: str, selection: Selection, order: Order
) -> None:
    entry = Entry(1, REPOSITORY, "refs/heads/main", "a", "v", 1, 2, 3)
    cursor = cursor_behind(entry, Selection(prefix="a"), Order())

    with pytest.raises(InvalidCursor):
        position_of(cursor, repository, selection, order)


@given(cursor=st.text(max_size=60) | st.text(sorted(URL_SAFE), max_size=200))
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        position_of(cursor, REPOSITORY, Selection(), Order())


@pytest.mark.parametrize("place", ["-1.1", "1.-1", "1", "x.1", "1.", "\u0661.1", "1.1.1", "1" * 30])
def test_a_cursor_holds_two_numbers_and_whose_it_is(place: str) -> None:
    entry = Entry(1, REPOSITORY, "refs/heads/main", "a", "v", 1, 2, 3)
    own = urlsafe_b64decode(cursor_behind(entry, Selection(), Order()) + "===").decode()
    digest = own.rpartition(".")[2]

    changed = urlsafe_b64encode(f"{place}.{digest}".encode()).decode().rstrip("=")

    with pytest.raises(InvalidCursor):
        position_of(changed, REPOSITORY, Selection(), Order())


def test_half_of_a_surrogate_pair_fits_nothing() -> None:
    assert not Selection(prefix="a\ud800").may_fit
    assert not Selection(ref="\udfff").may_fit
    assert Selection(prefix="\U0001f600").may_fit
