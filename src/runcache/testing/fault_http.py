"""HTTP requests on their way through a fault proxy: which are refused, and where each ends."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from runcache.testing.faults import Fault, HttpError

_READ_BYTES: Final = 256 * 1024
# A client that was refused may still send a body; nobody reads it for longer.
_LINGER_SECONDS: Final = 5


class Requests:
    """The requests of one connection, read one after another.

    `client` is where they come from, and `send` takes what `fault` lets pass. Bodies with a
    Content-Length are understood; a chunked one is the last thing that is.
    """

    def __init__(
        self,
        client: socket.socket,
        send: Callable[[bytes], Awaitable[None]],
        fault: Callable[[], Fault | None],
    ) -> None:
        self._client = client
        self._send = send
        self._fault = fault
        self._loop = asyncio.get_running_loop()
        self._unread = b""

    async def refuse(self) -> bool:
        """Answer the next request if the fault says so, and say whether that ends the connection.

        It does, too, if there is none.
        """
        head = await self._head()
        fault = self._fault()
        if not head:
            return True
        if not isinstance(fault, HttpError) or (
            fault.methods and _method_of(head) not in fault.methods
        ):
            return False
        await self._loop.sock_sendall(self._client, _answer(fault))
        self._client.shutdown(socket.SHUT_WR)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._loop.sock_recv(self._client, _READ_BYTES):
                    pass
        return True

    async def forward(self) -> None:
        """Send on the request that was not refused, and so each one behind it."""
        while True:
            await self._forward_one()
            if await self.refuse():
                break

    async def _forward_one(self) -> None:
        head = await self._head()
        self._unread = self._unread[len(head) :]
        await self._send(head)
        left_bytes = _body_bytes(head)
        while left_bytes is None or left_bytes:
            data = self._unread or await self._loop.sock_recv(self._client, _READ_BYTES)
            body = data if left_bytes is None else data[:left_bytes]
            if not body:
                break
            await self._send(body)
            self._unread = data[len(body) :]
            left_bytes = None if left_bytes is None else left_bytes - len(body)

    async def _head(self) -> bytes:
        """Return the next request up to its body, which stays unread; nothing at the end."""
        while b"\r\n\r\n" not in self._unread:
            data = await self._loop.sock_recv(self._client, _READ_BYTES)
            if not data:
                return b""
            self._unread += data
        head, end, _ = self._unread.partition(b"\r\n\r\n")
        return head + end


def _method_of(head: bytes) -> str:
    return head.partition(b" ")[0].decode("ascii", "replace")


def _body_bytes(head: bytes) -> int | None:
    """Return how long the body is; `None` for one that ends with the connection, or in chunks."""
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if b"transfer-encoding" in headers:
        return None
    return int(headers.get(b"content-length", 0))


def _answer(fault: HttpError) -> bytes:
    status = HTTPStatus(fault.status)
    body = f"<Error><Code>{fault.code}</Code><Message>{status.phrase}</Message></Error>"
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()
