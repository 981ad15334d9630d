"""What a command says, and how it ends: data on stdout, talk on stderr, no colour anywhere."""

from collections.abc import Mapping
from typing import Final

import click

from runcache.errors import (
    BackupDamaged,
    CacheError,
    InvalidInput,
    InvalidSettings,
    LinkRefused,
    NotAuthenticated,
    NotPermitted,
    ServerUnreachable,
)

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
MISSED: Final = 3
DAMAGE_FOUND: Final = 4
NOT_PERMITTED: Final = 5
UNREACHABLE: Final = 6
INTERRUPTED: Final = 130

# An error that is not listed ends as the nearest of its parents that is.
EXIT_CODES: Final[Mapping[type[CacheError], int]] = {
    CacheError: FAILED,
    BackupDamaged: DAMAGE_FOUND,
    InvalidInput: WRONG_USAGE,
    InvalidSettings: WRONG_USAGE,
    LinkRefused: NOT_PERMITTED,
    NotAuthenticated: NOT_PERMITTED,
    NotPermitted: NOT_PERMITTED,
    ServerUnreachable: UNREACHABLE,
}


def example(command: str) -> str:
    """Return the epilogue of a command's help: an example on a line of its own, to be copied."""
    return f"\b\nExample:\n  {command}"


def exit_code_of(error: CacheError) -> int:
    """Return the exit code of a command that ends with `error`."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


# No struct: `--help` and what is wrong on a command line do without `msgspec`.
class Console:
    """Where a command talks to, as its `--json`, `-q` and `-v` say."""

    def __init__(
        self, *, as_json: bool = False, is_quiet: bool = False, is_verbose: bool = False
    ) -> None:
        self.as_json = as_json
        self.is_quiet = is_quiet
        self.is_verbose = is_verbose

    def show(self, text: str, value: object) -> None:
        """Print the result of a command: `value` as JSON if that was asked for, else `text`."""
        if self.as_json:
            import json  # noqa: PLC0415  -- as for a traceback

            click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        elif text:
            click.echo(text)

    def talk(self, text: str) -> None:
        """Tell a person what is going on."""
        if not self.is_quiet:
            click.echo(text, err=True)

    def warn(self, message: str, hint: str | None = None) -> None:
        """Say what went wrong without being in the way of the rest."""
        self.talk(f"warning: {message}")
        if hint is not None:
            self.talk(f"hint: {hint}")

    def fail(self, message: str, hint: str | None = None) -> None:
        """Say what went wrong, and the way out if there is one."""
        click.echo(f"error: {message}", err=True)
        if hint is not None:
            click.echo(f"hint: {hint}", err=True)

    def fail_unexpectedly(self, error: Exception) -> None:
        """Own up to a mistake of ours; only `-v` shows where it is."""
        if self.is_verbose:
            import traceback  # noqa: PLC0415  -- what is needed at the end is imported there

            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        hint = "please report it" if self.is_verbose else "please report it with the output of `-v`"
        self.fail(f"this is a mistake in runcache: {type(error).__name__}: {error}", hint)


def counted(count: int, noun: str) -> str:
    """Return a number and its noun, such as `1 entry` or `26 840 entries`."""
    if count == 1:
        return f"1 {noun}"
    is_ies = noun.endswith("y") and noun[-2:-1] not in "aeiou"
    plural = f"{noun.removesuffix('y')}ies" if is_ies else f"{noun}s"
    return f"{grouped(count)} {plural}"


def grouped(count: int) -> str:
    """Return a number with blanks between its thousands, such as `26 840`."""
    return f"{count:,}".replace(",", " ")
