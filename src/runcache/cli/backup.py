"""`runcache backup`: copy a cache, while it is in use."""

from pathlib import Path

import click

from runcache.catalog.catalog import Catalog
from runcache.cli.console import DAMAGE_FOUND, Console, counted, example
from runcache.cli.opened import in_catalog
from runcache.cli.options import talking
from runcache.cli.progress import shown
from runcache.cli.settings import PLACE, with_settings
from runcache.config import Loaded, Settings
from runcache.errors import FileUnreadable
from runcache.maintenance import Maintenance
from runcache.maintenance.backing_up import BackingUp, BackupReport
from runcache.maintenance.backup_folder import BackupFolder
from runcache.progress import Progress
from runcache.quantities import print_about
from runcache.server.keys import signing_key
from runcache.service import now_ms
from runcache.store.opening import open_store


@click.command("backup", epilog=example("runcache backup --data .runcache /mnt/backup"))
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@talking
@with_settings(*PLACE, "signing_key_file")
@click.option("--with-signing-key", is_flag=True, help="put the secret of the server into it, too")
def command(console: Console, *, loaded: Loaded, target: Path, with_signing_key: bool) -> None:
    """Make the folder TARGET a backup of a cache, also while servers use it.

    A former backup in TARGET is replaced once the new one is whole; bytes that it has already are
    not copied again. The exit code is 4 if an entry could not be copied since it is damaged.
    """
    settings = loaded.settings
    key = _key_of(settings) if with_signing_key else None
    with shown(console) as progress:
        report = in_catalog(
            settings, lambda catalog: _back_up(catalog, settings, target, key, progress)
        )
    text = (
        f"backed up {counted(report.entry_count, 'entry')} of {print_about(report.size_bytes)}:"
        f" {counted(report.copied_blob_count, 'new blob')} of {print_about(report.copied_bytes)},"
        f" {counted(report.removed_blob_count, 'blob')} removed"
    )
    damaged = [f"damaged: `{entry}`: not in the backup" for entry in report.damaged]
    value = {
        "entries": report.entry_count,
        "size_bytes": report.size_bytes,
        "new_blobs": report.copied_blob_count,
        "new_bytes": report.copied_bytes,
        "removed_blobs": report.removed_blob_count,
        "damaged": report.damaged,
    }
    console.show("\n".join([*damaged, text]), value)
    if report.damaged:
        click.get_current_context().exit(DAMAGE_FOUND)


async def _back_up(
    catalog: Catalog, settings: Settings, target: Path, key: str | None, progress: Progress
) -> BackupReport:
    async with open_store(settings.store) as store:
        await Maintenance(catalog, store, settings.limits(), now=now_ms).claim_store()
        folder = BackupFolder(target)
        return await BackingUp(catalog, store, folder, progress=progress, now=now_ms).run(key)


def _key_of(settings: Settings) -> str:
    file = settings.signing_key_file
    signing_key(file)
    try:
        return file.read_text("ascii")
    except OSError as exc:
        raise FileUnreadable.because_of(exc, str(file)) from exc
