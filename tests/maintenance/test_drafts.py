"""A draft becomes a file as a whole, or leaves nothing."""

from hashlib import sha256
from pathlib import Path

import pytest

from runcache.errors import FileUnwritable
from runcache.maintenance.drafts import Draft


def test_a_draft_takes_the_place_of_a_former_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("former")
    draft = Draft(tmp_path / ".new")
    draft.write(b"new")

    before = (tmp_path / "file").read_text()
    draft.move_to(tmp_path / "file")
    draft.drop()

    assert (before, (tmp_path / "file").read_text()) == ("former", "new")
    assert draft.digest == sha256(b"new").hexdigest()
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_draft_that_was_dropped_takes_no_more(tmp_path: Path) -> None:
    draft = Draft(tmp_path / ".new")
    draft.write(b"new")

    draft.drop()
    draft.drop()

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileUnwritable, match="it was given up"):
        draft.write(b"more")


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "nowhere" / ".new")

    with pytest.raises(FileUnwritable, match="nowhere"):
        draft.write(b"new")
