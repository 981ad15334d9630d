"""Trees, and searches in them, made by chance: the same ones from the same seed."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

_PLAIN: Final = (
    *("a", "b", "c", "aa", "ab", "abc", "B", "a.js", "b.js", "a.min.js", "lock", ".a", ".git"),
    *("node_modules", "src", "a b"),
)
_ODD: Final = (
    *(
        "é",
        "\uff5a",
        "😀",
        "😀b",
        "日本",
        "...",
        "a|b",
        "^",
        "$",
        "\t",
        "a\nb",
        "~",
        "-",
        "!a",
        "#a",
    ),
    *("*", "?", "[a]", "[", "]", "[b", "\\", "a\\b", "{a,b}", "(a)", "+(a)"),
)
_WHOLE: Final = ("**", "**", "**", "*", "?", "*.js", ".*", "[a-c]*", "a*", "?*", "***", "a**b")
PIECES: Final = (
    *("*", "*", "**", "?", "a", "b", "c", ".", "j", "s", "-", "é", "😀", "\\a", "\\*", "\\[", "\\"),
    *("[ab]", "[a-c]", "[!a]", "[^b-z]", "[]a]", "[a-]", "[-a]", "[!]]", "[z-a]", "[[]", "[*]"),
    *("[😀]", "[a\\]]", "[", "]", "[]", "[!]", "{a,b}", "+(a)", "!(a)", "!", "#", "~", "|"),
)


@dataclass(frozen=True, slots=True)
class Search:
    """A search: relative patterns begin at `folder`, and `~` is `home`."""

    folder: Path
    home: Path
    patterns: tuple[str, ...]
    follow_links: bool
    implicit_descendants: bool


def make_searches(
    folder: Path, chance: Random, *, count: int, in_each: int = 4
) -> Iterator[Search]:
    """Yield `count` searches, `in_each` tree of those that are made in `folder`."""
    for number in range(0, count, in_each):
        home = folder / str(number)
        tree = _Tree(home / "work [a-b]", chance)
        for _ in range(min(in_each, count - number)):
            yield Search(
                tree.top,
                home,
                tuple(_patterns(tree, chance)),
                follow_links=chance.random() < 0.5,
                implicit_descendants=chance.random() < 0.6,
            )


@dataclass(slots=True)
class _Tree:
    top: Path
    chance: Random
    folders: list[Path] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    # Each of them multiplies the ways that a search has to go.
    links_left: int = 4

    def __post_init__(self) -> None:
        self.top.mkdir(parents=True)
        self.folders.append(self.top)
        for _ in range(self.chance.randint(3, 40)):
            names = _ODD if self.chance.random() < 0.3 else _PLAIN
            path = self.chance.choice(self.folders) / self.chance.choice(names)
            if not os.path.lexists(path):
                self._make(path)
                self.paths.append(str(path.relative_to(self.top)))

    def _make(self, path: Path) -> None:
        kind = self.chance.random()
        if kind < 0.4:
            path.mkdir()
            self.folders.append(path)
        elif kind < 0.75 or not self.links_left:
            path.write_text("x\n" * self.chance.randint(0, 3))
        else:
            path.symlink_to(self._target(path))
            self.links_left -= 1

    def _target(self, path: Path) -> Path:
        """Choose what a link leads to: nothing, itself, any path, or a folder, maybe its own."""
        kind = self.chance.random()
        if kind < 0.2:
            return Path("missing")
        if kind < 0.25:
            return path
        if kind < 0.4 and self.paths:
            return self.top / self.chance.choice(self.paths)
        depth = len(path.relative_to(self.top).parts)
        return self.chance.choice(self.folders if kind < 0.8 else path.parents[:depth])


def _patterns(tree: _Tree, chance: Random) -> Iterator[str]:
    for _ in range(chance.choice([1, 1, 2, 2, 3, 4, 6])):
        if tree.paths and chance.random() < 0.75:
            segments = [_like(name, chance) for name in chance.choice(tree.paths).split("/")]
        else:
            segments = [_made_up(chance) for _ in range(chance.randint(1, 4))]
        sign = chance.choice([*[""] * 7, "!", "!", "!", "! ", "!!"])
        before = chance.choice([*[""] * 9, "./", "~/", "**/", "**/", f"{escaped(str(tree.top))}/"])
        after = chance.choice([*[""] * 6, "/", "/**", "/*", "/**/", "//"])
        pattern = f"{sign}{before}{'/'.join(segments)}{after}"
        yield chance.choice([*[pattern] * 9, f" {pattern}\t", f"# all\n{pattern}\n\n"])


def escaped(path: str) -> str:
    """Return a pattern for this path alone."""
    return re.sub(r"[\\*?\[]", r"\\\g<0>", path)


def _like(name: str, chance: Random) -> str:
    """Return a segment that matches `name`, or nearly so."""
    kind = chance.random()
    if kind < 0.5:
        return escaped(name)
    if kind < 0.65:
        return chance.choice(_WHOLE)
    if kind < 0.7:
        return name
    place = chance.randrange(len(name))
    first, char, last = name[:place], name[place], name[place + 1 :]
    char = chance.choice(
        ["*", "?", "**", "", f"[{char}]", f"[!{char}]", f"[a-z{char}]", f"\\{char}"]
    )
    return f"{escaped(first)}{char}{escaped(last)}" or "*"


def _made_up(chance: Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(_WHOLE)
    return "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 4)))
