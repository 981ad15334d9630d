"""What the files of git say, compared with git itself."""

import subprocess
from pathlib import Path

import pytest

from runcache.client.checkout import Checkout, checkout_around
from tests.conformance.programs import found


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Me", "-c", "user.email=me@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    found("git")
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--initial-branch", "main")
    git(folder, "commit", "--allow-empty", "--message", "first")
    return folder


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("https://github.com/octo/hello.git", "octo/hello"),
        ("https://github.com/octo/hello", "octo/hello"),
        ("https://me:secret@host.test:8443/octo/hello.git/", "octo/hello"),
        ("git@github.com:octo/hello.git", "octo/hello"),
        ("ssh://git@host.test:22/octo/hello.git", "octo/hello"),
        ("https://host.test/group/octo/hello.git", "octo/hello"),
        ("../elsewhere", None),
        ("/srv/git/hello.git", None),
    ],
)
def test_the_repository_is_that_of_the_origin(
    checkout: Path, url: str, repository: str | None
) -> None:
    git(checkout, "remote", "add", "upstream", "https://host.test/other/one.git")
    git(checkout, "remote", "add", "origin", url)

    assert checkout_around(checkout).repository == repository


def test_the_ref_is_that_of_the_branch(checkout: Path) -> None:
    git(checkout, "switch", "--create", "feature/ünï")
    (checkout / "deep" / "inside").mkdir(parents=True)

    assert checkout_around(checkout / "deep" / "inside").ref == "refs/heads/feature/ünï"


def test_a_commit_that_is_no_branch_has_no_ref(checkout: Path) -> None:
    git(checkout, "checkout", "--detach")

    assert checkout_around(checkout) == Checkout()


def test_the_default_branch_is_what_the_origin_said(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", str(checkout), "clone")

    assert checkout_around(tmp_path / "clone").default_branch == "main"


def test_another_worktree_shares_the_origin_and_has_its_own_branch(
    checkout: Path, tmp_path: Path
) -> None:
    git(checkout, "remote", "add", "origin", "https://host.test/octo/hello.git")
    git(checkout, "worktree", "add", "-b", "topic", str(tmp_path / "worktree"))

    found = checkout_around(tmp_path / "worktree")

    assert (found.repository, found.ref) == ("octo/hello", "refs/heads/topic")


def test_no_checkout_says_nothing(tmp_path: Path) -> None:
    assert checkout_around(tmp_path) == Checkout()


def test_nonsense_in_the_files_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all")

    assert checkout_around(tmp_path) == Checkout()
