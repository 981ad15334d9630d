"""Queries of lists in GitHub's REST API, and the links between pages."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import InvalidParameter
from runcache.wire.github_paging import (
    DeleteByKey,
    Following,
    ListCaches,
    Paging,
    link_header,
    pairs_of,
)

URL: Final = "http://api.github.localhost/repos/octo/hello/actions/caches"
# The expression that gh finds the next page with (`pkg/cmd/api/pagination.go`).
NEXT: Final = re.compile(r'<([^>]+)>;\s*rel="([^"]+)"')


def links(header: str | None) -> dict[str, str]:
    return {relation: url for url, relation in NEXT.findall(header or "")}


def pages_in(header: str | None) -> dict[str, int]:
    return {
        relation: int(dict(parse_qsl(urlsplit(url).query))["page"])
        for relation, url in links(header).items()
    }


def test_without_parameters_it_is_all_entries_the_last_used_first() -> None:
    assert ListCaches.of([]) == ListCaches(
        prefix="",
        ref=None,
        sort="last_accessed_at",
        is_descending=True,
        paging=Paging(page=1, per_page=30, cursor=None),
    )


def test_what_gh_sends_is_understood() -> None:
    pairs = pairs_of(
        "direction=asc&key=a+b%2F%C3%BC%26x%3D1%2B&per_page=2"
        "&ref=refs%2Fpull%2F7%2Fmerge&sort=size_in_bytes"
    )

    assert ListCaches.of(pairs) == ListCaches(
        prefix="a b/ü&x=1+",
        ref="refs/pull/7/merge",
        sort="size_in_bytes",
        is_descending=False,
        paging=Paging(per_page=2),
    )


@pytest.mark.parametrize(
    ("query", "page", "per_page"),
    [
        ("page=3&per_page=100", 3, 100),
        ("per_page=101", 1, 100),
        ("per_page=1000000000000000000000000", 1, 100),
        ("page=0&per_page=0", 1, 30),
        ("page=-1&per_page=-1", 1, 30),
        ("page=x&per_page=", 1, 30),
        ("page=%D9%A3&per_page=1.5", 1, 30),
        ("page=1&page=4", 4, 30),
    ],
)
def test_what_cannot_be_a_page_is_as_if_left_out(query: str, page: int, per_page: int) -> None:
    assert Paging.of(pairs_of(query)) == Paging(page, per_page)


def test_the_offset_of_any_page_has_64_bits() -> None:
    assert 0 < Paging.of(pairs_of(f"page={'9' * 5000}&per_page=100")).offset < 2**63


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("sort=key", "sort"),
        ("direction=up", "direction"),
        ("key=%ED%A0%80", "key"),
        ("ref=a%00b", "ref"),
    ],
)
def test_another_parameter_that_is_wrong_is_named(query: str, name: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        ListCaches.of(pairs_of(query))

    assert refusal.value.name == name
    assert not refusal.value.is_missing


def test_an_empty_parameter_is_as_if_left_out() -> None:
    query = "key=&ref=&sort=&direction=&page=&per_page=&cursor=&unknown=1"

    assert ListCaches.of(pairs_of(query)) == ListCaches.of([])


@pytest.mark.parametrize("query", ["", "key=", "ref=refs%2Fheads%2Fmain", "Key=a"])
def test_to_delete_without_a_key_is_never_to_delete_all(query: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        DeleteByKey.of(pairs_of(query))

    assert refusal.value.name == "key"
    assert refusal.value.is_missing


@given(key=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_key_comes_as_it_was_sent(key: str) -> None:
    header = link_header(URL, [("key", key)], Paging(), Following(is_there=True, total_count=60))

    query = urlsplit(links(header)["next"]).query
    assert DeleteByKey.of(pairs_of(query)) == DeleteByKey(key, None)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (1, {"next": 2, "last": 4}),
        (2, {"prev": 1, "next": 3, "last": 4, "first": 1}),
        (4, {"prev": 3, "first": 1}),
        (9, {"prev": 4, "first": 1}),
    ],
)
def test_a_page_links_to_those_around_it(page: int, expected: dict[str, int]) -> None:
    header = link_header(URL, [], Paging(page), Following(is_there=page < 4, total_count=100))

    assert pages_in(header) == expected


def test_what_fits_on_a_page_has_no_links() -> None:
    assert link_header(URL, [], Paging(), Following(is_there=False, total_count=30)) is None


def test_a_next_page_that_is_behind_the_last_is_the_last() -> None:
    # Entries were deleted between two pages: the cursor knows that some are left.
    following = Following(is_there=True, total_count=40, cursor="c")

    assert pages_in(link_header(URL, [], Paging(2), following)) == {
        "prev": 1,
        "next": 3,
        "last": 3,
        "first": 1,
    }


def test_links_keep_all_parameters_and_only_the_next_has_a_cursor() -> None:
    pairs = pairs_of("ref=refs%2Fheads%2Fa+b&per_page=10&page=2&cursor=old&x=%FF&x=")
    following = Following(is_there=True, total_count=30, cursor="new")

    header = link_header(URL, pairs, Paging(2, 10, "old"), following)

    kept = "?ref=refs%2Fheads%2Fa+b&per_page=10&x=%FF&x="
    assert links(header) == {
        "prev": f"{URL}{kept}&page=1",
        "next": f"{URL}{kept}&page=3&cursor=new",
        "last": f"{URL}{kept}&page=3",
        "first": f"{URL}{kept}&page=1",
    }


@given(query=st.text(max_size=80))
def test_no_query_breaks_out_of_its_link(query: str) -> None:
    following = Following(is_there=True, total_count=60)

    header = link_header(URL, pairs_of(query), Paging(), following)

    assert header is not None
    assert header.isascii()
    assert header.isprintable()
    assert set(links(header)) == {"next", "last"}
    assert header.count("<") == 2
