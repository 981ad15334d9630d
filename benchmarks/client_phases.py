"""Where the time of our client goes: seconds by function, for each thing that it does.

The client runs under a sampler (`sampled.py`), which makes it a little slower than it is.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import sampled, trees
from benchmarks.machine import wait_until_idle
from benchmarks.programs import Job, Ours, Ran
from benchmarks.report import Figure, Section
from runcache.testing.live_server import LiveServer

# What takes less is summed up.
SHOWN_SHARE: Final = 0.04


def measure(folder: Path, *, quick: bool) -> Section:
    """Look at one call of each kind; files in `folder` take up to 1 GB."""
    files = trees.FILES // 10 if quick else trees.FILES
    figures: list[Figure] = []
    with LiveServer(folder / "data", repo_limit="100GB") as server:
        token = server.job_token()
        saver = Job(server.url, token, folder / "workspace", folder / "saver")
        restorer = Job(server.url, token, folder / "restored", folder / "restorer")
        trees.plant(saver.cached, files=files, size_bytes=trees.SIZE_BYTES * files // trees.FILES)
        found = folder / "found.json"
        client = Ours((sys.executable, sampled.__file__, str(found)))

        def look(name: str, call: Callable[[], Ran]) -> None:
            wait_until_idle([server.process.pid])
            ran = call()
            figures.extend(_figures(name, ran, json.loads(found.read_text())))

        look("miss", lambda: client.restore(restorer, "absent", is_there=False))
        look("save, nothing known", lambda: client.save(saver, "first"))
        look("restore, nothing there", lambda: client.restore(restorer, "first"))
        look("restore, all there", lambda: client.restore(restorer, "first"))
        shutil.rmtree(restorer.workspace)
        trees.change(saver.cached)
        look("save after a change of 5 %", lambda: client.save(saver, "second"))
    notes = (
        "seconds of threads, by the innermost function of runcache that they were in",
        f"one call each; what took less than {SHOWN_SHARE:.0%} is left out",
    )
    return Section(f"client-phases: where the time goes, {files} files", notes, figures)


def _figures(name: str, ran: Ran, seconds: list[tuple[str, float]]) -> list[Figure]:
    total = sum(value for _, value in seconds)
    rows = [Figure(name=f"{name}: whole process", value=ran.seconds, unit="s")]
    rows += [
        Figure(name=f"  {label}", value=value, unit="s")
        for label, value in seconds
        if value >= total * SHOWN_SHARE
    ]
    return rows
