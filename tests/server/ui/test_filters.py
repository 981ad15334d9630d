"""How pages show values."""

from datetime import timedelta

import pytest

from runcache.server.ui.filters import (
    count,
    filters,
    number,
    percent,
    prose,
    ref_kind,
    ref_label,
    ref_name,
    signed_size,
    span,
)

NOW = 1_800_000_000_000
FILTERS = filters(lambda: NOW)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=47), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=30), "1 month ago"),
        (timedelta(days=800), "2 years ago"),
    ],
)
def test_a_time_is_shown_as_an_age_with_the_moment_itself(age: timedelta, expected: str) -> None:
    shown = str(FILTERS["ago"](NOW - age // timedelta(milliseconds=1)))

    assert shown.endswith(f">{expected}</time>")
    assert shown.startswith('<time datetime="20')


def test_a_moment_is_in_utc() -> None:
    assert str(FILTERS["moment"](NOW)) == (
        '<time datetime="2027-01-15T08:00:00.000+00:00" title="2027-01-15 08:00:00 UTC">'
        "2027-01-15 08:00:00 UTC</time>"
    )


@pytest.mark.parametrize(
    ("ref", "kind", "name", "label"),
    [
        ("refs/heads/main", "branch", "main", "main"),
        ("refs/heads/feature/a", "branch", "feature/a", "feature/a"),
        ("refs/tags/v1", "tag", "v1", "tag v1"),
        ("refs/pull/7/merge", "pull request", "#7", "pull request #7"),
        ("refs/remotes/x", "ref", "refs/remotes/x", "refs/remotes/x"),
        ("refs/heads/", "ref", "refs/heads/", "refs/heads/"),
        ("main", "ref", "main", "main"),
    ],
)
def test_refs_are_called_what_people_call_them(ref: str, kind: str, name: str, label: str) -> None:
    assert (ref_kind(ref), ref_name(ref), ref_label(ref)) == (kind, name, label)


def test_counts_have_their_noun() -> None:
    assert number(1234567) == "1,234,567"
    assert count(1, "entry", "entries") == "1 entry"
    assert count(0, "entry", "entries") == "0 entries"
    assert count(2000, "lookup") == "2,000 lookups"


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (1, 2, "50 %"),
        (0, 5, "0 %"),
        (1, 1000, "< 1 %"),
        (5, 5, "100 %"),
        (1, 0, "\N{EN DASH}"),
    ],
)
def test_shares_are_whole_percents(part: int, whole: int, expected: str) -> None:
    assert percent(part, whole) == expected


def test_changes_have_a_sign() -> None:
    assert signed_size(1500) == "+1.50 KB"
    assert signed_size(-1500) == "\N{MINUS SIGN}1.50 KB"
    assert signed_size(0) == "0 B"


def test_what_stands_in_backticks_is_code_and_nothing_is_markup() -> None:
    assert prose("`<b>` is saved in `main`.") == (
        "<code>&lt;b&gt;</code> is saved in <code>main</code>."
    )
    assert prose("a <lone` backtick & more") == "a &lt;lone` backtick &amp; more"


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_a_time_span_has_the_largest_unit_that_is_whole(duration: timedelta, shown: str) -> None:
    assert span(duration) == shown
