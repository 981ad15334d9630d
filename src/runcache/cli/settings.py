"""Options that are settings, and values that are written as in settings."""

import functools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from runcache.cli.console import Console
from runcache.cli.options import Command, Parsed
from runcache.config import load
from runcache.quantities import parse_duration
from runcache.settings import PLANNED, SETTINGS, Setting, flag_of, parse_origin

ALL: Final = tuple(row.name for row in SETTINGS)
PLACE: Final = ("data", "store", "catalog")


def _time_to_live(text: str) -> timedelta:
    duration = parse_duration(text)
    if not duration:
        raise ValueError(f"`{text}` is no time at all")
    return duration


TIME_TO_LIVE: Final = Parsed("duration", _time_to_live)
ORIGIN: Final = Parsed("url", parse_origin)


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Add the flags of these settings and `--config`, and pass what was `loaded`."""
    rows = [row for row in SETTINGS if row.name in names]
    planned = PLANNED if names == ALL else {}

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(console: Console, *, config: Path | None, **options: object) -> None:
            flags = {name: _text(options.pop(name)) for name in (*planned, *(r.name for r in rows))}
            command(console, loaded=load(flags, file=config), **options)

        decorated: Command = run
        for name in planned:
            decorated = click.option(flag_of(name), name, hidden=True)(decorated)
        decorated = _file_option(decorated)
        for row in reversed(rows):
            decorated = _option(row)(decorated)
        return decorated

    return decorate


_file_option: Final = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="settings as TOML [default: runcache.toml, if there is one]",
)


def _option(row: Setting) -> Callable[[Command], Command]:
    flag = flag_of(row.name)
    default = row.default if isinstance(row.default, str) else "none"
    help_text = row.help if default == "none" else f"{row.help} [default: {default}]"
    if row.kind.metavar == "BOOL":
        both = f"{flag}/--no-{flag.removeprefix('--')}"
        return click.option(both, row.name, default=None, help=help_text)
    return click.option(flag, row.name, metavar=row.kind.metavar, help=help_text)


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
