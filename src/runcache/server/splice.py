"""Bytes from one connection to another, past the memory of this process."""

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import Final, Self

from runcache.descriptors import writable
from runcache.service import ArrivingBytes

# Of all pipes of a user the kernel grants 64 MiB.
_PIPE_BYTES: Final = 512 * 1024
# For so long, at least, nothing comes before somebody else waits for it.
_SILENT_SECONDS: Final = 0.5


class Splice:
    """A pipe to the connection of a client without TLS, made when it is first used."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._descriptors: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    async def send(self, piece: ArrivingBytes) -> None:
        """Send a piece behind whatever was written before, and what follows it as it comes.

        Raises:
            ConnectionError: the client is gone.
        """
        transport = self.transport
        if transport.is_closing():
            raise ConnectionResetError
        reader, writer, client = self._descriptors = self._descriptors or _made(transport)
        while transport.get_write_buffer_size():
            await writable(client)
        count = piece.arrived_bytes + piece.coming_bytes
        run = _Run(piece.descriptor, (reader, writer), client, count)
        try:
            await run.end(transport)
        except OSError as exc:
            raise ConnectionResetError from exc
        finally:
            piece.taken_bytes += run.sent_bytes
        if not run.sent_bytes:
            # What has arrived cannot be moved: to ask for it again would never end.
            raise ConnectionAbortedError


class _Run:
    """Bytes on their way: by callbacks, since to wake a coroutine takes longer than to move them.

    The pipe is empty whenever it waits for the source.
    """

    def __init__(self, source: int, pipe: tuple[int, int], client: int, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source
        self._reader, self._writer = pipe
        self._client = client
        self._left_bytes = count
        self._piped_bytes = 0
        self._is_client_full = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self.sent_bytes = 0

    async def end(self, transport: asyncio.Transport) -> None:
        """Return once all was sent, or no more comes at the moment."""
        self._take()
        if self._ended.done():
            await self._ended
            return
        # If the client ends its direction, the loop would close ours under this.
        is_reading = transport.is_reading()
        transport.pause_reading()
        if not self._is_client_full:
            self._loop.add_reader(self._source, self._take)
        self._look_after(0)
        try:
            await self._ended
        finally:
            self._looking.cancel()
            self._loop.remove_reader(self._source)
            self._loop.remove_writer(self._client)
            if is_reading:
                transport.resume_reading()

    def _take(self) -> None:
        try:
            taken = os.splice(
                self._source, self._writer, self._left_bytes, flags=os.SPLICE_F_NONBLOCK
            )
        except BlockingIOError:
            return
        except OSError:
            taken = 0
        if not taken:
            self._stop(None)
            return
        self._left_bytes -= taken
        self._piped_bytes = taken
        self._give()

    def _give(self) -> None:
        try:
            while self._piped_bytes:
                given = os.splice(self._reader, self._client, self._piped_bytes)
                self._piped_bytes -= given
                self.sent_bytes += given
        except BlockingIOError:
            if not self._is_client_full:
                self._is_client_full = True
                self._loop.remove_reader(self._source)
                self._loop.add_writer(self._client, self._give)
            return
        except OSError as exc:
            self._stop(exc)
            return
        if not self._left_bytes:
            self._stop(None)
        elif self._is_client_full:
            self._is_client_full = False
            self._loop.remove_writer(self._client)
            self._loop.add_reader(self._source, self._take)

    def _look_after(self, sent_bytes: int) -> None:
        self._looking = self._loop.call_later(_SILENT_SECONDS, self._look, sent_bytes)

    def _look(self, sent_bytes: int) -> None:
        """Stop if no more has come than at the last look."""
        if self.sent_bytes == sent_bytes and not self._piped_bytes:
            self._stop(None)
        else:
            self._look_after(self.sent_bytes)

    def _stop(self, error: OSError | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


def _made(transport: asyncio.Transport) -> tuple[int, int, int]:
    """Return the ends of a pipe, and a descriptor of the transport's connection."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # To users who have many of them the kernel gives smaller ones, which are slower.
    with suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    # The loop lets nobody wait for the descriptor that a transport has.
    return reader, writer, os.dup(transport.get_extra_info("socket").fileno())
