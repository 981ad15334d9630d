from pathlib import Path

import pytest

from runcache.cli import outputs
from runcache.errors import FileUnwritable


def read(file: Path) -> dict[str, str]:
    """Read outputs as a runner does: `name<<end`, the lines of the value, and `end` again."""
    values = {}
    lines = iter(file.read_bytes().decode().split("\n"))
    for first in lines:
        if first:
            name, _, end = first.partition("<<")
            assert end.startswith("ghadelimiter_")
            values[name] = "\n".join(iter(lambda: next(lines), end))
    return values


@pytest.mark.parametrize(
    ("matched_key", "told"),
    [
        ("npm-1", {"cache-matched-key": "npm-1", "cache-hit": "true"}),
        ("NPM-1", {"cache-matched-key": "NPM-1", "cache-hit": "true"}),
        ("npm-0", {"cache-matched-key": "npm-0", "cache-hit": "false"}),
        (None, {}),
    ],
    ids=["hit", "hit in another case", "restore key", "miss"],
)
def test_a_step_learns_what_actions_cache_would_tell_it(
    matched_key: str | None, told: dict[str, str]
) -> None:
    assert outputs.outputs_of("npm-1", matched_key) == {"cache-primary-key": "npm-1"} | told


# What `one.localeCompare(other, undefined, {sensitivity: "accent"}) === 0` answers in Node 22.
@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("é", "É", True),
        ("a\u0301", "á", True),
        ("\u03c2", "\u03c3", True),
        ("\u212a", "k", True),
        ("\uff21", "a", True),
        ("é", "e", False),
        ("ß", "ss", False),
        ("\u0131", "I", False),
        ("a-b", "a_b", False),
        ("a-b", "ab", False),
    ],
)
def test_keys_are_the_same_whatever_their_case(one: str, other: str, *, is_same: bool) -> None:
    assert outputs.is_same_key(one, other) is is_same


def test_a_value_of_many_lines_cannot_end_itself(tmp_path: Path) -> None:
    file = tmp_path / "output"
    file.write_text("earlier<<ghadelimiter_1\nvalue\nghadelimiter_1\n")
    hostile = "one\nghadelimiter_1\ncache-hit<<x\ntrue\nx\r\n ä "

    outputs.append(file, {"cache-primary-key": hostile, "cache-hit": "false"})

    assert read(file) == {
        "earlier": "value",
        "cache-primary-key": hostile,
        "cache-hit": "false",
    }


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileUnwritable, match="output"):
        outputs.append(tmp_path / "missing" / "output", {"cache-hit": "true"})
