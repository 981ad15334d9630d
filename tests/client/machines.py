"""Machines with a workspace and a home, on which our client saves and restores."""

import itertools
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from runcache.client.aio import RestoreOptions, SaveOptions
from runcache.client.client import Client
from runcache.client.environment import Environment, Given
from runcache.client.results import Hit, Saved
from runcache.library import open_client
from runcache.testing import LiveServer
from tests.conformance.jobs import Claims


@dataclass
class Machine:
    """A machine, and what its client warned of. Each call is a client of its own, as a step is."""

    folder: Path
    given: Given
    variables: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workspace = self.folder / "workspace"
        self.home = self.folder / "home"
        for folder in (self.workspace, self.home):
            folder.mkdir(parents=True, exist_ok=True)

    def client(self) -> Client:
        variables = {"HOME": str(self.home), **self.variables}
        environment = Environment(self.given, variables=variables, folder=self.workspace)
        return open_client(environment, warn=self.warnings.append)

    def save(self, key: str, *paths: str, **options: Unpack[SaveOptions]) -> Saved:
        with self.client() as client:
            return client.save(paths or ("deps",), key=key, **options)

    def restore(
        self,
        key: str,
        *others: str,
        paths: Iterable[str] = ("deps",),
        **options: Unpack[RestoreOptions],
    ) -> Hit | None:
        """Restore; `others` are the restore keys."""
        options["restore_keys"] = others
        with self.client() as client:
            return client.restore(paths, key=key, **options)

    def write(self, name: str, contents: str | bytes = "text") -> Path:
        file = self.workspace / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents.encode() if isinstance(contents, str) else contents)
        return file

    def read(self, name: str) -> bytes | None:
        file = self.workspace / name
        return file.read_bytes() if file.is_file() else None


@dataclass
class Machines:
    """Makes machines that use one repository of one server."""

    folder: Path
    server: LiveServer
    repository: str = field(default_factory=lambda: f"octo/{secrets.token_hex(8)}")
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def make(self, *, url: str | None = None, **claims: Unpack[Claims]) -> Machine:
        """Return a machine that has nothing; `claims` are those of its token."""
        token = self.server.job_token(repository=self.repository, **claims)
        given = Given(url=url or self.server.url, token=token)
        return Machine(self.folder / f"machine-{next(self._numbers)}", given)
