"""Which files a key depends on, and their hash."""

import hashlib
from pathlib import Path

import pytest

from runcache.errors import DependenciesMissing
from runcache.presets import PRESETS
from runcache.presets.dependencies import (
    Dependencies,
    hashed,
    hashed_as_in_expressions,
    hashed_if_any,
    lock_of_gems,
    projects_of,
)
from runcache.presets.surroundings import Surroundings
from tests.node_batches import answers
from tests.presets.machines import around, machine

GEMS = (("Gemfile.lock",), ("gems.locked",))


def digest_of(*contents: bytes) -> str:
    """Return what `hashFiles` returns for files with these contents."""
    digests = b"".join(hashlib.sha256(content).digest() for content in contents)
    return hashlib.sha256(digests).hexdigest()


def files(folder: Path, **contents: str) -> Path:
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def test_the_first_group_that_matches_a_file_is_hashed(tmp_path: Path) -> None:
    files(tmp_path, b_lock="b", c_lock="c")
    groups = (("a.lock",), ("c.lock", "b.lock"), ("*.lock",))

    found = hashed(around(tmp_path), groups)

    assert found == Dependencies(("c.lock", "b.lock"), digest_of(b"c", b"b"))


def test_without_any_file_the_error_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(DependenciesMissing) as missing:
        hashed(around(tmp_path), (("**/requirements.txt",), ("**/pyproject.toml",)))

    assert str(missing.value) == (
        f"no file in `{tmp_path}` matches `**/requirements.txt`, `**/pyproject.toml`"
    )
    assert missing.value.patterns == ("**/requirements.txt", "**/pyproject.toml")
    assert missing.value.hint is not None


def test_setup_uv_has_a_key_without_any_file_too(tmp_path: Path) -> None:
    assert hashed_if_any(around(tmp_path), (("uv.lock",),)) == Dependencies(
        (), "no-dependency-glob"
    )
    files(tmp_path, uv_lock="x")
    assert hashed_if_any(around(tmp_path), (("uv.lock",),)).hash == digest_of(b"x")


def test_links_to_folders_are_followed_by_the_actions_but_not_by_expressions(
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    files(tmp_path / "elsewhere", Cargo_lock="linked")
    project = tmp_path / "project"
    project.mkdir()
    (project / "crate").symlink_to(tmp_path / "elsewhere")
    groups = (("**/Cargo.lock",),)

    assert hashed(around(project), groups).hash == digest_of(b"linked")
    with pytest.raises(DependenciesMissing):
        hashed_as_in_expressions(around(project), groups)


@pytest.mark.parametrize(
    ("names", "environment", "lock"),
    [
        (("Gemfile", "Gemfile.lock", "gems.locked"), {}, "Gemfile.lock"),
        (("gems.rb", "gems.locked"), {}, "gems.locked"),
        (("Gemfile", "Gemfile.lock", "ci.lock"), {"BUNDLE_GEMFILE": "ci"}, "ci.lock"),
        (("Gemfile", "Gemfile.lock", "own"), {"BUNDLE_LOCKFILE": "own"}, "own"),
    ],
)
def test_the_lock_of_gems_is_that_of_bundler_and_hashed_once(
    tmp_path: Path, names: tuple[str, ...], environment: dict[str, str], lock: str
) -> None:
    for name in names:
        (tmp_path / name).write_text(name)

    found = lock_of_gems(Surroundings(tmp_path, machine(environment=environment)), GEMS)

    assert found == Dependencies((lock,), hashlib.sha256(lock.encode()).hexdigest())


@pytest.mark.parametrize(
    ("names", "environment", "wanted"),
    [
        ((), {}, "`Gemfile.lock`, `gems.locked`"),
        (("Gemfile", "gems.locked"), {}, "`Gemfile.lock`"),
        (("Gemfile", "Gemfile.lock"), {"BUNDLE_GEMFILE": "ci/Gemfile"}, "`ci/Gemfile.lock`"),
    ],
)
def test_gems_without_a_lock_are_an_error(
    tmp_path: Path, names: tuple[str, ...], environment: dict[str, str], wanted: str
) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(DependenciesMissing) as missing:
        lock_of_gems(Surroundings(tmp_path, machine(environment=environment)), GEMS)

    assert str(missing.value) == f"no file in `{tmp_path}` matches {wanted}"


def test_files_are_hashed_as_by_the_library_of_the_actions(tmp_path: Path) -> None:
    # Files for every pattern, in several folders, one of them behind a link.
    groups = [
        (cache, group)
        for preset in PRESETS.values()
        for cache in (preset, *preset.extras)
        for group in (*cache.files, *preset.backup_files)
        if cache.hashing is not lock_of_gems
    ]
    project = tmp_path / "project"
    for folder in (project, project / "B/lib", project / "a-b", tmp_path / "elsewhere"):
        for pattern in {pattern for _, group in groups for pattern in group}:
            name = pattern.replace("**/", "", 1).replace("**", "x").replace("*", "y")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{folder} {name}")
    (project / "linked").symlink_to(tmp_path / "elsewhere")

    ours = [cache.hashing(around(project), (group,)).hash for cache, group in groups]

    theirs = answers(
        "globs.mjs",
        (
            {
                "library": "glob",
                "folder": str(project),
                "home": str(tmp_path),
                "patterns": group,
                "options": {"followSymbolicLinks": cache.hashing is not hashed_as_in_expressions},
                "workspace": str(project),
            }
            for cache, group in groups
        ),
    )
    assert ours == [answer["digest"] for answer in theirs]
    assert len(set(ours)) == len({(cache.hashing, group) for cache, group in groups})


def test_projects_are_the_folders_of_the_files_each_once_in_order(tmp_path: Path) -> None:
    for name in ("b/poetry.lock", "a/poetry.lock", "a/b/poetry.lock", "c/other.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = projects_of(around(tmp_path), Dependencies(("**/poetry.lock", "a/*.lock"), "…"))

    assert found == (tmp_path / "a/b", tmp_path / "a", tmp_path / "b")
