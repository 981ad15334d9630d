"""Options that several commands share."""

import functools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from runcache.cli.console import Console
from runcache.config import load
from runcache.quantities import parse_duration
from runcache.settings import PLANNED, SETTINGS, Setting, flag_of, parse_origin

Command = Callable[..., None]

ALL: Final = tuple(row.name for row in SETTINGS)
PLACE: Final = ("data", "store", "catalog")


class Parsed(click.ParamType[Any]):
    """An option whose text is read by `parse`, which raises `ValueError`."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self,
        value: Any,  # noqa: ANN401  -- click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401  -- as above
        """Read the text of the option."""
        try:
            return self._parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def _time_to_live(text: str) -> timedelta:
    duration = parse_duration(text)
    if not duration:
        raise ValueError(f"`{text}` is no time at all")
    return duration


TIME_TO_LIVE: Final = Parsed("duration", _time_to_live)
ORIGIN: Final = Parsed("url", parse_origin)


def talking(command: Command) -> Command:
    """Add `--json`, `-q` and `-v`, and pass the `Console` as the first argument."""

    @functools.wraps(command)
    def run(*, as_json: bool, is_quiet: bool, is_verbose: bool, **options: object) -> None:
        console = click.get_current_context().ensure_object(Console)
        console.as_json, console.is_quiet, console.is_verbose = as_json, is_quiet, is_verbose
        command(console, **options)

    for option in (
        click.option("-v", "--verbose", "is_verbose", is_flag=True, help="say more of failures"),
        click.option("-q", "--quiet", "is_quiet", is_flag=True, help="say errors only"),
        click.option("--json", "as_json", is_flag=True, help="print the result as JSON"),
    ):
        run = option(run)
    return run


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
