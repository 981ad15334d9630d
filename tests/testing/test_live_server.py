"""The server for tests is a real one, and can be stopped, killed and started again."""

import json
import signal
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runcache.model import Permission, ScopePermission
from runcache.testing import LiveServer

SERVICE = "/twirp/github.actions.results.api.v1.CacheService"
ENTRY = {"key": "npm-1", "version": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("live") / "data") as server:
        yield server


def test_it_serves_at_its_url(server: LiveServer, tmp_path: Path) -> None:
    with LiveServer(tmp_path / "data") as other:
        assert other.url != server.url
        for one in (server, other):
            assert one.url.startswith("http://127.0.0.1:")
            assert one.url.endswith("/")
            assert status(one, "GET", "/healthz") == 200


def test_its_job_tokens_allow_what_they_say(server: LiveServer) -> None:
    reader = server.job_token(event="pull_request_target")
    writer = server.job_token(scopes=[ScopePermission("refs/heads/main", Permission.WRITE)])

    assert status(server, "POST", f"{SERVICE}/GetCacheEntryDownloadURL", reader, ENTRY) == 200
    assert status(server, "POST", f"{SERVICE}/GetCacheEntryDownloadURL", writer, ENTRY) == 403


@pytest.mark.parametrize("ttl", [timedelta(hours=-1), timedelta(minutes=-1)])
def test_a_job_token_with_a_negative_ttl_has_expired(server: LiveServer, ttl: timedelta) -> None:
    token = server.job_token(ttl=ttl)

    assert status(server, "POST", f"{SERVICE}/GetCacheEntryDownloadURL", token, ENTRY) == 401


def test_its_api_tokens_reach_what_they_name(server: LiveServer) -> None:
    usage = "/repos/octo/hello/actions/cache/usage"

    assert status(server, "GET", usage, server.api_token("octo/hello")) == 200
    assert status(server, "GET", usage, server.api_token(owners=["octo"])) == 200
    assert status(server, "GET", usage, server.api_token(can_write=True, is_admin=True)) == 200
    assert status(server, "GET", usage, server.api_token("octo/other")) != 200
    with pytest.raises(RuntimeError, match="say what it shall reach"):
        server.api_token()


def test_settings_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCACHE_REPO_LIMIT", "nonsense")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runcache.toml").write_text("nonsense")

    with LiveServer(tmp_path / "data", log_level="debug") as server:
        assert status(server, "GET", "/readyz") == 200


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="`much` is not a size"):
        LiveServer(tmp_path / "data", repo_limit="much")


def test_it_is_told_to_stop_and_says_how_it_ended(tmp_path: Path) -> None:
    with LiveServer(tmp_path / "data") as server:
        assert server.stop() == 0
        assert server.stop() == 0

    assert "drained" in server.log.read_text()


def test_after_a_kill_it_is_the_same_server_again(tmp_path: Path) -> None:
    with LiveServer(tmp_path / "data") as server:
        url, token, other_token = server.url, server.job_token(), server.job_token()
        reserve = f"{SERVICE}/CreateCacheEntry"
        reserved = status(server, "POST", reserve, token, ENTRY)

        server.kill()
        killed = server.process.returncode
        server.restart()

        assert reserved == 200
        assert killed == -signal.SIGKILL
        assert server.url == url
        assert status(server, "POST", reserve, other_token, ENTRY) == 409


def test_it_knows_its_memory(server: LiveServer) -> None:
    assert 10_000_000 < server.rss_bytes() < 1_000_000_000


def status(server: LiveServer, method: str, path: str, token: str = "", body: object = None) -> int:
    """Return the status of the answer to one request."""
    address = urlsplit(server.url)
    assert address.hostname is not None
    connection = HTTPConnection(address.hostname, address.port)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        return connection.getresponse().status
    finally:
        connection.close()
