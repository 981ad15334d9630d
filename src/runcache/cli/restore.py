"""`runcache restore`: bring files back that were saved."""

import click
import msgspec

from runcache.cli.cache import Cache, in_a_cache
from runcache.cli.console import MISSED, Console, example
from runcache.cli.entry import Wanted, for_an_entry
from runcache.cli.options import talking
from runcache.client.results import Hit


@click.command(
    "restore", epilog=example("runcache restore --key npm-1 --restore-key npm- --path '~/.npm'")
)
@talking
@for_an_entry()
@click.option("--lookup-only", is_flag=True, help="only say what would be restored")
@click.option("--fail-on-cache-miss", is_flag=True, help="end with 3 if nothing was found")
@click.option("--exact", is_flag=True, help="remove files at these paths that were not saved")
@click.option("--verify", is_flag=True, help="read files that seem unchanged, too")
@in_a_cache
def command(
    console: Console,
    *,
    wanted: Wanted,
    cache: Cache,
    fail_on_cache_miss: bool,
    **how: bool,
) -> None:
    """Restore the files that were saved under a key, or the nearest to it.

    Files that are right already stay as they are; others at these paths stay, too, unless --exact.
    """
    wanted = wanted.evaluated(cache.environment)
    hit = cache.restore(wanted, **how)
    cache.tell_step(wanted.key, hit)
    console.show("", as_json(wanted.key, hit))
    if hit is None and fail_on_cache_miss:
        click.get_current_context().exit(MISSED)


def as_json(key: str, hit: Hit | None) -> dict[str, object]:
    """Return a hit, or a miss, as `--json` shows it."""
    if hit is not None:
        return {"hit": True, **msgspec.structs.asdict(hit), "seconds": round(hit.seconds, 3)}
    nothing = {"size_bytes": 0, "fetched_bytes": 0, "files_written": 0, "files_unchanged": 0}
    unknown = {"matched_key": None, "scope": None, "format": None}
    return {"hit": False, "exact": False, "key": key, **unknown, **nothing, "seconds": 0.0}
