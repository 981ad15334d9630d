"""`runcache show`: what is known of an entry, and what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_IFDIR, S_IFLNK, S_IFREG, filemode
from typing import Final

import click

from runcache.cli.console import Console, counted, example
from runcache.cli.options import talking
from runcache.cli.place import Place, in_a_place
from runcache.cli.tables import (
    Size,
    age,
    exact_instant,
    instant,
    is_terminal,
    printable,
    show_lines,
    show_table,
)
from runcache.client.management import Management
from runcache.details import EntryDetails, FileKind, StoredFile
from runcache.errors import EntryMissing, NotFound
from runcache.quantities import print_about

_TYPES: Final[dict[FileKind, int]] = {"file": S_IFREG, "folder": S_IFDIR, "link": S_IFLNK}
_FILES_AT_ONCE: Final = 10_000


@click.command("show", epilog=example("runcache show 17 --files --search react"))
@talking
@click.argument("entry_id", metavar="ID", type=click.IntRange(0, 2**62))
@click.option("--files", "is_of_files", is_flag=True, help="list the files of a snapshot instead")
@click.option("--search", metavar="TEXT", help="with `--files`: those with this in their paths")
@in_a_place
def command(
    console: Console, *, place: Place, entry_id: int, is_of_files: bool, search: str | None
) -> None:
    """Show what is known of an entry: its fields, who saved it, who else has its bytes, its use.

    Off a terminal a file is a line of mode, size and path, apart by tabs.
    """
    if search is not None and not is_of_files:
        raise click.UsageError("`--search` goes with `--files`")
    repository = place.repository
    with place.management() as management, _named(repository, entry_id):
        if is_of_files:
            _show_files(console, _files(management, repository, entry_id, search or ""))
        else:
            details = management.details(repository, entry_id)
            if details is None:
                raise EntryMissing
            console.show("\n".join(_lines(details)), _as_json(details))


@contextmanager
def _named(repository: str, entry_id: int) -> Iterator[None]:
    """Let the error for an entry that is missing say which."""
    try:
        yield
    except EntryMissing as exc:
        raise NotFound(f"no entry of `{repository}` has the id {entry_id}") from exc


def _files(
    management: Management, repository: str, entry_id: int, search: str
) -> Iterator[StoredFile]:
    after: str | None = ""
    while after is not None:
        page = management.files(
            repository, entry_id, search=search, after=after or None, limit=_FILES_AT_ONCE
        )
        if page is None:
            raise NotFound(f"the entry {entry_id} is an archive: only its client can list it")
        yield from page.files
        after = page.next


def _show_files(console: Console, files: Iterator[StoredFile]) -> None:
    if console.as_json:
        console.show("", [_file_as_json(file) for file in files])
    elif is_terminal():
        show_table(("mode", "path", "size"), ((m, p, s) for m, s, p in map(_row, files)))
    else:
        show_lines(map(_row, files))


def _row(file: StoredFile) -> tuple[str, Size, str]:
    target = "" if file.target is None else f" -> {file.target}"
    mode = filemode(_TYPES[file.kind] | file.mode)
    return (mode, Size(file.size_bytes), f"{file.path}{target}")


def _file_as_json(file: StoredFile) -> dict[str, object]:
    return {
        "path": file.path,
        "kind": file.kind,
        "size_bytes": file.size_bytes,
        "mode": f"{file.mode:04o}",
        "target": file.target,
    }


def _lines(details: EntryDetails) -> Iterator[str]:
    for name, text in _facts(details):
        yield f"{name:<9} {printable(text)}"


def _facts(details: EntryDetails) -> Iterator[tuple[str, str]]:
    entry, shares, origin = details.entry, details.shares, details.origin
    form = "snapshot" if entry.is_snapshot else "archive"
    yield "id", str(entry.id)
    yield "key", entry.key
    yield "ref", entry.scope
    yield "version", entry.version
    yield "format", f"{form} of {counted(shares.blob_count, 'blob')}"
    shared = f", {print_about(shares.shared_bytes)} of it shared" if shares.shared_bytes else ""
    yield "size", f"{print_about(entry.size_bytes)}{shared}"
    yield "created", _when(entry.created_at)
    yield "accessed", _when(entry.last_accessed_at)
    if origin is not None:
        run = None if origin.run is None else f"run {origin.run}"
        yield "saved by", ", ".join(filter(None, (origin.ref, origin.event, run)))
        for path in origin.paths or ():
            yield "path", path
    for at_ms in details.restored_at:
        yield "restored", _when(at_ms)


def _when(at_ms: int) -> str:
    return f"{instant(at_ms)}, {age(at_ms)}" if is_terminal() else instant(at_ms)


def _as_json(details: EntryDetails) -> dict[str, object]:
    entry, shares, origin = details.entry, details.shares, details.origin
    return {
        "id": entry.id,
        "repository": entry.repository,
        "key": entry.key,
        "ref": entry.scope,
        "version": entry.version,
        "format": "snapshot" if entry.is_snapshot else "archive",
        "size_bytes": entry.size_bytes,
        "own_bytes": shares.own_bytes,
        "shared_bytes": shares.shared_bytes,
        "blobs": shares.blob_count,
        "created_at": exact_instant(entry.created_at),
        "last_accessed_at": exact_instant(entry.last_accessed_at),
        "origin": None
        if origin is None
        else {
            "ref": origin.ref,
            "event": origin.event,
            "run": origin.run,
            "paths": None if origin.paths is None else list(origin.paths),
            "compression": origin.compression,
            "system": origin.system,
            "cross_os": origin.cross_os,
        },
        "restored_at": [exact_instant(at_ms) for at_ms in details.restored_at],
    }
