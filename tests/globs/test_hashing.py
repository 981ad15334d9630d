"""`hashFiles` (management §5.1): GitHub's digests, links, odd files, memory."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from runcache.errors import FileUnreadable, InvalidPattern
from runcache.globs.hashing import LARGE_BYTES, digest_of, hash_files, matching_files
from tests.globs.folders import make
from tests.node_batches import answers

# Computed with the runner's own bundle and with `@actions/glob`.
VECTORS: Final = json.loads((Path(__file__).parent / "vectors/hashfiles.json").read_text())

# Prints what a process takes for it, in KiB.
MEMORY_OF_HASHING: Final = """
import resource, sys
from pathlib import Path
from runcache.globs.hashing import hash_files

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
hash_files(["**"], root=Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "top"


def digest_of_contents(*contents: bytes) -> str:
    return sha256(b"".join(sha256(content).digest() for content in contents)).hexdigest()


@pytest.mark.parametrize(
    "vector",
    VECTORS["tests"],
    ids=lambda vector: "-".join([*vector["patterns"], *["follow"] * vector["follow"]]),
)
def test_recorded_digests_come_out(top: Path, vector: dict[str, Any]) -> None:
    for name, content in VECTORS["files"].items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content.encode())
    for name, target in VECTORS["symlinks"].items():
        (top / name).symlink_to(target)
    patterns, follows = vector["patterns"], vector["follow"]

    digest = hash_files(patterns, root=top, follow_symbolic_links=follows)
    files = matching_files(patterns, root=top, follow_symbolic_links=follows)

    assert digest == vector["hash"]
    assert [os.path.relpath(file, top) for file in files] == vector["files"]


def test_one_file_has_the_digest_of_its_digest(top: Path) -> None:
    make(top, "a")

    assert hash_files(["a"], root=top) == sha256(sha256(b"a").digest()).hexdigest()


def test_nothing_has_no_digest_and_an_empty_file_has_one(top: Path) -> None:
    make(top, "folder/")
    (top / "empty").touch()

    assert hash_files(["missing", "folder"], root=top) == ""
    assert hash_files([], root=top) == ""
    assert hash_files(["empty"], root=top) == digest_of_contents(b"")


def test_one_argument_may_hold_several_patterns(top: Path) -> None:
    make(top, "a", "b", "c")

    digest = hash_files(["b\n# no\n\n  a  ", "!b"], root=top)

    assert digest == digest_of_contents(b"a")


def test_names_and_modes_do_not_count(top: Path) -> None:
    make(top, "a")
    digest = hash_files(["*"], root=top)

    (top / "a").rename(top / "b")
    (top / "b").chmod(0o755)

    assert hash_files(["*"], root=top) == digest


def test_files_outside_of_the_root_do_not_count(top: Path) -> None:
    make(top.parent, "top/a", "topping", "b")

    for pattern in (str(top.parent), f"{top.parent}/**", "/**", f"{top}*"):
        assert hash_files([pattern], root=top) == digest_of_contents(b"top/a")
    assert hash_files([f"{top.parent}/b"], root=top) == ""


def test_what_is_outside_is_not_even_looked_at(top: Path) -> None:
    make(top, "a")

    # To walk all of the machine would take very long, or fail.
    assert hash_files(["/**", "/proc/*/x"], root=top) == digest_of_contents(b"a")


def test_a_pattern_begins_at_the_real_path_of_the_root(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(top, "a")
    (top.parent / "link").symlink_to(top)
    monkeypatch.chdir(top.parent)

    for root in (Path("link"), Path("top"), top.parent / "link"):
        assert hash_files(["a"], root=root) == digest_of_contents(b"a")
        assert list(matching_files(["a"], root=root)) == [f"{top}/a"]


def test_a_tilde_is_the_home_that_is_given(top: Path) -> None:
    make(top, "home/a")

    assert hash_files(["~/a"], root=top, home=top / "home") == digest_of_contents(b"home/a")


def test_a_broken_link_that_matches_is_an_error_unless_links_are_followed(top: Path) -> None:
    make(top, "a", links={"broken": "missing"})

    with pytest.raises(FileUnreadable, match="broken`: it is a broken link") as failed:
        hash_files(["*"], root=top)

    assert failed.value.hint is not None
    assert failed.value.path == f"{top}/broken"
    assert hash_files(["*"], root=top, follow_symbolic_links=True) == digest_of_contents(b"a")
    assert hash_files(["*", "!broken"], root=top) == digest_of_contents(b"a")


def test_a_link_to_a_file_counts_with_its_content_and_one_to_a_folder_not_at_all(top: Path) -> None:
    make(top, "a", "d/x", links={"file": "a", "folder": "d"})

    assert hash_files(["f*"], root=top) == digest_of_contents(b"a")


def test_a_link_that_goes_round_is_an_error(top: Path) -> None:
    make(top, links={"loop": "loop"})

    for follows in (False, True):
        with pytest.raises(FileUnreadable, match="too many levels of symbolic links"):
            hash_files(["*"], root=top, follow_symbolic_links=follows)


def test_a_pipe_is_an_error_and_not_waited_for(top: Path) -> None:
    make(top, "a")
    os.mkfifo(top / "pipe")

    with pytest.raises(FileUnreadable, match="pipe`: it is no ordinary file"):
        hash_files(["*"], root=top)


def test_a_link_to_the_null_device_is_an_empty_file(top: Path) -> None:
    make(top, links={"masked": os.devnull, "endless": "/dev/zero"})

    assert hash_files(["masked"], root=top) == digest_of_contents(b"")
    with pytest.raises(FileUnreadable, match="endless`: it is no ordinary file"):
        hash_files(["endless"], root=top)


def test_a_file_that_is_gone_is_an_error(top: Path) -> None:
    make(top, "a")

    with pytest.raises(FileUnreadable, match="b`: no such file or directory"):
        digest_of([f"{top}/a", f"{top}/b"])


def test_a_file_that_is_longer_than_it_says_is_read_to_its_end() -> None:
    assert digest_of(["/proc/version"]) == digest_of_contents(Path("/proc/version").read_bytes())


def test_names_that_are_no_text_are_read(top: Path) -> None:
    make(top, "a")
    (top / os.fsdecode(b"\xff\xfe")).write_text("b")

    assert hash_files(["*"], root=top) == digest_of_contents(b"a", b"b")


def test_large_and_small_files_keep_their_order(top: Path) -> None:
    contents = [
        b"s",
        b"l" * LARGE_BYTES,
        b"",
        b"m" * (3 * LARGE_BYTES + 1),
        b"t",
        b"n" * LARGE_BYTES,
    ]
    top.mkdir()
    for number, content in enumerate(contents):
        (top / str(number)).write_bytes(content)

    assert hash_files(["*"], root=top) == digest_of_contents(*contents)


def test_a_large_file_that_cannot_be_read_ends_the_others(top: Path) -> None:
    top.mkdir()
    for name in ("a", "b"):
        with (top / name).open("wb") as file:
            # Most of a minute's reading, but for the error.
            file.truncate(2**36)
    paths = [f"{top}/a", f"{top}/b", f"{top}/missing"]

    with pytest.raises(FileUnreadable, match="missing"):
        digest_of(paths)


def test_a_pattern_that_cannot_be_is_an_error(top: Path) -> None:
    with pytest.raises(InvalidPattern):
        hash_files(["../a"], root=top)


def test_a_folder_that_was_deleted_is_an_error(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top.mkdir()
    monkeypatch.chdir(top)
    top.rmdir()

    with pytest.raises(FileUnreadable, match="no such file"):
        hash_files(["*"], root=Path())


def test_memory_does_not_grow_with_the_files(top: Path) -> None:
    make(top, *(f"{number // 100}/{number}" for number in range(2000)))
    for number in range(20):
        with (top / f"large-{number}").open("wb") as file:
            file.truncate(16 * 2**20)
    told = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_HASHING, top], capture_output=True, text=True, check=True
    )

    # A buffer for each thread, and the pool itself.
    assert int(told.stdout) < (os.cpu_count() or 1) * 1024 + 12 * 1024


def test_githubs_library_has_the_same_digests_of_large_trees(top: Path) -> None:
    make(top, *(f"{number % 7}/{number % 31}/{number}.{number % 3}" for number in range(1000)))
    lists = [["**"], ["**/*.1"], ["**", "!**/3/**"], ["[1-3]/**/*0*", "!**/*1*"]]

    theirs = answers(
        "globs.mjs",
        [
            {
                "library": "glob",
                "folder": str(top),
                "home": str(top),
                "patterns": patterns,
                "options": {"followSymbolicLinks": False},
                "workspace": str(top),
            }
            for patterns in lists
        ],
    )

    assert [hash_files(patterns, root=top) for patterns in lists] == [
        answer["digest"] for answer in theirs
    ]
