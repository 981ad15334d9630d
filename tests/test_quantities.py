from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.quantities import (
    MAX_SIZE_BYTES,
    parse_duration,
    parse_size,
    print_about,
    print_age,
    print_duration,
    print_size,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("17B", 17),
        ("50KB", 50_000),
        ("50MB", 50_000_000),
        ("10GB", 10_000_000_000),
        ("2TB", 2_000_000_000_000),
        ("50KiB", 51_200),
        ("512MiB", 536_870_912),
        ("10GiB", 10_737_418_240),
        ("1TiB", 1_099_511_627_776),
        ("10gb", 10_000_000_000),
        (" 10 GB ", 10_000_000_000),
        (str(MAX_SIZE_BYTES), MAX_SIZE_BYTES),
    ],
)
def test_a_size_is_read_as_bytes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "GB", "-1", "+1", "1.5GB", "10GBB", "10 G B", "10G", "1e9", "٣MB", "none", "7d"]
)
def test_what_is_not_a_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"`.*` is not a size such as `10GB`"):
        parse_size(text)


@pytest.mark.parametrize("text", [str(MAX_SIZE_BYTES + 1), "9999999TiB", "9" * 20 + "TB"])
def test_a_size_that_no_column_holds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than any disk holds"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta(0)),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        (" 7 d ", timedelta(days=7)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration_is_read_with_its_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1.5h", "1h30m", "7D", "1M", "1w", "none"])
def test_what_is_not_a_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"`.*` is not a duration such as `30s`, `5m`, `1h` or `7d`"
    ):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "99999999999999999999d"])
def test_a_duration_beyond_every_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than 100 years"):
        parse_duration(text)


@given(st.integers(0, MAX_SIZE_BYTES))
def test_a_printed_size_is_read_as_the_same(size_bytes: int) -> None:
    assert parse_size(print_size(size_bytes)) == size_bytes


@given(st.integers(0, 36_500 * 24 * 3600))
def test_a_printed_duration_is_read_as_the_same(seconds: int) -> None:
    duration = timedelta(seconds=seconds)

    assert parse_duration(print_duration(duration)) == duration


@pytest.mark.parametrize("text", ["0", "999", "1KB", "1KiB", "10GB", "512MiB", "1001"])
def test_a_size_is_printed_in_its_own_unit(text: str) -> None:
    assert print_size(parse_size(text)) == text


@pytest.mark.parametrize("text", ["0s", "30s", "90s", "5m", "1h", "7d"])
def test_a_duration_is_printed_in_its_own_unit(text: str) -> None:
    assert print_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 KB"),
        (9_994, "9.99 KB"),
        (9_996, "10.0 KB"),
        (99_960, "100 KB"),
        (999_499, "999 KB"),
        (999_500, "1.00 MB"),
        (1_257_000_000, "1.26 GB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_a_size_for_people_has_three_digits(size_bytes: int, text: str) -> None:
    assert print_about(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7199, "1 hour ago"),
        (7200, "2 hours ago"),
        (86_400 * 29, "29 days ago"),
        (86_400 * 364, "12 months ago"),
        (86_400 * 800, "2 years ago"),
    ],
)
def test_an_age_has_its_largest_unit(seconds: int, text: str) -> None:
    assert print_age(seconds) == text
