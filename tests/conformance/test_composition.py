"""What compose.yaml puts together, without containers: its commands, secrets and variables."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import Any, Final

import pytest
import yaml

from runcache.testing import LiveServer
from tests.conformance.jobs import V6, Job
from tests.conformance.proxies import Proxy, caddy, free_port
from tests.conformance.trees import MIB, described, plant
from tests.documentation import ROOT
from tests.engines import seaweedfs
from tests.engines.postgres import Postgres

SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load(
    (ROOT / "deploy/compose.yaml").read_text()
)["services"]


@dataclass(frozen=True)
class Composition:
    """All services of the file. `variables` are those of a replica."""

    replicas: tuple[LiveServer, LiveServer]
    proxy: Proxy
    variables: dict[str, str]

    def printed(self, *command: str) -> str:
        """Return what a command says in a replica, as `docker compose exec` would have it."""
        run = subprocess.run(
            [sys.executable, "-m", "runcache.cli.main", *command],
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()


@pytest.fixture
def composition(postgres: Postgres, tmp_path: Path) -> Iterator[Composition]:
    copy(ROOT / "deploy/make-secrets", tmp_path)
    subprocess.run([tmp_path / "make-secrets"], check=True)
    secrets, site = tmp_path / "secrets", f"127.0.0.1:{free_port()}"
    _, *flags = SERVICES["seaweedfs"]["command"]
    settings = [
        flag.replace("/run/secrets", str(secrets))
        .replace("-ip=seaweedfs", "-ip=127.0.0.1")
        .replace("=0.0.0.0", "=127.0.0.1")
        for flag in flags
        if not flag.startswith("-dir=")
    ]
    with ExitStack() as stack:
        stack.enter_context(database(postgres, secrets))
        (tmp_path / "bytes").mkdir()
        store = stack.enter_context(seaweedfs.running(tmp_path / "bytes", settings=settings))
        variables = {
            name: value.replace("${RUNCACHE_SITE:-localhost}", site)
            .replace("/run/secrets", str(secrets))
            .replace("http://seaweedfs:8333", store.endpoint)
            for name, value in SERVICES["replica-1"]["environment"].items()
        }
        one, other = (
            stack.enter_context(LiveServer(tmp_path / name, environ=variables))
            for name in ("replica-1", "replica-2")
        )
        proxy = stack.enter_context(caddy(tmp_path, [one, other], netloc=site))
        yield Composition((one, other), proxy, variables)


@contextmanager
def database(postgres: Postgres, secrets: Path) -> Iterator[None]:
    """Make what the image of PostgreSQL makes of its variables."""
    variables = SERVICES["postgres"]["environment"]
    user, name = variables["POSTGRES_USER"], variables["POSTGRES_DB"]
    password = (secrets / Path(variables["POSTGRES_PASSWORD_FILE"]).name).read_text()
    settings = secrets / "runcache.toml"
    settings.chmod(0o600)
    settings.write_text(settings.read_text().replace("@postgres/", f"@127.0.0.1:{postgres.port}/"))
    postgres.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {user}")
    try:
        yield
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
        postgres.execute(f"DROP ROLE {user}")


def test_jobs_save_and_restore_through_all_that_is_composed(
    composition: Composition, tmp_path: Path
) -> None:
    workspace, empty = tmp_path / "workspace", tmp_path / "empty"
    plant(workspace / "deps", size_bytes=3 * MIB)
    token = composition.printed("token", "job", "--repo=octo/hello", "--ref=refs/heads/main")
    url, trusting = composition.proxy.url, {"NODE_EXTRA_CA_CERTS": str(composition.proxy.authority)}
    saving = Job(tmp_path / "a", url, token, V6, workspace, trusting)
    restoring = Job(tmp_path / "b", url, token, V6, empty, trusting)

    saved = asyncio.run(saving.save("deps-1"))
    composition.replicas[0].stop()
    restored = asyncio.run(restoring.restore("deps-1"))

    assert saved.error is None, saved.log
    assert restored.result == "deps-1", restored.log
    assert described(empty) == described(workspace)
    assert composition.printed("check", "--read-data").endswith(": 0 problems")
