"""`runcache restore-backup`: fill an empty cache from a backup."""

import asyncio
from pathlib import Path

import click

from runcache.catalog.opening import open_catalog
from runcache.cli.console import DAMAGE_FOUND, Console, counted, example
from runcache.cli.options import talking
from runcache.cli.progress import shown
from runcache.cli.settings import PLACE, with_settings
from runcache.config import Loaded, Settings
from runcache.maintenance.backup_folder import BackupFolder
from runcache.maintenance.drafts import Draft
from runcache.maintenance.restoring import RestoreReport, Restoring, Verifying
from runcache.progress import Progress
from runcache.quantities import print_about
from runcache.service import now_ms
from runcache.store.opening import open_store


@click.command(
    "restore-backup", epilog=example("runcache restore-backup --data .runcache /mnt/backup")
)
@click.argument("source", type=click.Path(path_type=Path, file_okay=False))
@talking
@with_settings(*PLACE, "signing_key_file")
@click.option("--dry-run", is_flag=True, help="only read the backup, and say what is whole")
def command(console: Console, *, loaded: Loaded, source: Path, dry_run: bool) -> None:
    """Fill an empty cache from the backup in the folder SOURCE, whatever engines it came from.

    No server may use the cache before this has ended. What was interrupted goes on when it is
    repeated. The exit code is 4 if an entry is not whole in the backup, and so was left out.
    """
    folder = BackupFolder(source)
    with shown(console) as progress:
        if dry_run:
            report = asyncio.run(Verifying(folder, progress=progress).run())
        else:
            report = asyncio.run(_restore(loaded.settings, folder, progress))
    if not dry_run:
        _restore_key(console, loaded.settings, folder)
    done = "would restore" if dry_run else "restored"
    text = f"{done} {counted(report.entry_count, 'entry')} of {print_about(report.size_bytes)}"
    damaged = [f"damaged: `{entry}`: its bytes in the backup are wrong" for entry in report.damaged]
    value = {
        "dry_run": dry_run,
        "entries": report.entry_count,
        "size_bytes": report.size_bytes,
        "damaged": report.damaged,
    }
    console.show("\n".join([*damaged, text]), value)
    if report.damaged:
        click.get_current_context().exit(DAMAGE_FOUND)


async def _restore(settings: Settings, folder: BackupFolder, progress: Progress) -> RestoreReport:
    # Before there is a catalog that would have to be removed again.
    await asyncio.to_thread(folder.list.header)
    async with open_catalog(settings.catalog) as catalog, open_store(settings.store) as store:
        return await Restoring(catalog, store, folder, progress=progress, now=now_ms).run()


def _restore_key(console: Console, settings: Settings, folder: BackupFolder) -> None:
    key = folder.read_key()
    file = settings.signing_key_file
    if key is None:
        return
    if settings.is_own_signing_key and not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Draft(file.with_name(f".{file.name}-draft"))
        draft.write(key.encode("ascii"))
        draft.move_to(file)
    elif not file.exists() or file.read_text("ascii") != key:
        console.warn(
            "the signing key of the backup was not restored",
            hint=f"the settings name `{file}`, which is another one: copy it there by hand",
        )
