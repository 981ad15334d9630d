"""The names in a store."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import BlobMissing
from runcache.store import layout


def test_a_blob_lies_in_the_folder_of_its_first_two_characters() -> None:
    assert layout.blob_path("3f" + "0" * 30) == Path("3f", "3f" + "0" * 30)
    assert layout.part_path("3f" + "0" * 30, "a" * 16) == Path("3f", "3f" + "0" * 30, "a" * 16)


def test_new_names_are_names_and_never_the_same() -> None:
    blobs = {layout.new_blob_name() for _ in range(100)}
    parts = {layout.new_part_name() for _ in range(100)}

    assert len(blobs) == len(parts) == 100
    assert all(map(layout.is_blob_name, blobs))
    assert all(map(layout.is_part_name, parts))


def test_every_blob_lies_in_a_shard() -> None:
    shards = set(layout.shards())

    assert len(shards) == 256
    assert {layout.blob_path(layout.new_blob_name()).parts[0] for _ in range(100)} <= shards


@given(st.text())
def test_no_text_leads_out_of_the_store(text: str) -> None:
    for path_of in (layout.blob_path, lambda name: layout.part_path("0" * 32, name)):
        try:
            path = path_of(text)
        except BlobMissing:
            continue
        assert ".." not in path.parts
        assert not path.is_absolute()


@pytest.mark.parametrize("name", ["../" * 10 + "a" * 2, "0" * 32 + "/x", "\u0660" * 32])
def test_what_is_no_name_is_missing(name: str) -> None:
    with pytest.raises(BlobMissing):
        layout.blob_path(name)


def test_the_path_of_a_part_tells_which_one_it_is() -> None:
    blob, part = layout.new_blob_name(), layout.new_part_name()

    assert layout.part_at(layout.part_path(blob, part).as_posix()) == (blob, part)


@pytest.mark.parametrize(
    "path",
    [
        "",
        layout.CATALOG_ID,
        f"{'0' * 32}/{'a' * 16}",
        f"ff/{'0' * 32}/{'a' * 16}",
        f"00/{'0' * 32}/",
        f"00/{'0' * 32}/{'a' * 16}/",
        f"00/{'0' * 32}/notes",
        f"x/00/{'0' * 32}/{'a' * 16}",
    ],
)
def test_another_path_is_none_of_a_part(path: str) -> None:
    assert layout.part_at(path) is None
