"""What is to be saved or restored: the options of all commands that do."""

import functools
from collections.abc import Callable

import click
import msgspec

from runcache.cli.options import Command
from runcache.client.environment import Environment


class Wanted(msgspec.Struct, frozen=True):
    """An entry, as `actions/cache` is told of it."""

    key: str
    restore_keys: tuple[str, ...]
    paths: tuple[str, ...]
    cross_os: bool = False

    def evaluated(self, environment: Environment) -> "Wanted":
        """Return it with the values of what stands between `${{` and `}}`.

        Raises:
            ExpressionError: an expression cannot be read or evaluated.
        """
        return msgspec.structs.replace(
            self,
            key=environment.evaluated(self.key),
            restore_keys=tuple(map(environment.evaluated, self.restore_keys)),
            paths=tuple(map(environment.evaluated, self.paths)),
        )


def for_an_entry(
    *, is_restored: bool = True, may_be_preset: bool = False
) -> Callable[[Command], Command]:
    """Add the options that say which entry, and pass it as `wanted`.

    If it may be that of a preset, `wanted` is None where neither key nor path is given.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(
            *args: object,
            key: str | None,
            paths: tuple[str, ...],
            cross_os: bool,
            restore_keys: tuple[str, ...] = (),
            **options: object,
        ) -> None:
            if may_be_preset and key is None and not (paths or restore_keys or cross_os):
                return command(*args, wanted=None, **options)
            for name, value in (("--key", key), ("--path", paths)):
                if not value:
                    raise click.UsageError(f"missing option `{name}`")
            return command(*args, wanted=Wanted(str(key), restore_keys, paths, cross_os), **options)

        decorated: Command = run
        for option in (_cross_os, _paths, *([_restore_keys] if is_restored else []), _key):
            decorated = option(decorated)
        return decorated

    return decorate


_key = click.option("--key", metavar="KEY", help="the key; may hold ${{ … }}")
_restore_keys = click.option(
    "--restore-key",
    "restore_keys",
    metavar="PREFIX",
    multiple=True,
    help="how other keys begin that will do, the best one first; may be repeated",
)
_paths = click.option(
    "--path",
    "paths",
    metavar="PATH",
    multiple=True,
    help="a file, folder or pattern, `!` before it excludes; may be repeated",
)
_cross_os = click.option(
    "--cross-os", is_flag=True, help="share the entry between Windows and other systems"
)
