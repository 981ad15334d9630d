"""`runcache save`: keep files for later."""

import click
import msgspec

from runcache.cli.cache import Cache, in_a_cache
from runcache.cli.console import Console, example
from runcache.cli.entry import Wanted, for_an_entry
from runcache.cli.options import talking
from runcache.client.results import Format, Saved


@click.command("save", epilog=example("runcache save --key npm-1 --path '~/.npm'"))
@talking
@for_an_entry(is_restored=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["snapshot", "archive"]),
    default="snapshot",
    show_default=True,
    help="only what changed, or what `actions/cache` restores, too",
)
@click.option("--level", metavar="N", type=click.IntRange(1, 19), help="how hard to compress")
@click.option(
    "--base",
    metavar="auto|none|KEY",
    default="auto",
    show_default=True,
    help="the entry whose bytes need not be sent again",
)
@click.option("--refuse-secrets", is_flag=True, help="fail if credentials are among the files")
@in_a_cache
def command(
    console: Console,
    *,
    wanted: Wanted,
    cache: Cache,
    form: Format,
    level: int | None,
    base: str,
    refuse_secrets: bool,
) -> None:
    """Save the files at some paths under a key that nobody has used yet.

    Entries never change: where the key is saved already, nothing happens.
    """
    wanted = wanted.evaluated(cache.environment)
    saved = cache.save(
        wanted,
        form=form,
        level=level,
        base=cache.environment.evaluated(base),
        refuse_secrets=refuse_secrets,
    )
    console.show("", as_json(wanted.key, saved))


def as_json(key: str, saved: Saved | None) -> dict[str, object]:
    """Return what was saved, or that nothing was, as `--json` shows it."""
    if saved is not None:
        return {**msgspec.structs.asdict(saved), "seconds": round(saved.seconds, 3)}
    unknown = {"version": None, "scope": None, "format": None}
    nothing = {"size_bytes": 0, "new_bytes": 0, "files": 0, "seconds": 0.0}
    return {"key": key, **unknown, "created": False, "entry_id": None, **nothing}
