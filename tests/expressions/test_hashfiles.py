from hashlib import sha256
from pathlib import Path

import pytest

import runcache
from runcache.errors import FileUnreadable, InvalidPattern


def digest_of(*contents: bytes) -> str:
    return sha256(b"".join(sha256(content).digest() for content in contents)).hexdigest()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    (tmp_path / "a.lock").write_bytes(b"a")
    (tmp_path / "web/b.lock").write_bytes(b"b")
    (tmp_path / "link").symlink_to("web")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "contents"),
    [
        ("'a.lock'", [b"a"]),
        ("'**/*.lock'", [b"a", b"b"]),
        ("'web/b.lock', 'a.lock'", [b"b", b"a"]),
        ("'**/*.lock', '!web'", [b"a"]),
        ("'**/*.lock\n!web'", [b"a"]),
        ("format('{0}.lock', 'a')", [b"a"]),
        ("'--follow-symbolic-links', 'link/*'", [b"b"]),
        ("'--FOLLOW-symbolic-LINKS', 'link/*'", [b"b"]),
        ("null, 'a.lock'", [b"a"]),
    ],
)
def test_files_below_the_root_are_hashed(
    workspace: Path, arguments: str, contents: list[bytes]
) -> None:
    assert runcache.evaluate(f"HashFiles({arguments})", root=workspace) == digest_of(*contents)


@pytest.mark.parametrize("arguments", ["'*.none'", "''", "null", "'link/*'", "'a', '!**'", "1.50"])
def test_no_file_gives_an_empty_string(workspace: Path, arguments: str) -> None:
    assert runcache.evaluate(f"hashFiles({arguments})", root=workspace) == ""


def test_a_key_may_hold_a_digest(workspace: Path) -> None:
    key = runcache.interpolate("npm-${{ hashFiles('**/*.lock') }}", root=workspace)

    assert key == f"npm-{digest_of(b'a', b'b')}"


def test_files_that_are_not_needed_are_not_hashed(workspace: Path) -> None:
    (workspace / "broken").symlink_to("nothing")

    assert runcache.evaluate("'x' || hashFiles('broken')", root=workspace) == "x"


def test_a_file_that_cannot_be_read_fails_the_expression(workspace: Path) -> None:
    (workspace / "broken").symlink_to("nothing")

    with pytest.raises(FileUnreadable):
        runcache.evaluate("hashFiles('broken')", root=workspace)


def test_an_option_comes_first(workspace: Path) -> None:
    value = runcache.evaluate("hashFiles('a.lock', '--follow-symbolic-links')", root=workspace)

    assert value == digest_of(b"a")


@pytest.mark.parametrize("argument", ["--fast", "a/../b"])
def test_a_wrong_argument_is_an_error_of_the_expression(workspace: Path, argument: str) -> None:
    with pytest.raises(runcache.ExpressionError) as refused:
        runcache.evaluate(f"'x' && hashFiles('{argument}')", root=workspace)

    assert (refused.value.kind, refused.value.position) == ("evaluation", 7)
    assert argument in refused.value.reason


def test_python_hashes_the_same(workspace: Path) -> None:
    assert runcache.hash_files("**/*.lock", "!web", root=workspace) == digest_of(b"a")
    assert runcache.hash_files("link/*", root=str(workspace)) == ""
    followed = runcache.hash_files("link/*", root=workspace, follow_symbolic_links=True)
    assert followed == digest_of(b"b")
    with pytest.raises(InvalidPattern):
        runcache.hash_files("a/../b", root=workspace)


def test_the_current_folder_is_the_root(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)

    assert runcache.hash_files("a.lock") == digest_of(b"a")
    assert runcache.evaluate("hashFiles('a.lock')") == digest_of(b"a")
