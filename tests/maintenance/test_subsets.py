"""Which part of all bytes a check reads."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.maintenance.subsets import (
    EVERYTHING,
    Amount,
    Group,
    Percentage,
    Subset,
    parse_subset,
)
from tests.in_process import Cache
from tests.maintenance.acts import part_path

NAMES = [f"blob-{number}" for number in range(1000)]


@pytest.mark.parametrize(
    ("text", "subset"),
    [
        ("1/10", Group(1, 10)),
        (" 10/10 ", Group(10, 10)),
        ("5%", Percentage(Fraction(5))),
        ("2.5%", Percentage(Fraction(5, 2))),
        ("100 %", Percentage(Fraction(100))),
        ("2GB", Amount(2_000_000_000)),
        ("512MiB", Amount(512 * 1024**2)),
    ],
)
def test_the_forms_of_restic_are_read(text: str, subset: Subset) -> None:
    assert parse_subset(text) == subset


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1/0", "0%", "100.1%", "5 percent", "0B", "%"])
def test_what_is_nothing_or_more_than_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^`{text}`"):
        parse_subset(text)


def test_each_blob_is_in_one_group_and_always_in_the_same() -> None:
    groups = [
        {name for name in NAMES if Group(number, 10).chooser(0, 0)(name)} for number in range(1, 11)
    ]

    assert sorted(name for group in groups for name in group) == sorted(NAMES)
    assert all(70 < len(group) < 130 for group in groups)
    assert groups[3] == {name for name in NAMES if Group(4, 10).chooser(1, 1)(name)}


def test_everything_is_everything() -> None:
    assert all(map(EVERYTHING.chooser(1, 1), NAMES))


@given(count=st.integers(1, 200), percent=st.integers(1, 100))
def test_a_percentage_is_so_many_blobs_and_at_least_one(count: int, percent: int) -> None:
    takes = Percentage(Fraction(percent)).chooser(count, 1)

    chosen = [takes(name) for name in NAMES[:count]]

    assert sum(chosen) == max(1, round(Fraction(count * percent, 100)))


def test_a_sample_is_another_each_time() -> None:
    samples = set()
    for _ in range(5):
        takes = Percentage(Fraction(50)).chooser(len(NAMES), 1)
        samples.add(tuple(filter(takes, NAMES)))

    assert len(samples) == 5


@given(wanted=st.integers(1, 10**12), size_bytes=st.integers(0, 10**9))
def test_an_amount_is_its_share_of_all_bytes(wanted: int, size_bytes: int) -> None:
    takes = Amount(wanted).chooser(len(NAMES), size_bytes)

    share = min(1, wanted / size_bytes) if size_bytes else 1
    assert abs(sum(map(takes, NAMES)) - max(1, 1000 * share)) <= 1


async def test_only_what_was_chosen_is_read_and_all_else_is_looked_for(cache: Cache) -> None:
    for number in range(4):
        await cache.save(f"key-{number}", b"data")
    await cache.maintenance.settle()
    for blob in await cache.catalog.blobs.committed(limit=9):
        part_path(cache, blob.name).write_bytes(b"rots")
    missing = (await cache.catalog.blobs.committed(limit=1))[0]
    await cache.store.delete(missing.name)

    reports = [
        await cache.maintenance.check(read_data=True, subset=Group(number, 2)) for number in (1, 2)
    ]

    assert sum(report.read_count for report in reports) == 4
    assert sum(report.read_bytes for report in reports) == 16
    found = [sorted(problem.detail for problem in report.problems) for report in reports]
    for report, details in zip(reports, found, strict=True):
        assert "bytes are missing" in details
        assert report.blob_count == 4
    assert sum(map(len, found)) == 3 + 2
