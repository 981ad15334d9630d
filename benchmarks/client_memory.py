"""How much memory our client and the server hold while a tree of 10 GB is saved and restored.

The tree is generated, and mostly holes: forty files of 250 MB, each with some megabytes of noise
here and there, and ten thousand small ones. Memory is the most that a process ever held, as the
kernel counts it. A client may have a second process for a while: many times a second both are
looked at together, with what they share counted once, and the more of the two counts.
"""

import shutil
from pathlib import Path
from random import Random
from typing import Final

from benchmarks import trees
from benchmarks.machine import peak_resident_bytes, wait_until_idle, watched_programs
from benchmarks.programs import Job, Ours
from benchmarks.report import Figure, Section, at_most
from runcache.testing.live_server import LiveServer

MB: Final = 1_000_000
LARGE_FILES: Final = 40
LARGE_BYTES: Final = 250 * MB
QUICK_LARGE_FILES: Final = 4
NOISE_BYTES: Final = MB
NOISES: Final = 6
SMALL_FILES: Final = 10_000
SMALL_BYTES: Final = 40 * MB
LIMIT: Final = at_most(300)


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure a save and a restore; files in `folder` take 1 GB, and 10 GB without holes."""
    large = QUICK_LARGE_FILES if quick else LARGE_FILES
    with LiveServer(folder / "data", repo_limit="100GB") as server:
        token = server.job_token()
        saver = Job(server.url, token, folder / "workspace", folder / "saver")
        _plant(saver.cached, large)
        with watched_programs(but=server.process.pid) as while_saving:
            saved = Ours().save(saver, "large")
        wait_until_idle([server.process.pid])
        # Both at once might not fit.
        shutil.rmtree(saver.workspace)
        restorer = Job(server.url, token, folder / "workspace", folder / "restorer")
        with watched_programs(but=server.process.pid) as while_restoring:
            restored = Ours().restore(restorer, "large")
        wait_until_idle([server.process.pid])
        server_bytes = peak_resident_bytes(server.process.pid)
    size_bytes = large * LARGE_BYTES + SMALL_BYTES
    peaks = (
        ("client, saving", max(saved.peak_bytes, while_saving.peak_bytes)),
        ("client, restoring", max(restored.peak_bytes, while_restoring.peak_bytes)),
        ("server", server_bytes),
    )
    return Section(
        f"client-memory: the peak with a tree of {size_bytes / 1e9:.1f} GB",
        (f"{saved.seconds:.1f} s to save, {restored.seconds:.1f} s to restore",),
        [
            Figure(name=name, value=peak_bytes / MB, unit="MB", target=LIMIT)
            for name, peak_bytes in peaks
        ],
    )


def _plant(folder: Path, large: int) -> None:
    random = Random(3)  # noqa: S311  -- a tree to measure with is no secret
    trees.plant(folder / "small", files=SMALL_FILES, size_bytes=SMALL_BYTES, seed=3)
    for number in range(large):
        with (folder / f"large-{number}").open("wb") as file:
            file.truncate(LARGE_BYTES)
            for _ in range(NOISES):
                file.seek(random.randrange(LARGE_BYTES - NOISE_BYTES))
                file.write(random.randbytes(NOISE_BYTES))
