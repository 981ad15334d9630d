"""What a server keeps for a repository, as GitHub's REST API tells it."""

import json

from benchmarks.jobs import connect
from runcache.testing.live_server import LiveServer


def stored_bytes(server: LiveServer, repository: str) -> int:
    """Return the bytes of all entries of a repository; a blob that they share counts once."""
    connection = connect(server.url)
    headers = {"Authorization": f"Bearer {server.api_token(repository)}"}
    connection.request("GET", f"/repos/{repository}/actions/cache/usage", headers=headers)
    usage = json.loads(connection.getresponse().read())
    connection.close()
    size_bytes: int = usage["active_caches_size_in_bytes"]
    return size_bytes
