"""sccache, which speaks protocol v2 in protobuf."""

import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.jobs import Job, Repository
from tests.conformance.programs import found

SOURCE = "int answer(void) { return 42; }\n"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compilation made, and how often sccache hit, missed and failed for it."""

    code: bytes
    hits: int
    misses: int
    errors: int


def test_what_one_job_compiled_another_one_finds(repository: Repository) -> None:
    first, second = repository.job(), repository.job()

    cold = compiled(first, SOURCE)
    warm = compiled(second, SOURCE)
    changed = compiled(second, SOURCE.replace("42", "43"))

    assert (cold.hits, cold.misses, cold.errors) == (0, 1, 0)
    assert (warm.hits, warm.misses, warm.errors) == (1, 0, 0)
    assert (changed.hits, changed.misses, changed.errors) == (0, 1, 0)
    assert warm.code == cold.code != changed.code


def compiled(job: Job, source: str) -> Compiled:
    """Compile with a sccache that was just started and keeps nothing itself."""
    sccache, compiler = found("sccache"), found("cc")
    shutil.rmtree(job.folder, ignore_errors=True)
    job.write("answer.c", source)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(job.home),
        "SCCACHE_GHA_ENABLED": "on",
        "SCCACHE_DIR": str(job.folder / "local"),
        "SCCACHE_SERVER_PORT": str(free_port()),
        # Should nobody stop it, it stops by itself.
        "SCCACHE_IDLE_TIMEOUT": "60",
        "ACTIONS_CACHE_SERVICE_V2": "true",
        "ACTIONS_RESULTS_URL": job.url,
        "ACTIONS_RUNTIME_TOKEN": job.token,
    }

    def run(*arguments: str | Path) -> str:
        # What goes on in the background would keep a pipe open.
        with (job.folder / "output").open("w+") as output:
            subprocess.run(
                [sccache, *arguments],
                cwd=job.workspace,
                env=environment,
                stdout=output,
                stderr=output,
                check=True,
            )
            output.seek(0)
            return output.read()

    run("--start-server")
    try:
        run(compiler, "-c", "answer.c", "-o", "answer.o")
        stats = json.loads(run("--show-stats", "--stats-format=json"))["stats"]
    finally:
        run("--stop-server")
    return Compiled(
        (job.workspace / "answer.o").read_bytes(),
        hits=sum(stats["cache_hits"]["counts"].values()),
        misses=sum(stats["cache_misses"]["counts"].values()),
        errors=sum(stats["cache_errors"]["counts"].values()) + stats["cache_write_errors"],
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
