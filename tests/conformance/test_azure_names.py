"""A server whose name is one of Azure's blob storage: GitHub's client then downloads in ranges.

It asks for the size, then for 4 MiB at a time, several at once (protocol §5.2 and §5.3).
"""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runcache.testing import LiveServer
from tests.conformance.jobs import V4, V6, V6_OVER_V1, Client, Job, Repository
from tests.conformance.trees import BLOCKS_ABOVE_BYTES, MIB, described

LEADING_HERE = Path(__file__).with_name("azure_names.cjs")
RANGE_BYTES = 4 * MIB


@pytest.mark.parametrize("client", [V6, V6_OVER_V1, V4], ids=str)
async def test_a_large_archive_comes_back_in_ranges(
    repository: Repository, server: LiveServer, client: Client, large: Path
) -> None:
    saving = by_azure_name(repository.job(client, workspace=large))
    restoring = by_azure_name(repository.job(client))
    await saving.save("deps-1", "node modules")
    before = await asyncio.to_thread(answers, server)

    restored = await restoring.restore("deps-1", paths=("node modules",))

    given = await asyncio.to_thread(answers, server) - before
    assert restored.result == "deps-1", restored.log
    assert described(restoring.workspace) == described(large)
    assert given["HEAD", 200] == 1
    assert given["GET", 206] > BLOCKS_ABOVE_BYTES // RANGE_BYTES


def by_azure_name(job: Job) -> Job:
    url = f"http://runcache.blob.core.windows.net:{urlsplit(job.url).port}/"
    return replace(job, url=url, variables={"NODE_OPTIONS": f"--require={LEADING_HERE}"})


def answers(server: LiveServer) -> Counter[tuple[str, int]]:
    """Count the answers to requests for blobs, by method and status."""
    events = map(json.loads, server.log.read_text().splitlines())
    return Counter(
        (event["method"], event["status"])
        for event in events
        if event["event"] == "request" and event["route"].startswith("/devstoreaccount1/")
    )
