"""Pieces of sentences."""

import pytest

from runcache.insight.explain.wording import ago, format_of, lasting, limit_kept, quoted
from runcache.retention import Reason

NOW = 1_800_000_000_000
SECOND = 1000
DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (-SECOND, "just now (2027-01-15 08:00 UTC)"),
        (SECOND, "1 second ago (2027-01-15 07:59 UTC)"),
        (119 * SECOND, "1 minute ago (2027-01-15 07:58 UTC)"),
        (2 * 3600 * SECOND, "2 hours ago (2027-01-15 06:00 UTC)"),
        (40 * DAY, "40 days ago (2026-12-06 08:00 UTC)"),
    ],
)
def test_a_time_is_told_by_how_long_ago_it_was(passed: int, text: str) -> None:
    assert ago(NOW - passed, NOW) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (7 * DAY, "7 days"),
        (DAY, "1 day"),
        (90 * 60 * SECOND, "90 minutes"),
        (61 * SECOND, "61 seconds"),
        (0, "0 seconds"),
    ],
)
def test_a_duration_is_told_in_its_largest_whole_unit(duration: int, text: str) -> None:
    assert lasting(duration) == text


@pytest.mark.parametrize(
    ("reason", "limit", "text"),
    [
        ("repo_limit", 10**10, "the repository had to be brought within its limit of 10.0 GB"),
        ("oversized", 10**9, "alone it was larger than the repository may be, 1.00 GB"),
        ("total_limit", 10**9, "the whole cache had to be brought within its limit of 1.00 GB"),
        ("min_free", 5 * 10**8, "500 MB of the disk had to be free"),
        ("repo_limit", None, "the repository had to be brought within its limit"),
    ],
)
def test_it_is_told_which_limit_was_kept(reason: str, limit: int | None, text: str) -> None:
    assert Reason(reason)
    assert limit_kept(reason, limit) == text


def test_literals_act_upon_no_terminal() -> None:
    assert quoted("a\x1b[31m\n\u202eb ü") == "`a\\x1b[31m\\n\\u202eb ü`"


def test_formats_have_names() -> None:
    assert format_of("runcache-snapshot-1") == "a snapshot of runcache"
    assert format_of("lz4") == "an archive with `lz4`"
    assert format_of(None) == "an archive of unknown compression"
