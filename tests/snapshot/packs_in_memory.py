"""Where packs go to and come from in these tests: memory, which can be made to fail."""

from collections.abc import Callable, Mapping
from hashlib import sha256 as sha256_of
from threading import Lock

from blake3 import blake3 as blake3_of


class MemorySink:
    """Keeps packs (`PackSink` is the contract). `fail_at` is the number of a pack that it loses."""

    def __init__(self, upload: str = "1", *, fail_at: int | None = None) -> None:
        self.packs: dict[str, bytes] = {}
        self._upload = upload
        self._fail_at = fail_at

    def name(self, number: int) -> str:
        return f"{self._upload}-{number}"

    def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
        if number == self._fail_at:
            raise ConnectionError("the sink is gone")
        name = self.name(number)
        assert blake3 == blake3_of(body).digest()
        assert sha256 == sha256_of(body).digest()
        assert name not in self.packs
        self.packs[name] = bytes(body)


class MemoryReader:
    """Bytes of a pack, which come piecemeal."""

    def __init__(self, data: bytes, piece_bytes: int) -> None:
        self._left = memoryview(data)
        self._piece_bytes = piece_bytes
        self.is_closed = False

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._left), self._piece_bytes)
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self.is_closed = True


class MemorySource:
    """Gives packs back (`PackSource` is the contract), changed by `spoil` if that is given."""

    def __init__(
        self,
        *sinks: MemorySink,
        spoil: Callable[[str, int, bytes], bytes] | None = None,
        piece_bytes: int = 100_000,
    ) -> None:
        self.packs: Mapping[str, bytes] = {
            name: body for sink in sinks for name, body in sink.packs.items()
        }
        self.readers: list[MemoryReader] = []
        self.asked: list[tuple[str, int, int]] = []
        self._spoil = spoil
        self._piece_bytes = piece_bytes
        self._lock = Lock()

    def read(self, pack: str, start: int, end: int) -> MemoryReader:
        data = self.packs[pack][start:end]
        if self._spoil is not None:
            data = self._spoil(pack, start, data)
        reader = MemoryReader(data, self._piece_bytes)
        with self._lock:
            self.readers.append(reader)
            self.asked.append((pack, start, end))
        return reader
