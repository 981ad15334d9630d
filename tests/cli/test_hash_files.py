"""`runcache hash-files`."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.conftest import Runcache

A = sha256(sha256(b"a").digest()).hexdigest()


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/b").write_text("b")
    (tmp_path / "link").symlink_to("folder")


def test_the_digest_of_what_matches_is_printed(runcache: Runcache) -> None:
    ended = runcache("hash-files", "*", "!folder")

    assert (ended.code, ended.out, ended.err) == (0, f"{A}\n", "")


def test_nothing_is_printed_if_no_file_matches(runcache: Runcache) -> None:
    said = runcache("hash-files", "missing")
    quiet = runcache("hash-files", "missing", "-q")

    assert (said.code, said.out, said.err) == (0, "", "no file matches\n")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_json_names_the_files_in_their_order(runcache: Runcache) -> None:
    ended = runcache("hash-files", "folder", "a", "--json")
    nothing = runcache("hash-files", "missing", "--json")

    assert json.loads(ended.out)["files"] == ["folder/b", "a"]
    assert len(json.loads(ended.out)["digest"]) == 64
    assert json.loads(nothing.out) == {"digest": "", "files": []}


def test_names_that_are_no_text_are_replaced_in_json(tmp_path: Path, runcache: Runcache) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_text("a")

    ended = runcache("hash-files", "?", "!a", "--json")

    assert json.loads(ended.out) == {"digest": A, "files": ["\ufffd"]}


def test_links_are_followed_on_request(runcache: Runcache) -> None:
    plain = runcache("hash-files", "link", "--json")
    followed = runcache("hash-files", "--follow-symbolic-links", "link", "--json")

    assert json.loads(plain.out)["files"] == []
    assert json.loads(followed.out)["files"] == ["link/b"]


def test_a_pattern_that_cannot_be_is_wrong_usage(runcache: Runcache) -> None:
    ended = runcache("hash-files", "../a")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: invalid pattern `../a`: `..` is not allowed")


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path, runcache: Runcache) -> None:
    (tmp_path / "broken").symlink_to("missing")

    ended = runcache("hash-files", "b*")

    assert (ended.code, ended.out) == (1, "")
    assert f"cannot read `{tmp_path.resolve()}/broken`: it is a broken link" in ended.err
    assert "\nhint: " in ended.err


def test_no_pattern_at_all_is_wrong_usage(runcache: Runcache) -> None:
    assert runcache("hash-files").code == 2


@pytest.mark.parametrize("args", [["hash-files", "**"], ["version-of", "--path", "a"]])
def test_what_is_quick_does_not_wait_for_what_others_need(tmp_path: Path, args: list[str]) -> None:
    script = (
        "import sys; from runcache.cli.main import main; main(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, *args],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    late = {"concurrent.futures", "platformdirs", "tomllib", "runcache.config", "runcache.settings"}
    assert not late & set(ended.stderr.split())
