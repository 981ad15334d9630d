"""A real S3 for tests: SeaweedFS on loopback, one a session, and a prefix for each test."""

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

import pytest

BUCKET: Final = "cache"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "test-access-key",
    "AWS_SECRET_ACCESS_KEY": "test-secret-key",
}
_READY_WITHIN_SECONDS: Final = 30
# Its own parts look for the gRPC listener of the administration there.
_GRPC_OFFSET: Final = 10_000
_LISTENERS: Final = ("master", "volume", "filer", "s3")
SETTINGS: Final = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    f"-bucket={BUCKET}",
    "-s3.autoCreateBucket=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-webdav=false",
    "-admin.ui=false",
    "-master.telemetry=false",
)


@dataclass(frozen=True)
class SeaweedFS:
    """A server that runs. `endpoint` has no final slash."""

    endpoint: str
    process: subprocess.Popen[bytes]

    def store_url(self, prefix: str = "", *, bucket: str = BUCKET) -> str:
        """Return a location for `store`, in a bucket that is there."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}"


@contextmanager
def running(folder: Path, *, settings: Sequence[str] = SETTINGS) -> Iterator[SeaweedFS]:
    """Run a server with its data in `folder`, from when it answers to the end of the block.

    `settings` are its flags besides those for folders and ports.

    Raises:
        RuntimeError: it did not start; the message has what it said.
    """
    ports = _free_ports()
    listeners = [f"-{name}.port={ports[name]}" for name in (*_LISTENERS, "admin")]
    listeners += [f"-{name}.port.grpc={ports[f'{name}.grpc']}" for name in (*_LISTENERS, "admin")]
    sockets = [f"-{name}.localSocket={folder}/{name}.sock" for name in ("filer", "s3")]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_program(), "mini", f"-dir={folder}", *listeners, *sockets, *settings],
            env=os.environ | ENVIRONMENT,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        endpoint = f"http://127.0.0.1:{ports['s3']}"
        _wait_for(endpoint, process, log)
        yield SeaweedFS(endpoint, process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """Return the server of this process."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    with running(folder) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def s3_store_url(seaweedfs: SeaweedFS) -> str:
    """Return the location of an empty store."""
    return seaweedfs.store_url(uuid.uuid4().hex)


@pytest.fixture
def s3_environment() -> Mapping[str, str]:
    """Return the variables that a process needs besides a store's location."""
    return ENVIRONMENT


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have them."""
    for name, text in ENVIRONMENT.items():
        monkeypatch.setenv(name, text)


def _program() -> str:
    return shutil.which("weed", path=Path(sys.executable).parent) or "weed"


def _free_ports() -> dict[str, int]:
    """Return ports that nobody listens on, each of them another one."""
    with ExitStack() as stack:
        ports = {}
        for name in _LISTENERS:
            ports[name] = _bound(stack, 0)
            ports[f"{name}.grpc"] = _bound(stack, 0)
        while True:
            ports["admin"] = _bound(stack, 0)
            ports["admin.grpc"] = ports["admin"] + _GRPC_OFFSET
            try:
                _bound(stack, ports["admin.grpc"])
            except (OSError, OverflowError):
                continue
            return ports


def _bound(stack: ExitStack, port: int) -> int:
    bound = stack.enter_context(socket.socket())
    bound.bind(("127.0.0.1", port))
    number: int = bound.getsockname()[1]
    return number


def _wait_for(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_WITHIN_SECONDS
    # The bucket is made after the first answer.
    while process.poll() is None and time.monotonic() < until:
        if b"components are running" in log.read_bytes() and _answers(endpoint):
            return
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise RuntimeError(f"no SeaweedFS: {log.read_text('utf-8', 'replace')}")


def _answers(endpoint: str) -> bool:
    try:
        with urlopen(f"{endpoint}/healthz", timeout=1):  # noqa: S310  -- our own address
            return True
    except URLError:
        return False
