"""Processes that start in no time, since they are forked from one that has imported everything.

`LiveServer` starts an interpreter each time, which is what a user does and takes a second. Here
fifty servers must fit into a minute.
"""

import multiprocessing
import multiprocessing.process
import os
import socket
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

from runcache.access import scopes_for
from runcache.cli.main import main
from runcache.server.auth import JobTokens
from runcache.server.keys import JOB_TOKENS, own_signing_key
from runcache.service import now_ms

FORKING: Final = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["runcache.cli.main", "runcache.cli.serve", "tests.faults.dying"])


def _serve(arguments: list[str], log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    sys.exit(main(["serve", *arguments]))


class ForkedServer:
    """`runcache serve` on a folder, once it was started."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = data.with_name(f"{data.name}.log")
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._process: multiprocessing.process.BaseProcess | None = None
        key = own_signing_key(data / "signing.key")
        self._job_tokens = JobTokens(key.derived(JOB_TOKENS), now=now_ms)

    def start(self) -> None:
        """Start it; whoever wants to connect must try until it listens."""
        arguments = [f"--data={self.data}", f"--port={self.port}"]
        self._process = FORKING.Process(target=_serve, args=(arguments, self.log))
        self._process.start()

    def listens(self) -> bool:
        """Say whether clients can connect."""
        assert self._process is not None
        assert self._process.is_alive(), self.log.read_text()
        with closing(socket.socket()) as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None

    def job_token(self) -> str:
        """Return a token for a job on the default branch."""
        return self._job_tokens.mint(
            repository="octo/hello",
            scopes=scopes_for(ref="refs/heads/main"),
            ttl=timedelta(hours=1),
        )


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
