"""A real server for tests: a process of its own, on a free port, with a data folder of its own.

```python
@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(tmp_path / "data") as server:
        yield server
```

A job that shall use it gets `server.url` as its ACTIONS_RESULTS_URL and ACTIONS_CACHE_URL, and
`server.job_token()` as its ACTIONS_RUNTIME_TOKEN.
"""

import atexit
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, ClassVar, Final, Self
from urllib.parse import urlsplit

from runcache.access import scopes_for
from runcache.model import ScopePermission
from runcache.server.auth import JobTokens
from runcache.server.keys import JOB_TOKENS, own_signing_key, signing_key
from runcache.service import now_ms
from runcache.settings import OWN_KEY, PREFIX, variable_of

COMMAND: Final = (sys.executable, "-m", "runcache.cli.main")
ANNOUNCEMENT: Final = "serving on "
START_WITHIN_SECONDS: Final = 30
# Longer than the server's own drain.
STOP_WITHIN_SECONDS: Final = 60
REPOSITORY: Final = "octo/hello"


class LiveServer:
    """`runcache serve`, running from the moment that this exists until `stop` or `kill`.

    As a context manager it stops at the end of the block; one that nobody stops is killed when the
    interpreter ends. Its methods wait, so a coroutine calls them through `asyncio.to_thread`; only
    `job_token` returns at once.

    Attributes:
        command: what is `runcache` here; a subclass may have another one.
        url: where it serves, with a final slash, such as `http://127.0.0.1:40123/`.
        data: its data folder.
        log: the file that its standard error goes to, beside the data folder.
        process: the process itself.
    """

    command: ClassVar[Sequence[str]] = COMMAND

    def __init__(
        self, data: Path, *, environ: Mapping[str, str] | None = None, **settings: str
    ) -> None:
        """Start it, and return once clients can connect.

        Args:
            data: the data folder, which is made if it is missing. What an earlier server saved
                there is there again.
            environ: more variables of its environment, such as the credentials of a store.
            settings: more settings by their names, such as `repo_limit="50MB"`. Those of the
                environment and of files do not count.

        Raises:
            RuntimeError: it did not start; the message has what it said.
        """
        self.data = data.absolute()
        self.log = self.data.with_name(f"{self.data.name}.log")
        self._environ = dict(environ or {})
        self._settings = {"host": "127.0.0.1", "port": "0"} | settings | {"data": str(self.data)}
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._start()
        named_key = settings.get("signing_key_file")
        key = signing_key(Path(named_key)) if named_key else own_signing_key(self.data / OWN_KEY)
        self._job_tokens = JobTokens(key.derived(JOB_TOKENS), now=now_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def job_token(
        self,
        *,
        repository: str = REPOSITORY,
        ref: str = "refs/heads/main",
        base_ref: str | None = None,
        default_branch: str = "main",
        event: str = "push",
        scopes: Iterable[ScopePermission] | None = None,
        ttl: timedelta = timedelta(hours=6),
    ) -> str:
        """Return a token for a job, as `runcache token job` prints it.

        `scopes`, where given, say what it may do instead of the rules for `ref`, `base_ref`,
        `default_branch` and `event`. A negative `ttl` makes a token that has expired.

        Raises:
            InvalidRef, InvalidRepository: one of them is none.
        """
        if scopes is None:
            scopes = scopes_for(
                ref=ref, base_ref=base_ref, default_branch=default_branch, event=event
            )
        return self._job_tokens.mint(repository=repository, scopes=scopes, ttl=ttl)

    def api_token(
        self,
        *repositories: str,
        owners: Iterable[str] = (),
        can_write: bool = False,
        is_admin: bool = False,
    ) -> str:
        """Return a token for the REST API, as `runcache token api` prints it.

        Raises:
            RuntimeError: it cannot be made; the message has the reason.
        """
        flags = [f"--repo={name}" for name in repositories]
        flags += [f"--org={name}" for name in owners]
        flags += ["--write"] * can_write + ["--admin"] * is_admin
        made = subprocess.run(  # noqa: S603  -- our own command
            [*COMMAND, "token", "api", *flags],
            cwd=self.data,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise RuntimeError(f"no API token: {made.stderr}")
        return made.stdout.strip()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), wait until running transfers have ended, return its exit code.

        One that has ended already is left alone.
        """
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self._ended()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once (SIGKILL): nothing of it gets a chance to tidy up."""
        self.process.kill()
        self._ended()

    def restart(self) -> None:
        """Start it again with the same data, settings and address, after a `stop` if it still runs.

        Raises:
            RuntimeError: it did not start.
        """
        self.stop()
        self._settings["port"] = str(urlsplit(self.url).port)
        self._start()

    def rss_bytes(self) -> int:
        """Return how much memory it holds now (`VmRSS`, Linux only)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        kibibytes = next(line.split()[1] for line in status.splitlines() if "VmRSS" in line)
        return int(kibibytes) * 1024

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  -- our own command
                [*self.command, "serve"],
                cwd=self.data,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        atexit.register(self.process.kill)
        announced = _first_line(self.process)
        if not announced.startswith(ANNOUNCEMENT):
            self.kill()
            said = self.log.read_text("utf-8", "replace")
            raise RuntimeError(f"the server did not start; in `{self.log}` it says:\n{said}")
        self.url = announced.removeprefix(ANNOUNCEMENT).strip()

    def _ended(self) -> int:
        code = self.process.wait(STOP_WITHIN_SECONDS)
        _output_of(self.process).close()
        atexit.unregister(self.process.kill)
        return code

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(PREFIX)
        }
        settings = {variable_of(name): value for name, value in self._settings.items()}
        return inherited | self._environ | settings


def _first_line(process: subprocess.Popen[str]) -> str:
    output = _output_of(process)
    is_ready, _, _ = select.select([output], [], [], START_WITHIN_SECONDS)
    return output.readline() if is_ready else ""


def _output_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None  # noqa: S101  -- it is a pipe
    return process.stdout
