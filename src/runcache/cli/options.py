"""Options that several commands share; nothing here is slow to import."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from runcache.cli.console import Console

Command = Callable[..., None]


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


def _context(text: str) -> tuple[str, Any]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise ValueError(f"`{text}` is not of the form NAME=FILE")
    import json  # noqa: PLC0415  -- hardly anybody gives contexts

    try:
        return name, json.loads(Path(file).read_bytes())
    except OSError as exc:
        raise ValueError(f"`{file}` cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"`{file}` is not JSON: {exc}") from exc


CONTEXT: Final = Parsed("name=file", _context)
"""A context for expressions: its name, and its value from a file with JSON."""


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
