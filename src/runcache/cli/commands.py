"""All commands of `runcache`, and what becomes of their errors."""

import gc
from collections.abc import Sequence
from typing import Final

import click

from runcache import __version__
from runcache.cli.console import DONE, FAILED, INTERRUPTED, Console, example, exit_code_of
from runcache.cli.lazy import LazyGroup
from runcache.errors import CacheError

# What these make, they need until they end: to look for rubbish would take a third of their time.
_SHORT: Final = frozenset({"restore", "save", "run"})


@click.group(
    cls=LazyGroup,
    lazy={
        "restore": ("restore:command", "bring files back that were saved"),
        "save": ("save:command", "save files for later"),
        "run": ("run:command", "restore, run a command, and save"),
        "serve": ("serve:command", "serve a cache to jobs"),
        "token": ("token:command", "make, list and revoke tokens"),
        "env": ("env:command", "print the variables that point a job at the cache"),
        "config": ("config:command", "show the settings, and where each comes from"),
        "list": ("list:command", "list what is saved"),
        "show": ("show:command", "show an entry, or the files in it"),
        "delete": ("delete:command", "delete entries"),
        "usage": ("usage:command", "show how much repositories keep"),
        "explain": ("explain:command", "say why a lookup finds what it finds, or nothing"),
        "stats": ("stats:command", "show what lookups found, and what was saved and evicted"),
        "forget": ("forget:command", "forget entries that the limits do not keep"),
        "prune": ("prune:command", "reclaim the bytes that nothing refers to"),
        "check": ("check:command", "verify that every entry is whole"),
        "backup": ("backup:command", "copy a cache into a folder"),
        "restore-backup": ("restore_backup:command", "fill an empty cache from a backup"),
        "migrate-store": ("migrate_store:command", "copy all bytes to another store"),
        "lint": ("lint:command", "check the cache steps of workflows against good practice"),
        "eval": ("evaluate:command", "print the value of an expression"),
        "hash-files": ("hash_files:command", "print the digest of the files that match"),
        "version-of": ("version_of:command", "print the version that paths have"),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("runcache serve --data .runcache"),
)
@click.version_option(__version__, message="runcache %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Dependency caching for CI jobs, with the semantics of actions/cache."""
    if context.invoked_subcommand not in _SHORT:
        gc.enable()


def run(args: Sequence[str] | None) -> int:
    """Run one command and return its exit code; no error leaves as a traceback.

    Only `restore`, `save` and `run` leave the collector as it is; the others enable it.
    """
    console = Console()
    try:
        status = commands.main(args, prog_name="runcache", standalone_mode=False, obj=console)
    except click.Abort:
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message(), err=True)
        return exc.exit_code
    except click.ClickException as exc:
        console.fail(*_in_our_words(exc))
        return exc.exit_code
    except CacheError as exc:
        console.fail(str(exc), exc.hint)
        return exit_code_of(exc)
    except Exception as exc:  # noqa: BLE001  -- the last resort: nobody else would say it kindly
        console.fail_unexpectedly(exc)
        return FAILED
    return status if isinstance(status, int) else DONE


def _in_our_words(exc: click.ClickException) -> tuple[str, str | None]:
    message = exc.format_message().strip().removesuffix(".").replace("'", "`")
    hint = None
    if isinstance(exc, click.UsageError) and exc.ctx is not None:
        hint = f"`{exc.ctx.command_path} --help` shows how"
    return message[:1].lower() + message[1:], hint
