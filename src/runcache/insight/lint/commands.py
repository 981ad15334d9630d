"""`runcache save`, `restore` and `run` in the scripts of steps, where they are easily read.

A script is not interpreted: an option whose value a shell would have to work out is unknown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from runcache.insight.lint.nodes import Scalar
from runcache.insight.lint.templates import Text

MAX_COMMANDS: Final = 50  # of one script

_COMMAND: Final = re.compile(
    r"(?:^|[;&|(]|\b(?:then|do|else|exec|time|uvx|run)\b)[ \t]*"
    r"(?P<name>runcache[ \t]+(?P<verb>save|restore|run))(?=\s)",
    re.MULTILINE,
)
_FLAGS: Final = frozenset(
    {"--cross-os", "--exact", "--fail-on-cache-miss", "--lookup-only", "--skip-on-hit", "--verify"}
    | {"--json", "-q", "--quiet", "-v", "--verbose"}
)
# A blank, which a backslash carries over the end of a line.
_BLANK: Final = re.compile(r"(?:[ \t]|\\\r?\n)+")
_EXPRESSION: Final = r"\$\{\{(?:[^'}]|'[^'\n]*'|\}(?!\}))*+\}\}"
# A word that is one piece, or an option and its value in one word.
_WORD: Final = re.compile(
    rf"""(?P<option>--[a-z-]+=)?
    (?: '(?P<single>(?:{_EXPRESSION}|[^'])*+)'
      | "(?P<double>(?:{_EXPRESSION}|[^"\\$`])*+)"
      | (?P<bare>(?:{_EXPRESSION}|[^\s'"\\$`;&|()<>])++)
    )?(?=[\s;&|()<>]|$)""",
    re.VERBOSE,
)
_ANY_WORD: Final = re.compile(
    rf"""(?: {_EXPRESSION} | \\. | '(?:{_EXPRESSION}|[^'])*+' | "(?:{_EXPRESSION}|\\.|[^"\\])*+"
      | [^\s;&|()<>'"\\] )+""",
    re.VERBOSE | re.DOTALL,
)
_OPTION: Final = re.compile(r"--[a-z-]+(?==)")


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its options; a value that cannot be read is `None`. A flag's is empty."""

    verb: str
    name: Text
    options: tuple[tuple[str, Text | None], ...]

    def has(self, option: str) -> bool:
        """Say whether an option is there."""
        return any(name == option for name, _ in self.options)

    def values(self, option: str) -> tuple[Text, ...] | None:
        """Return the values of an option, and `None` if one of them cannot be read."""
        found = [value for name, value in self.options if name == option]
        return None if None in found else tuple(value for value in found if value is not None)


def commands_in(script: Scalar) -> Iterator[Command]:
    """Yield the commands of a script whose options can be told apart."""
    for found in islice(_COMMAND.finditer(script.text), MAX_COMMANDS):
        options = _options(_words(script, found.end()))
        if options is not None:
            name = Text(found["name"], script, found.start("name"))
            yield Command(found["verb"], name, options)


def _words(script: Scalar, at: int) -> Iterator[Text | None]:
    """Yield the words up to the end of the command, or up to `--`."""
    while blank := _BLANK.match(script.text, at):
        at = blank.end()
        found = _WORD.match(script.text, at)
        if found is None or not found[0]:
            found = _ANY_WORD.match(script.text, at)
            if found is None:
                return
            if option := _OPTION.match(found[0]):
                yield Text(option[0], script, at)
            yield None
        elif found[0] == "--":
            return
        else:
            yield from _read(found, script)
        at = found.end()


def _read(found: re.Match[str], script: Scalar) -> Iterator[Text]:
    if found["option"]:
        yield Text(found["option"].removesuffix("="), script, found.start())
    for kind in ("single", "double", "bare"):
        if found[kind] is not None:
            yield Text(found[kind], script, found.start(kind))


def _options(words: Iterator[Text | None]) -> tuple[tuple[str, Text | None], ...] | None:
    """Return the options with their values, and `None` if a word may be an option or not."""
    options: list[tuple[str, Text | None]] = []
    for word in words:
        if word is None:
            return None
        if word.value.startswith("-"):
            value = word if word.value in _FLAGS else next(words, None)
            options.append((word.value, value))
    return tuple(options)
