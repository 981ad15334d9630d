"""`runcache migrate-store`: copy all bytes to another store."""

from typing import Final

import click

from runcache.catalog.catalog import Catalog
from runcache.cli.console import DAMAGE_FOUND, Console, counted, example
from runcache.cli.opened import in_catalog
from runcache.cli.options import Parsed, talking
from runcache.cli.progress import shown
from runcache.cli.settings import with_settings
from runcache.config import Loaded
from runcache.locations import StoreLocation, parse_store
from runcache.maintenance.copying import Copying, CopyReport
from runcache.progress import Progress
from runcache.quantities import print_about
from runcache.store.opening import open_store

_STORE: Final = Parsed("url", parse_store)


@click.command(
    "migrate-store",
    epilog=example("runcache migrate-store file:///srv/runcache/blobs s3://bucket/runcache"),
)
@click.argument("source", type=_STORE, metavar="FROM")
@click.argument("target", type=_STORE, metavar="TO")
@talking
@with_settings("data", "catalog")
@click.option("--dry-run", is_flag=True, help="only say what would be copied")
def command(
    console: Console, *, loaded: Loaded, source: StoreLocation, target: StoreLocation, dry_run: bool
) -> None:
    """Copy everything in the store FROM to the store TO, also while servers use FROM.

    Stop all servers then, repeat this for what they have saved meanwhile, and start them with TO as
    their `store`. What is there already is not copied again. The exit code is 4 if an entry could
    not be copied since it is damaged.
    """
    if source == target:
        raise click.UsageError(f"`{source.shown}` is both")
    with shown(console) as progress:
        report = in_catalog(
            loaded.settings,
            lambda catalog: _copy(catalog, source, target, progress, is_dry_run=dry_run),
        )
    was = "was" if report.present_count == 1 else "were"
    text = (
        f"{'would copy' if dry_run else 'copied'} {counted(report.blob_count, 'blob')}"
        f" of {print_about(report.size_bytes)},"
        f" {counted(report.present_count, 'blob')} {was} there already"
    )
    damaged = [f"damaged: `{entry}`: not copied" for entry in report.damaged]
    value = {
        "dry_run": dry_run,
        "blobs": report.blob_count,
        "size_bytes": report.size_bytes,
        "present_blobs": report.present_count,
        "damaged": report.damaged,
    }
    console.show("\n".join([*damaged, text]), value)
    if report.damaged:
        click.get_current_context().exit(DAMAGE_FOUND)


async def _copy(
    catalog: Catalog,
    source: StoreLocation,
    target: StoreLocation,
    progress: Progress,
    *,
    is_dry_run: bool,
) -> CopyReport:
    async with open_store(source) as read, open_store(target) as written:
        copying = Copying(catalog, read, written, progress=progress)
        return await (copying.foresee() if is_dry_run else copying.run())
