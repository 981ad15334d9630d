"""Somebody who looks after a store, or a server, from the command line."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runcache.access import scopes_for
from runcache.catalog.opening import open_catalog
from runcache.cli.main import main
from runcache.locations import SqliteFile
from runcache.model import Grant
from runcache.service import CacheService, UploadLimits
from runcache.store.local import LocalStore
from tests.cli.conftest import Ended, Runcache
from tests.cli.terminal import Terminal, stdout

REPOSITORY = "octo/hello"


@dataclass(frozen=True)
class Keeper:
    """Runs commands for one place; `options` say which."""

    runcache: Runcache
    options: tuple[str, ...]

    def run(self, *args: str) -> Ended:
        return self.runcache(*args, *self.options)

    def json(self, *args: str) -> Any:  # noqa: ANN401  -- whatever it prints
        ended = self.run(*args, "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    def lines(self, *args: str) -> list[list[str]]:
        """Return the columns of each line that a command prints."""
        ended = self.run(*args)
        assert (ended.code, ended.err) == (0, ""), ended
        return [line.split("\t") for line in ended.out.splitlines()]

    def keys(self, *args: str) -> list[str]:
        """Return the keys that `list` prints."""
        return [line[1] for line in self.lines("list", *args)]

    def on_terminal(self, *args: str) -> str:
        """Return what a terminal shows of a command, without colours and blanks at the end.

        `COLUMNS` says how wide it is.
        """
        terminal = Terminal()
        with stdout(terminal.stream):
            assert main([*args, *self.options]) == 0
        lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.shown()).splitlines()
        return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class Kept:
    """An entry as a job of a repository saved it."""

    key: str
    size_bytes: int = 10
    ref: str = "refs/heads/main"
    repository: str = REPOSITORY


def keep(data: Path, entries: Iterable[Kept]) -> None:
    """Save entries, a second apart, in a data folder."""
    now = iter(range(1_800_000_000_000, 2**63, 1_000))

    async def body(size_bytes: int) -> AsyncIterator[bytes]:
        yield bytes(size_bytes)

    async def act() -> None:
        with closing(LocalStore(data / "blobs")) as store:
            async with open_catalog(SqliteFile(data / "catalog.sqlite3")) as catalog:
                service = CacheService(
                    catalog, store, UploadLimits(min_free_bytes=0), now=lambda: next(now)
                )
                for number, kept in enumerate(entries):
                    scopes = scopes_for(ref=kept.ref)
                    grant = Grant(kept.repository, scopes, job=f"job-{number}")
                    upload = await service.reserve(grant, kept.key, "v1")
                    size_bytes = kept.size_bytes
                    await service.write_whole(
                        upload.blob, body(size_bytes), announced_bytes=size_bytes
                    )
                    await service.commit(grant, kept.key, "v1", size_bytes)

    asyncio.run(act())
