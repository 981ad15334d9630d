"""What a server of ours tells of a single entry: its messages as values."""

from runcache.details import EntryDetails, FilePage, Shares, StoredFile
from runcache.model import Entry
from runcache.records import Origin
from runcache.wire import entries as wire


def path_of(repository: str, entry_id: int) -> str:
    """Return where an entry of `repository`, in lower case, is described."""
    return _filled(wire.ENTRY_PATH, repository, entry_id)


def path_of_files(repository: str, entry_id: int) -> str:
    """Return where the files of an entry are listed."""
    return _filled(wire.FILES_PATH, repository, entry_id)


def details_of(found: wire.Details) -> EntryDetails:
    """Return what is known of an entry."""
    entry = Entry(
        id=found.id,
        repository=found.repository,
        scope=found.ref,
        key=found.key,
        version=found.version,
        size_bytes=found.size_bytes,
        created_at=found.created_at,
        last_accessed_at=found.last_accessed_at,
        is_snapshot=found.format == "snapshot",
    )
    shares = Shares(found.blob_count, found.own_bytes, found.shared_bytes)
    origin = None if found.origin is None else _origin(found.origin, found.format)
    return EntryDetails(entry, shares, origin, found.restored_at)


def page_of(found: wire.Files) -> FilePage | None:
    """Return a page of files, `None` for an archive."""
    if found.files is None:
        return None
    return FilePage(tuple(map(_file, found.files)), found.total_count, found.next)


def _filled(template: str, repository: str, entry_id: int) -> str:
    owner, _, name = repository.partition("/")
    return template.format(owner=owner, repo=name, entry_id=entry_id)


def _origin(origin: wire.Origin, form: str) -> Origin:
    return Origin(
        ref=origin.ref,
        event=origin.event,
        run=origin.run,
        paths=origin.paths,
        compression=origin.compression,
        system=origin.system,
        cross_os=origin.cross_os,
        format=form,
    )


def _file(file: wire.File) -> StoredFile:
    return StoredFile(file.path, file.kind, file.size_bytes, file.mode, file.target)
