from typing import Any

import pytest

from runcache.cli.closing import found_text, missed_text, restored_text, saved_text
from runcache.client.results import Hit, Saved

HIT: dict[str, Any] = {
    "exact": True,
    "key": "npm-1",
    "matched_key": "npm-1",
    "scope": "refs/heads/main",
    "format": "snapshot",
    "size_bytes": 193_100_000,
    "fetched_bytes": 12_000_000,
    "files_written": 840,
    "files_unchanged": 26_000,
    "seconds": 0.6,
}
SAVED: dict[str, Any] = {
    "key": "npm-1",
    "version": "5e" * 32,
    "scope": "refs/heads/main",
    "format": "snapshot",
    "created": True,
    "entry_id": 7,
    "size_bytes": 193_100_000,
    "new_bytes": 12_400_000,
    "files": 26_840,
    "seconds": 61.25,
}


def test_a_restore_ends_with_a_line_that_a_person_likes_to_read() -> None:
    text = restored_text(Hit(**HIT), 635_000_000)

    assert text == "restored 26 840 files, 635 MB, fetched 12.0 MB, 0.6 s"


def test_where_another_key_was_found_it_is_named_first() -> None:
    hit = Hit(**HIT | {"exact": False, "matched_key": "npm-0"})

    assert restored_text(hit, 0).splitlines() == [
        "`npm-0` is the nearest to `npm-1`",
        "restored 26 840 files, fetched 12.0 MB, 0.6 s",
    ]


@pytest.mark.parametrize(
    ("unknown", "text"),
    [
        ({}, "found `npm-1` in `refs/heads/main`, 193 MB"),
        ({"scope": None, "size_bytes": None}, "found `npm-1`"),
    ],
)
def test_a_lookup_says_what_is_known(unknown: dict[str, None], text: str) -> None:
    assert found_text(Hit(**HIT | unknown)) == text


def test_a_miss_names_every_key() -> None:
    assert missed_text("npm-1", ["npm-", "n"]) == "found nothing for `npm-1`, `npm-`, `n`"


def test_a_save_ends_with_a_line_like_it() -> None:
    text = saved_text(Saved(**SAVED), 635_000_000)

    assert text == "saved 26 840 files, 635 MB, sent 12.4 MB, 61.2 s"


@pytest.mark.parametrize(
    ("scope", "where"), [("refs/heads/main", " in `refs/heads/main`"), (None, "")]
)
def test_a_key_that_is_taken_is_no_failure(scope: str | None, where: str) -> None:
    saved = Saved(**SAVED | {"created": False, "scope": scope})

    assert saved_text(saved, 0) == f"`npm-1` is saved already{where}, and entries never change"
