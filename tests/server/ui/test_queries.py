"""The filter of a list: what people type, and how it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.listing import Order, Selection, SortBy
from runcache.server.ui.queries import Query, full_ref, name_of

REFS = st.one_of(
    st.none(),
    st.from_regex(
        r"refs/(heads|tags|pull|remotes)/[^\s~^:?*\[\\\x00-\x20\x7f]{1,20}", fullmatch=True
    ),
    st.from_regex(r"refs/pull/[0-9]{1,5}/merge", fullmatch=True),
    st.sampled_from(["refs/heads/refs/heads/x", "refs/heads/#7", 'refs/heads/a"b']),
)
TEXTS = st.text(max_size=40)
ORDERS = st.builds(Order, st.sampled_from(SortBy), is_descending=st.booleans())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", Selection()),
        ("Linux-npm-", Selection(prefix="Linux-npm-")),
        ("key:Linux-npm-", Selection(prefix="Linux-npm-")),
        ("key: Linux-npm-", Selection(prefix="Linux-npm-")),
        ("KEY:Linux-npm-", Selection(prefix="Linux-npm-")),
        ('key:"a b"', Selection(prefix="a b")),
        ('key: "a \\"b\\" \\\\"', Selection(prefix='a "b" \\')),
        ("two words", Selection(prefix="two words")),
        ("a:b", Selection(prefix="a:b")),
        ("key:branch:x", Selection(prefix="branch:x")),
        ("key: branch:main", Selection(ref="refs/heads/main")),
        ("key:", Selection()),
        ('key:"unclosed', Selection(prefix='"unclosed')),
        ("key:a key:b", Selection(prefix="b")),
        ("branch:main", Selection(ref="refs/heads/main")),
        ("branch:feature/a", Selection(ref="refs/heads/feature/a")),
        ("ref:refs/pull/7/merge", Selection(ref="refs/pull/7/merge")),
        ("branch:refs/tags/v1", Selection(ref="refs/tags/v1")),
        ("branch:#7", Selection(ref="refs/pull/7/merge")),
        ("pr:7", Selection(ref="refs/pull/7/merge")),
        ("tag:v1", Selection(ref="refs/tags/v1")),
        ("version:abc", Selection(version="abc")),
        ("family:npm-<hash>", Selection(family="npm-<hash>")),
        ("branch:main npm- sort:size", Selection(prefix="npm-", ref="refs/heads/main")),
    ],
)
def test_what_is_typed_selects(typed: str, expected: Selection) -> None:
    assert Query.parse(typed).selection == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", Order()),
        ("sort:size-desc", Order(SortBy.SIZE)),
        ("sort:size", Order(SortBy.SIZE)),
        ("sort:size-asc", Order(SortBy.SIZE, is_descending=False)),
        ("sort:size_in_bytes-asc", Order(SortBy.SIZE, is_descending=False)),
        ("sort:created-at-asc", Order(SortBy.CREATED, is_descending=False)),
        ("sort:created_at", Order(SortBy.CREATED)),
        ("sort:Created-Desc", Order(SortBy.CREATED)),
        ("sort:used-asc", Order(SortBy.LAST_ACCESSED, is_descending=False)),
        ("sort:last-accessed-at-desc", Order(SortBy.LAST_ACCESSED)),
        ("sort:last_accessed_at", Order(SortBy.LAST_ACCESSED)),
        ("sort: size-asc", Order(SortBy.SIZE, is_descending=False)),
    ],
)
def test_what_is_typed_orders(typed: str, expected: Order) -> None:
    query = Query.parse(typed)

    assert query.order == expected
    assert query.mistakes == ()


@pytest.mark.parametrize("value", ["colour", "size-up", "-desc", "size-desc-asc"])
def test_an_order_that_there_is_not_is_a_mistake_and_changes_nothing(value: str) -> None:
    query = Query.parse(f"key:a sort:{value}")

    assert query.mistakes == (f"sort:{value}",)
    assert (query.order, query.selection) == (Order(), Selection(prefix="a"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), ""),
        (Query(Selection(prefix="npm-")), "key:npm-"),
        (Query(Selection(prefix="a b")), 'key:"a b"'),
        (Query(Selection(ref="refs/heads/main")), "branch:main"),
        (Query(Selection(ref="refs/tags/v1")), "tag:v1"),
        (Query(Selection(ref="refs/pull/7/merge")), "pr:7"),
        (Query(Selection(ref="refs/pull/7/head")), "ref:refs/pull/7/head"),
        (Query(order=Order(SortBy.SIZE)), "sort:size-desc"),
        (Query().on("refs/heads/x").sorted_by(Order(SortBy.CREATED)), "branch:x sort:created-desc"),
    ],
)
def test_a_query_is_written_as_short_as_it_can_be(query: Query, expected: str) -> None:
    assert str(query) == expected


@given(prefix=TEXTS, ref=REFS, family=TEXTS, version=TEXTS, order=ORDERS)
def test_what_is_written_is_read_again(
    prefix: str, ref: str | None, family: str, version: str, order: Order
) -> None:
    selection = Selection(prefix=prefix, ref=ref, family=family or None, version=version or None)

    assert Query.parse(str(Query(selection, order))) == Query(selection, order)


@given(TEXTS)
def test_any_text_is_a_query(typed: str) -> None:
    query = Query.parse(typed)

    assert Query.parse(str(query)).selection == query.selection


def test_each_order_has_a_name_that_is_read() -> None:
    for by in SortBy:
        for is_descending in (True, False):
            order = Order(by, is_descending=is_descending)
            assert Query.parse(f"sort:{name_of(order)}").order == order


def test_no_value_means_all_refs() -> None:
    assert full_ref("branch", "") is None
