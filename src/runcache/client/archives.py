"""Archives: what `actions/cache` saves and restores, too (protocol §7)."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Final

from runcache.client.client import Machine
from runcache.client.decompression import Contents
from runcache.client.packing import DEFAULT_LEVEL, Packing, compressed
from runcache.client.results import Fetched, RestoreRequest, SaveRequest, Sent
from runcache.client.secrets import Credentials
from runcache.client.selection import ArchivePaths
from runcache.client.tar import HeaderReader, is_end
from runcache.client.transports import ArchiveUpload, Committed, FoundEntry, Transport
from runcache.client.unpacking import Unpacker
from runcache.errors import NothingToSave, UnsafeEntry
from runcache.globs.paths import resolve_paths
from runcache.snapshot.limits import Limits
from runcache.versions import COMPRESSIONS

PARALLEL: Final = 4


class Archives:
    """Saves and restores archives, over any transport."""

    def __init__(
        self,
        transport: Transport,
        machine: Machine,
        warn: Callable[[str], None],
        *,
        limits: Limits | None = None,
    ) -> None:
        self._transport = transport
        self._machine = machine
        self._warn = warn
        self._limits = limits or Limits()

    @cached_property
    def compression(self) -> str:
        """How archives are compressed here: as GitHub's client would, which needs the program."""
        zstd, gzip = COMPRESSIONS
        return zstd if shutil.which("zstd") else gzip

    def save(self, request: SaveRequest) -> Sent:
        """Save an archive, of which one part is sent while the next one is made.

        Raises:
            EntryExists: the key is saved already.
            NothingToSave: there is nothing at the paths.
            SecretsFound: there are credentials among the files, and that is refused.
        """
        names = resolve_paths(
            request.paths,
            folder=self._machine.folder,
            workspace=self._machine.workspace,
            home=self._machine.home,
        )
        if not names:
            raise NothingToSave(request.paths)
        credentials = Credentials(is_refused=request.refuse_secrets)
        packing = Packing(
            names,
            os.fsencode(self._machine.workspace),
            progress=request.progress,
            look=credentials.look,
            warn=self._warn,
        )
        upload = self._transport.reserve_archive(request.key, request.version, request.inputs)
        request.progress.phase("save")
        level = DEFAULT_LEVEL if request.level is None else request.level
        blocks = compressed(packing.pieces(), self.compression, level)
        committed = _sent(blocks, upload)
        credentials.warn(self._warn)
        return Sent(committed.entry_id, committed.size_bytes, committed.size_bytes, packing.files)

    def restore(self, found: FoundEntry, request: RestoreRequest) -> Fetched:
        """Restore an archive, of which one part is written while the next one is fetched.

        Raises:
            BrokenEntry, UnsafeEntry: it is not what it should be. What it wrote is gone again.
            BlobMissing: it was evicted meanwhile.
        """
        paths = ArchivePaths(request.paths, folder=self._machine.folder, home=self._machine.home)
        request.progress.phase("restore")
        unpacker = Unpacker(
            str(self._machine.workspace),
            paths,
            progress=request.progress,
            warn=self._warn,
            is_exact=request.exact,
        )
        contents = Contents(found.blobs[0].stream(), self._limits)
        with contents, unpacker:
            _unpack(contents, unpacker, self._limits)
        return Fetched(contents.fetched_bytes, unpacker.files, 0)


def _sent(blocks: Iterable[bytes], upload: ArchiveUpload) -> Committed:
    """Send blocks, several at once, and commit them."""
    size_bytes = count = 0
    running: deque[Future[None]] = deque()
    pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="runcache-upload")
    try:
        for block in blocks:
            if len(running) == PARALLEL:
                running.popleft().result()
            running.append(pool.submit(upload.put, count, size_bytes, memoryview(block)))
            size_bytes += len(block)
            count += 1
        for sending in running:
            sending.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return upload.commit(size_bytes, count)


def _unpack(contents: Contents, unpacker: Unpacker, limits: Limits) -> None:
    reader = HeaderReader()
    count = 0
    while not is_end(block := contents.block()):
        extension_bytes = reader.extension_bytes(block)
        if extension_bytes is not None:
            reader.extend(block, contents.exactly(extension_bytes))
            continue
        count += 1
        if count > limits.records:
            raise UnsafeEntry(f"the archive has more than {limits.records} members")
        unpacker.add(reader.member(block), contents)
    contents.drain()
    unpacker.finish()
