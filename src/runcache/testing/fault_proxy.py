"""A TCP proxy that a test puts between two programs, and whose faults it switches on and off.

```python
with FaultProxy("127.0.0.1", 5432) as proxy:
    use(f"postgresql://user@{proxy.address}/cache")
    with proxy.injected(HalfOpen()):
        use_it_again()
```
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from runcache.testing.fault_http import Requests
from runcache.testing.faults import (
    Cut,
    Drip,
    Fault,
    HalfOpen,
    HttpError,
    Latency,
    Refusal,
    Reset,
    Throttle,
)

_PIECE_BYTES: Final = 1024 * 1024
_THROTTLED_PIECES_PER_SECOND: Final = 20
_AT_ONCE: Final = struct.pack("ii", 1, 0)


class FaultProxy:
    """Carries connections to a target, from a thread of its own, from now until `stop`.

    `inject` and `heal` return at once and hold for every byte that is sent afterwards; they may be
    called from any thread. `stop` waits, so a coroutine calls it through `asyncio.to_thread`.

    Attributes:
        host: where it listens, always this machine.
        port: and the port, which stays the same.
        accepted: how many connections it has accepted so far.
    """

    host: Final = "127.0.0.1"

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        # It never listens, and keeps the port while nobody does.
        self._reserved = _bound(self.host, 0)
        self.port: int = self._reserved.getsockname()[1]
        self.accepted = 0
        self._fault: Fault | None = None
        self._listener: socket.socket | None = _listening(self.host, self.port)
        self._retired: list[socket.socket] = []
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"{self.host}:{self.port}"

    def inject(self, fault: Fault) -> None:
        """Show this fault, instead of the one before, until the next call or `heal`."""
        self._become(fault)

    def heal(self) -> None:
        """Show no fault any more."""
        self._become(None)

    @contextmanager
    def injected(self, fault: Fault) -> Iterator[None]:
        """Show a fault until the end of the block."""
        self.inject(fault)
        try:
            yield
        finally:
            self.heal()

    def stop(self) -> None:
        """Reset every connection, and listen no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        for one in (self._listener, self._reserved, *self._retired):
            if one is not None:
                one.close()

    def _become(self, fault: Fault | None) -> None:
        self._fault = fault
        listener = self._listener
        if isinstance(fault, Refusal):
            if listener is not None:
                self._listener = None
                # The kernel refuses from now on. Whoever waits for it closes it, if somebody does.
                listener.shutdown(socket.SHUT_RDWR)
                self._retired.append(listener)
        elif listener is None:
            self._listener = _listening(self.host, self.port)
        self._loop.call_soon_threadsafe(self._apply, fault)

    def _apply(self, fault: Fault | None) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for link in list(self._links):
            link.carried_bytes = 0
            if isinstance(fault, Reset | Refusal | HttpError):
                link.end(resets=not isinstance(fault, HttpError))

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        accepting = asyncio.create_task(self._accept())
        await self._stopping.wait()
        accepting.cancel()
        tasks = [link.end(resets=True) for link in self._links]
        await asyncio.gather(accepting, *tasks, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            changed, listener = self._changed, self._listener
            if listener is None:
                await changed.wait()
                continue
            try:
                client, _ = await self._loop.sock_accept(listener)
            except OSError:  # it was shut down
                listener.close()
                continue
            self.accepted += 1
            link = _Link(client)
            self._links.add(link)
            link.task = asyncio.create_task(self._carry(link))

    async def _carry(self, link: "_Link") -> None:
        try:
            if isinstance(self._fault, Reset | Refusal):
                link.resets = True
            elif isinstance(self._fault, HttpError):
                await self._carry_requests(link)
            else:
                await self._loop.sock_connect(link.server, self._target)
                await self._both_ways(link, self._pump(link, link.client, link.server))
        except* OSError:
            link.resets = True
        finally:
            self._links.discard(link)
            link.close()

    async def _carry_requests(self, link: "_Link") -> None:
        async def send(data: bytes) -> None:
            await self._pass_on(data, link, link.server, is_answer=False)

        async def forward() -> None:
            await requests.forward()
            link.server.shutdown(socket.SHUT_WR)

        requests = Requests(link.client, send, lambda: self._fault)
        if not await requests.refuse():
            await self._loop.sock_connect(link.server, self._target)
            await self._both_ways(link, forward())

    async def _both_ways(self, link: "_Link", towards_target: Coroutine[None, None, None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(towards_target)
            group.create_task(self._pump(link, link.server, link.client))

    async def _pump(self, link: "_Link", source: socket.socket, sink: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, _PIECE_BYTES):
            await self._pass_on(data, link, sink, is_answer=source is link.server)
        sink.shutdown(socket.SHUT_WR)

    async def _pass_on(
        self, data: bytes, link: "_Link", sink: socket.socket, *, is_answer: bool
    ) -> None:
        if is_answer and isinstance(self._fault, Latency):
            await self._pause(self._fault.seconds)
        left = memoryview(data)
        while left:
            while isinstance(self._fault, HalfOpen):
                await self._changed.wait()
            fault = self._fault
            piece = left[: _piece_bytes(fault, link.carried_bytes, is_answer=is_answer)]
            await self._loop.sock_sendall(sink, piece)
            left = left[len(piece) :]
            link.carried_bytes += len(piece)
            if isinstance(fault, Throttle):
                await self._pause(len(piece) / fault.bytes_per_second)
            elif isinstance(fault, Drip) and is_answer:
                await self._pause(fault.pause_seconds)
            elif isinstance(fault, Cut) and link.carried_bytes >= fault.after_bytes:
                raise ConnectionResetError

    async def _pause(self, seconds: float) -> None:
        """Wait for so long, or until there is another fault."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)


class _Link:
    """A client's connection and the one to the target that belongs to it.

    `carried_bytes` counts from the last change of faults on.
    """

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server = socket.socket()
        self.carried_bytes = 0
        self.resets = False
        self.task: asyncio.Task[None] | None = None
        for one in (client, self.server):
            one.setblocking(False)  # noqa: FBT003  -- its own signature
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self, *, resets: bool) -> asyncio.Task[None]:
        """End both connections soon, and return what does so."""
        assert self.task is not None  # noqa: S101  -- whoever makes a link gives it one
        self.resets = resets
        self.task.cancel()
        return self.task

    def close(self) -> None:
        for one in (self.client, self.server):
            if self.resets:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            one.close()


def _piece_bytes(fault: Fault | None, carried_bytes: int, *, is_answer: bool) -> int:
    """Return how much of a piece may be sent at once."""
    if isinstance(fault, Throttle):
        return max(fault.bytes_per_second // _THROTTLED_PIECES_PER_SECOND, 1)
    if isinstance(fault, Drip) and is_answer:
        return 1
    if isinstance(fault, Cut):
        return max(fault.after_bytes - carried_bytes, 0)
    return _PIECE_BYTES


def _bound(host: str, port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((host, port))
    return one


def _listening(host: str, port: int) -> socket.socket:
    one = _bound(host, port)
    one.setblocking(False)  # noqa: FBT003  -- its own signature
    one.listen(socket.SOMAXCONN)
    return one
