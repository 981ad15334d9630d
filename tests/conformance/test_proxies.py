"""Clients that reach replicas through the proxies that we describe."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runcache.server.transfers import RECEIVED
from runcache.testing import LiveServer
from runcache.wire.twirp import SERVICE_PATH, Method
from tests.conformance.jobs import V6, Job
from tests.conformance.proxies import Proxy, Started, caddy, nginx
from tests.conformance.trees import MIB, described

VERSION = "0" * 64


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(tmp_path / "data", behind_proxy="true") as server:
        yield server


@pytest.fixture(params=[caddy, nginx], ids=["caddy", "nginx"])
def proxy(request: pytest.FixtureRequest, server: LiveServer, tmp_path: Path) -> Iterator[Proxy]:
    started: Started = request.param
    folder = tmp_path / "proxy"
    folder.mkdir()
    with started(folder, [server]) as proxy:
        yield proxy


def call(connection: HTTPSConnection, method: Method, token: str, **body: object) -> HTTPResponse:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", SERVICE_PATH + method, json.dumps(body), headers)
    return connection.getresponse()


def lookup(proxy: Proxy, token: str) -> int:
    """Look for a key, and return the status of the answer."""
    with closing(proxy.connection()) as connection:
        return call(connection, Method.FIND, token, key="npm-1", version=VERSION).status


def receiving(server: LiveServer, api_token: str) -> float:
    """Return how many uploads the server receives now, as it says itself."""
    with closing(HTTPConnection(urlsplit(server.url).netloc)) as connection:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {api_token}"})
        text = connection.getresponse().read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name == "runcache_transfers_in_flight" and RECEIVED in sample.labels.values()
    )


async def test_a_folder_comes_back_through_a_proxy_with_tls(
    server: LiveServer, proxy: Proxy, tmp_path: Path
) -> None:
    workspace, empty = tmp_path / "workspace", tmp_path / "empty"
    (workspace / "deps").mkdir(parents=True)
    (workspace / "deps/random").write_bytes(os.urandom(20 * MIB))
    trusting = {"NODE_EXTRA_CA_CERTS": str(proxy.authority)}

    token = server.job_token(repository=f"octo/{tmp_path.name}")
    saved = await Job(tmp_path / "a", proxy.url, token, V6, workspace, trusting).save("k")
    restored = await Job(tmp_path / "b", proxy.url, token, V6, empty, trusting).restore("k")

    assert saved.error is None, saved.log
    assert restored.result == "k", restored.log
    assert described(empty) == described(workspace)


def test_an_upload_reaches_the_server_before_it_is_whole(server: LiveServer, proxy: Proxy) -> None:
    api_token = server.api_token(is_admin=True)
    with closing(proxy.connection()) as connection:
        answer = call(connection, Method.CREATE, server.job_token(), key=proxy.url, version=VERSION)
        link = urlsplit(json.loads(answer.read())["signed_upload_url"])
        connection.putrequest("PUT", f"{link.path}?{link.query}")
        connection.putheader("Content-Length", str(64 * MIB))
        connection.putheader("x-ms-blob-type", "BlockBlob")
        connection.endheaders(bytes(32 * MIB))

        give_up_at = time.monotonic() + 10
        while not receiving(server, api_token) and time.monotonic() < give_up_at:
            time.sleep(0.02)
        received = receiving(server, api_token)
        connection.send(bytes(32 * MIB))

        assert received == 1
        assert f"{link.scheme}://{link.netloc}/" == proxy.url
        assert connection.getresponse().status == 201


def test_the_counters_are_not_shown_to_the_outside(proxy: Proxy) -> None:
    assert proxy.status_of("/healthz") == 200
    assert proxy.status_of("/metrics") in {403, 404}


def test_jobs_do_not_notice_that_one_replica_is_gone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        replicas = [
            stack.enter_context(LiveServer(tmp_path / "data", behind_proxy="true"))
            for _ in range(2)
        ]
        proxy = stack.enter_context(caddy(tmp_path, replicas))
        token = replicas[0].job_token()
        before = {lookup(proxy, token) for _ in range(10)}

        replicas[0].kill()

        assert before == {lookup(proxy, token) for _ in range(20)} == {200}


def test_replicas_of_which_none_is_ready_are_asked_all_the_same(tmp_path: Path) -> None:
    with (
        LiveServer(tmp_path / "data", behind_proxy="true", min_free="9000TB") as unready,
        caddy(tmp_path, [unready]) as proxy,
    ):
        token = unready.job_token()
        give_up_at = time.monotonic() + 10
        while "status code out of tolerances" not in (tmp_path / "log").read_text():
            assert time.monotonic() < give_up_at
            assert lookup(proxy, token) == 200

        assert proxy.status_of("/readyz") == 503
        assert lookup(proxy, token) == 200
