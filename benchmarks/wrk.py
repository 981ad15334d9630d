"""Load for lookups: wrk, on one thread.

Two cores carry server and client; a second thread of wrk would take from the server what it is
measured by, and one alone can ask for many times what the server answers.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runcache.wire.twirp import SERVICE_PATH, Method

SCRIPT: Final = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under load. Latencies are milliseconds, from the request to its answer."""

    per_second: float
    p50_ms: float
    p99_ms: float


def run(origin: str, lookups: Path, *, connections: int, seconds: int) -> Load:
    """Send the lookups in a file, again and again, each connection one at a time.

    Raises:
        RuntimeError: an answer was no success.
    """
    url = origin.rstrip("/") + SERVICE_PATH + Method.FIND
    ran = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT, url, "--", lookups],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout.splitlines()[-1])
    if found["failed"]:
        message = f"{found['failed']} of {found['requests']} lookups failed"
        raise RuntimeError(message)
    return Load(
        found["requests"] / found["microseconds"] * 1e6, found["p50"] / 1e3, found["p99"] / 1e3
    )
