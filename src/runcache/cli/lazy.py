"""Groups of commands that are imported when they are asked for: starting costs nothing else."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows of each command its help and where it is, as `module:name`."""

    def __init__(
        self,
        *,
        lazy: Mapping[str, tuple[str, str]],
        **attributes: Any,  # noqa: ANN401  -- those of click
    ) -> None:
        super().__init__(**attributes)
        self._lazy = lazy

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name the commands, in the order of a first visit."""
        return list(self._lazy)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self._lazy:
            return None
        module, name = self._lazy[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(f"runcache.cli.{module}"), name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])
