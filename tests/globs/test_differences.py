"""Searches find what GitHub's own library finds, but in the places that are known."""

from pathlib import Path
from random import Random

import pytest

from tests.globs.differences import DIFFERENCES, Difference, compared, outcome_of
from tests.globs.trees import Search, make_searches


def test_searches_find_the_same_in_the_same_order(tmp_path: Path) -> None:
    cases = list(compared(make_searches(tmp_path, Random(20_260), count=300)))

    different = [case for case in cases if not case.agrees()]

    assert not [str(case) for case in different if case.reason() is None]
    assert len(different) < 10
    found = [len(case.theirs.files) for case in cases if not case.theirs.failed]
    assert sum(count > 0 for count in found) > 100
    assert sum(count > 5 for count in found) > 20


def test_the_older_library_finds_the_same(tmp_path: Path) -> None:
    searches = list(make_searches(tmp_path, Random(20_261), count=100))

    different = [case for case in compared(searches, library="older") if not case.agrees()]

    assert len(different) < 5


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda row: row.reason[:40])
def test_each_known_difference_is_one(tmp_path: Path, difference: Difference) -> None:
    path = tmp_path / difference.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if difference.is_loop:
        path.symlink_to(path)
    else:
        path.touch()
    search = Search(
        tmp_path, tmp_path, difference.patterns, follow_links=True, implicit_descendants=True
    )

    (case,) = compared([search])
    (older,) = compared([search], library="older")

    assert not case.agrees()
    assert case.reason() == difference.reason
    assert older.agrees() != difference.older_differs_too


def test_the_same_seed_makes_the_same_searches(tmp_path: Path) -> None:
    first, second = (
        [
            (search.patterns, len(outcome_of(search).files))
            for search in make_searches(tmp_path / name, Random(7), count=40)
        ]
        for name in ("a", "b")
    )

    assert [count for _, count in first] == [count for _, count in second]
