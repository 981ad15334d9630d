"""`runcache forget`: apply the limits now."""

from typing import Final

import click

from runcache.cli.console import Console, counted, example
from runcache.cli.opened import upkeep
from runcache.cli.options import talking
from runcache.cli.settings import PLACE, with_settings
from runcache.config import Loaded
from runcache.quantities import print_about

LIMITS: Final = ("repo_limit", "total_limit", "min_free", "unused_for", "link_ttl")


@click.command("forget", epilog=example("runcache forget --data .runcache --dry-run"))
@talking
@with_settings(*PLACE, *LIMITS)
@click.option("--dry-run", is_flag=True, help="only say what would be forgotten")
def command(console: Console, *, loaded: Loaded, dry_run: bool) -> None:
    """Forget entries that the limits do not keep, the least recently used first.

    They can no longer be restored from then on. `runcache prune` reclaims their bytes.
    """
    report = upkeep(loaded.settings, lambda act: act.forget(dry_run=dry_run))
    by_reason = {reason.value: count for reason, count in report.by_reason.items()}
    text = (
        f"{'would forget' if dry_run else 'forgot'} {counted(report.entry_count, 'entry')}"
        f" of {print_about(report.size_bytes)}"
    )
    reasons = [f"  {count} for `{reason}`" for reason, count in by_reason.items()]
    value = {
        "dry_run": dry_run,
        "entries": report.entry_count,
        "size_bytes": report.size_bytes,
        "by_reason": by_reason,
    }
    console.show("\n".join([text, *reasons]), value)
