"""The client: what `runcache save` and `runcache restore` do, over any transport."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from runcache.client.results import Fetched, Format, Hit, RestoreRequest, Saved, SaveRequest, Sent
from runcache.client.transports import FoundEntry, Transport
from runcache.errors import (
    BlobMissing,
    BrokenEntry,
    CacheError,
    EntryExists,
    InvalidInput,
    NotPermitted,
    PartlyRestored,
    SnapshotsUnsupported,
)
from runcache.matching import keys_of
from runcache.model import Inputs, Key, MatchKind
from runcache.progress import Progress, Silence
from runcache.versions import COMPRESSIONS, SNAPSHOT, cache_version, paths_of_input

if TYPE_CHECKING:
    from runcache.client.archives import Archives
    from runcache.client.snapshots import Snapshots


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where files are saved and restored.

    Attributes:
        folder: where relative paths begin.
        workspace: what names in archives are relative to, as `GITHUB_WORKSPACE` is.
        home: what `~` stands for.
        memory: the folder in which this machine remembers what it saved and restored.
        system: `Linux`, `macOS` or `Windows`.
        may_fork: whether this process may have children of which its owner knows nothing.
    """

    folder: Path
    workspace: Path
    home: Path
    memory: Path
    system: str
    may_fork: bool = False


class Client:
    """Saves and restores for one job. Use it in a `with`, or `close` it.

    Keys and paths are taken as they are: `Environment.evaluated` gives those with `${{ }}` their
    values. `warn` hears what is wrong without being in the way. `may_read` and `may_write` say what
    the job's mode permits.

    Any method may raise what transports do, `InvalidInput` for keys and paths that cannot be, and
    `FileUnreadable` and `FileUnwritable` for what the disk refuses.
    """

    def __init__(
        self,
        transport: Transport,
        machine: Machine,
        *,
        warn: Callable[[str], None],
        may_read: bool = True,
        may_write: bool = True,
    ) -> None:
        self._transport = transport
        self._machine = machine
        self._warn = warn
        self._may_read = may_read
        self._may_write = may_write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections and threads."""
        self._transport.close()

    def save(
        self,
        paths: Iterable[str],
        *,
        key: str,
        format: Format = "snapshot",  # noqa: A002  -- what the option is called
        level: int | None = None,
        base: str = "auto",
        cross_os: bool = False,
        refuse_secrets: bool = False,
        progress: Progress | None = None,
    ) -> Saved:
        """Save what is at `paths` under `key`.

        Args:
            paths: patterns as `actions/cache` takes them. For a snapshot `!` excludes really.
            key: the key. If it is saved already, nothing happens, and `created` is false.
            format: archives are what `actions/cache` restores, too. A server that keeps nothing
                else gets one in any case.
            level: how hard zstd shall try, from 1 to 19.
            base: which snapshot to share packs with: `auto` for what this machine last saved or
                restored at these paths, else the newest readable one; `none`; or a key.
            cross_os: whether the entry is for all systems.
            refuse_secrets: whether credentials among the files are an error, not a warning.
            progress: hears how far it is.

        Raises:
            NotPermitted: the job may not save.
            NothingToSave: there is nothing at the paths.
            SecretsFound: there are credentials among the files, and that is refused.
        """
        started = time.monotonic()
        if not self._may_write:
            raise NotPermitted("the cache mode of the job permits no saving")
        texts = _lines(paths)
        is_snapshot = format == "snapshot"
        compression = SNAPSHOT if is_snapshot else self._archives.compression
        request = SaveRequest(
            paths=texts,
            key=Key(key).text,
            version=self._version(texts, compression, cross_os=cross_os),
            inputs=Inputs(
                paths=texts,
                compression=compression,
                system=self._machine.system,
                cross_os=cross_os,
            ),
            level=level,
            base=base,
            refuse_secrets=refuse_secrets,
            progress=progress or Silence(),
        )
        sent: Sent | None = None
        try:
            sent = (self._snapshots if is_snapshot else self._archives).save(request)
        except EntryExists:
            pass
        except SnapshotsUnsupported:
            self._warn("the server keeps archives only, so an archive is saved")
            return self.save(
                texts,
                key=key,
                format="archive",
                level=level,
                cross_os=cross_os,
                refuse_secrets=refuse_secrets,
                progress=progress,
            )
        return Saved(
            key=key,
            version=request.version,
            scope=self._transport.scope,
            format=format,
            created=sent is not None,
            entry_id=sent.entry_id if sent else None,
            size_bytes=sent.size_bytes if sent else 0,
            new_bytes=sent.new_bytes if sent else 0,
            files=sent.files if sent else 0,
            seconds=time.monotonic() - started,
        )

    def restore(
        self,
        paths: Iterable[str],
        *,
        key: str,
        restore_keys: Iterable[str] = (),
        cross_os: bool = False,
        lookup_only: bool = False,
        exact: bool = False,
        verify: bool = False,
        progress: Progress | None = None,
    ) -> Hit | None:
        """Restore what was saved at `paths` under `key`, or else under one of `restore_keys`.

        Args:
            paths: the same patterns as those of the save.
            key: the key, which is also tried as the beginning of one.
            restore_keys: what else the beginning may be, in order.
            cross_os: whether the entry is one for all systems.
            lookup_only: whether to look only, and fetch nothing.
            exact: whether what is in the folders, and not in the entry, goes away.
            verify: whether each file that is here already is read, whatever is known of it.
            progress: hears how far it is.

        Returns:
            What was found, or `None`: nothing, or an entry that cannot be restored, of which
            `warn` heard. What such a one had already written is gone, or named to `warn`.

        Raises:
            NotPermitted: the job may not restore.
        """
        started = time.monotonic()
        if not self._may_read:
            raise NotPermitted("the cache mode of the job permits no restoring")
        texts = _lines(paths)
        keys = keys_of(key, restore_keys)
        snapshot = self._version(texts, SNAPSHOT, cross_os=cross_os)
        found = self._transport.find(
            keys[0].text,
            [other.text for other in keys[1:]],
            snapshot=snapshot,
            archives=[self._version(texts, each, cross_os=cross_os) for each in COMPRESSIONS],
        )
        if found is None:
            return None
        is_snapshot = found.version == snapshot
        fetched: Fetched | None = Fetched(0, 0, 0)
        if not lookup_only:
            request = RestoreRequest(
                paths=texts, exact=exact, verify=verify, progress=progress or Silence()
            )
            restorer = self._snapshots if is_snapshot else self._archives
            fetched = self._believed(found, lambda: restorer.restore(found, request))
        if fetched is None:
            return None
        return Hit(
            exact=found.kind is MatchKind.EXACT,
            key=key,
            matched_key=found.key,
            scope=found.scope,
            format="snapshot" if is_snapshot else "archive",
            size_bytes=found.size_bytes,
            fetched_bytes=fetched.fetched_bytes,
            files_written=fetched.files_written,
            files_unchanged=fetched.files_unchanged,
            seconds=time.monotonic() - started,
        )

    def _believed(self, found: FoundEntry, restore: Callable[[], Fetched]) -> Fetched | None:
        """Return what `restore` does, `None` if the entry is not what it should be."""
        try:
            return restore()
        except BlobMissing:
            self._warn(f"`{found.key}` was evicted while it was restored: taken for a miss")
        except PartlyRestored as exc:
            if not isinstance(exc.__cause__, BrokenEntry):
                raise
            self._tell_broken(found, exc)
        except BrokenEntry as exc:
            self._tell_broken(found, exc)
        return None

    def _tell_broken(self, found: FoundEntry, error: CacheError) -> None:
        self._warn(f"`{found.key}` cannot be restored, and is taken for a miss: {error}")
        # Whoever keeps it verifies it; that nobody hears of this shall not fail a build.
        with suppress(CacheError):
            self._transport.report_damage(found, str(error.__cause__ or error))

    def _version(self, texts: Iterable[str], compression: str, *, cross_os: bool) -> str:
        return cache_version(texts, compression, self._machine.system, cross_os=cross_os)

    @cached_property
    def _snapshots(self) -> "Snapshots":
        from runcache.client.snapshots import Snapshots  # noqa: PLC0415  -- a miss needs none

        return Snapshots(self._transport, self._machine, self._warn)

    @cached_property
    def _archives(self) -> "Archives":
        from runcache.client.archives import Archives  # noqa: PLC0415  -- as above

        return Archives(self._transport, self._machine, self._warn)


def _lines(paths: Iterable[str]) -> tuple[str, ...]:
    """Return one path a line, as `actions/cache` reads its input.

    Raises:
        InvalidInput: there is none.
    """
    given = [paths] if isinstance(paths, str) else paths
    lines = tuple(line for text in given for line in paths_of_input(text))
    if not lines:
        raise InvalidInput("at least one path is required")
    return lines
