"""`runcache prune`: reclaim bytes."""

import click

from runcache.cli.console import Console, counted, example
from runcache.cli.opened import upkeep
from runcache.cli.options import talking
from runcache.cli.settings import PLACE, with_settings
from runcache.config import Loaded
from runcache.quantities import print_about


@click.command("prune", epilog=example("runcache prune --data .runcache --dry-run"))
@talking
@with_settings(*PLACE)
@click.option("--dry-run", is_flag=True, help="only say what would be removed")
def command(console: Console, *, loaded: Loaded, dry_run: bool) -> None:
    """Reclaim the bytes that nothing refers to, those of expired uploads included.

    Bytes that a download link or a transfer may still ask for are left alone.
    """
    report = upkeep(loaded.settings, lambda act: act.prune(dry_run=dry_run))
    done = "would remove" if dry_run else "removed"
    lines = [
        f"{done} {counted(report.blob_count, 'blob')} of {print_about(report.size_bytes)}",
        f"  {counted(report.expired_upload_count, 'upload')} had expired",
        f"  {counted(report.orphan_count, 'blob')} had been left behind",
    ]
    value = {
        "dry_run": dry_run,
        "blobs": report.blob_count,
        "size_bytes": report.size_bytes,
        "expired_uploads": report.expired_upload_count,
        "orphans": report.orphan_count,
    }
    console.show("\n".join(lines), value)
