"""Jobs that use GitHub's cache client, each on a runner of its own."""

import itertools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

from runcache.model import ScopePermission
from runcache.testing import LiveServer
from tests.genuine import Generation, Outcome, run_client


@dataclass(frozen=True, slots=True)
class Client:
    """A generation of the client, and whether it speaks protocol v2 or v1."""

    generation: Generation
    v2: bool

    def __str__(self) -> str:
        return f"{self.generation}-over-{'v2' if self.v2 else 'v1'}"


V6: Final = Client("v6", v2=True)
V6_OVER_V1: Final = Client("v6", v2=False)
V4: Final = Client("v4", v2=True)
V4_OVER_V1: Final = Client("v4", v2=False)
V3: Final = Client("v3", v2=False)
CLIENTS: Final = (V6, V6_OVER_V1, V4, V4_OVER_V1, V3)


@dataclass(frozen=True, slots=True)
class Job:
    """A job with its token, and the runner below `folder`, which is empty at first."""

    folder: Path
    url: str
    token: str
    client: Client
    workspace: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder that `~` stands for."""
        return self.folder / "home"

    async def save(self, key: str, *paths: str) -> Outcome:
        """Save `paths`, or `deps` where none is given."""
        return await run_client(
            self.client.generation,
            "save",
            **self._place(),
            paths=paths or ("deps",),
            key=key,
        )

    async def restore(
        self, key: str, *restore_keys: str, paths: tuple[str, ...] = ("deps",), **options: object
    ) -> Outcome:
        """Restore `paths`; `options` are the client's own, such as `lookupOnly=True`."""
        return await run_client(
            self.client.generation,
            "restore",
            **self._place(),
            paths=paths,
            key=key,
            restore_keys=restore_keys,
            options=options,
        )

    async def looked_up(self, key: str, *restore_keys: str) -> int | str | None:
        """Return the key that a restore would use, without restoring it."""
        return (await self.restore(key, *restore_keys, lookupOnly=True)).result

    def write(self, name: str, text: str) -> None:
        """Write a file of the workspace."""
        file = self.workspace / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, name: str) -> str | None:
        """Return the text of a file of the workspace, `None` if there is none."""
        file = self.workspace / name
        return file.read_text() if file.exists() else None

    def _place(self) -> Mapping[str, Any]:
        return {
            "url": self.url,
            "token": self.token,
            "workspace": self.workspace,
            "home": self.home,
            "temp": self.folder / "temp",
            "v2": self.client.v2,
            "variables": self.variables,
        }


class Claims(TypedDict, total=False):
    """What `LiveServer.job_token` can be told of a job."""

    ref: str
    base_ref: str
    event: str
    scopes: tuple[ScopePermission, ...]
    ttl: timedelta


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that no other test uses. Its runners are below `folder`."""

    server: LiveServer
    folder: Path
    name: str = field(default_factory=lambda: f"octo/{secrets.token_hex(8)}")
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def job(
        self,
        client: Client = V6,
        *,
        workspace: Path | None = None,
        token: str | None = None,
        **claims: Unpack[Claims],
    ) -> Job:
        """Start a job; `claims` describe it for its token, if none is given."""
        runner = self.folder / f"runner-{next(self._numbers)}"
        token = token or self.server.job_token(repository=self.name, **claims)
        return Job(runner, self.server.url, token, client, workspace or runner / "workspace")
