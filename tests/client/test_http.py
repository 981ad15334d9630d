"""Which protocol a server is spoken to in, and what happens where nobody knows snapshots."""

import gzip
from collections.abc import Iterator

import pytest

from runcache.client.address import Address, Dialect
from runcache.client.environment import Given
from runcache.client.http import HttpTransport
from runcache.client.transports import Transport
from runcache.errors import (
    BlobMissing,
    NotAuthenticated,
    ProtocolAbsent,
    ServerFailed,
    SnapshotsUnsupported,
    UnexpectedAnswer,
)
from runcache.model import MatchKind
from runcache.wire.native import PREFIX as NATIVE
from runcache.wire.twirp import SERVICE_PATH as TWIRP
from tests.client.archive_maker import Tar
from tests.client.front import NOT_FOUND, front
from tests.client.machines import Machines
from tests.client.scripted_server import (
    Reply,
    Request,
    ScriptedServer,
    Trying,
    ranged,
    scripted,
)
from tests.conformance.trees import described

V1 = "/_apis/artifactcache/"
JSON = {"Content-Type": "application/json"}


def paths_of(server: ScriptedServer) -> list[str]:
    return [request.target.partition("?")[0] for request in server.requests]


class TestServersWithoutSnapshots:
    """Archives are what is left, over v2 or v1."""

    @pytest.fixture(params=[(NATIVE,), (NATIVE, TWIRP)], ids=["v2", "v1"])
    def archives_only(
        self, machines: Machines, request: pytest.FixtureRequest
    ) -> Iterator[ScriptedServer]:
        with front(machines.server.url, without=request.param) as server:
            yield server

    def test_what_is_saved_is_an_archive_and_is_restored(
        self, machines: Machines, archives_only: ScriptedServer
    ) -> None:
        saving, restoring = (machines.make(url=archives_only.url) for _ in range(2))
        saving.write("deps/file", b"text" * 10_000)
        saving.write("deps/inner/other")

        saved = saving.save("deps-1")
        hit = restoring.restore("deps-2", "deps-")

        assert (saved.created, saved.format, saved.files) == (True, "archive", 2)
        assert saving.warnings == ["the server keeps archives only, so an archive is saved"]
        assert hit is not None
        assert (hit.format, hit.matched_key, hit.exact) == ("archive", "deps-1", False)
        assert (hit.fetched_bytes, hit.files_written) == (saved.size_bytes, 2)
        assert described(restoring.workspace) == described(saving.workspace)

    def test_a_key_that_is_saved_already_is_no_error(
        self, machines: Machines, archives_only: ScriptedServer
    ) -> None:
        machine = machines.make(url=archives_only.url)
        machine.write("deps/file")
        machine.save("deps-1")

        assert not machine.save("deps-1").created

    def test_nothing_is_none(self, machines: Machines, archives_only: ScriptedServer) -> None:
        machine = machines.make(url=archives_only.url)

        assert machine.restore("deps-1", "deps-") is None
        assert machine.warnings == []

    def test_a_token_that_does_not_count_is_refused(
        self, archives_only: ScriptedServer, machines: Machines
    ) -> None:
        machine = machines.make()
        machine.given = Given(url=archives_only.url, token="nonsense")

        with pytest.raises(NotAuthenticated):
            machine.restore("deps-1")

    def test_what_is_not_there_is_asked_for_once(
        self, machines: Machines, archives_only: ScriptedServer
    ) -> None:
        machine = machines.make(url=archives_only.url)
        machine.write("deps/file")

        with machine.client() as client:
            client.restore(["deps"], key="deps-1")
            client.save(["deps"], key="deps-1")
            client.restore(["deps"], key="deps-1")

        paths = paths_of(archives_only)
        assert sum(path.startswith(NATIVE) for path in paths) == 1
        assert sum(path == "/runcache/v1/find" for path in paths) == 1


@pytest.mark.parametrize(
    "absent",
    [
        NOT_FOUND,
        Reply(404, b"404 page not found\n", {"Content-Type": "text/plain"}),
        Reply(405),
        Reply(501, b"<html>"),
        Reply(403, b"<html>blocked", {"Content-Type": "text/html"}),
        Reply(400, b'{"msg":"bad route"}', JSON),
    ],
)
def test_a_server_without_our_protocol_may_say_so_in_any_way(
    machines: Machines, absent: Reply
) -> None:
    with front(machines.server.url, without=[NATIVE], absent=absent) as server:
        machine = machines.make(url=server.url)
        machine.write("deps/file")
        machine.save("deps-1", format="archive")

        hit = machine.restore("deps-1")

    assert hit is not None


def test_a_job_of_github_speaks_the_protocol_that_it_is_told_to(machines: Machines) -> None:
    with front(machines.server.url, without=[NATIVE]) as server:
        machine = machines.make()
        machine.variables = {
            "ACTIONS_RUNTIME_TOKEN": str(machine.given.token),
            "ACTIONS_RESULTS_URL": f"{server.url}/",
            "ACTIONS_CACHE_URL": f"{server.url}/",
        }
        machine.given = Given()
        machine.write("deps/file")
        machine.save("deps-1")
        v1_paths = paths_of(server)
        server.requests.clear()
        machine.variables["ACTIONS_CACHE_SERVICE_V2"] = "True"
        hit = machine.restore("deps-1")

    assert any(path.startswith(V1) for path in v1_paths)
    assert not any(path.startswith(TWIRP) for path in v1_paths)
    assert not any(path.startswith(V1) for path in paths_of(server))
    assert hit is not None


def test_what_speaks_no_protocol_is_no_cache(machines: Machines) -> None:
    with front(machines.server.url, without=["/"]) as server:
        machine = machines.make(url=server.url)
        machine.write("deps/file")

        with pytest.raises(ProtocolAbsent):
            machine.restore("deps-1")
        with pytest.raises(ProtocolAbsent):
            machine.save("deps-1")


def test_a_web_page_is_no_answer(machines: Machines) -> None:
    with scripted(Reply(200, b"<!DOCTYPE html>", {"Content-Type": "text/html"})) as server:
        machine = machines.make(url=server.url)

        with pytest.raises(UnexpectedAnswer):
            machine.restore("deps-1")


def transport_to(trying: Trying, server: ScriptedServer, dialect: Dialect) -> Transport:
    address = Address(server.url, ((dialect, server.url),), "token")
    return HttpTransport(trying.requests(), address)


def twirp_only(**versions: tuple[str, str]) -> ScriptedServer:
    """Return a server that has, of each version, an archive by its key and link."""

    def answer(request: Request) -> Reply:
        for version, (key, link) in versions.items():
            if f'"version":"{version}"'.encode() in request.body:
                body = f'{{"ok":true,"matched_key":"{key}","signed_download_url":"{link}"}}'
                return Reply(200, body.encode(), JSON)
        return Reply(200, b'{"ok":false}', JSON) if request.target.startswith(TWIRP) else NOT_FOUND

    return ScriptedServer(answer)


def test_of_two_compressions_the_exact_key_counts_first(trying: Trying) -> None:
    with twirp_only(zstd=("k-1", "http://x/a"), gzip=("k", "http://x/b")) as server:
        transport = transport_to(trying, server, Dialect.TWIRP)
        exact = transport.find("k", (), snapshot="s", archives=("zstd", "gzip"))
        preferred = transport.find("k-", (), snapshot="s", archives=("zstd", "gzip"))

    assert exact is not None
    assert (exact.key, exact.version, exact.kind) == ("k", "gzip", MatchKind.EXACT)
    assert preferred is not None
    assert (preferred.key, preferred.kind) == ("k-1", MatchKind.PREFIX)


def test_an_archive_in_gzip_is_restored_too(machines: Machines) -> None:
    saving, restoring = machines.make(), machines.make()
    archive = gzip.compress(Tar().file("deps/file", b"zipped").plain())
    with saving.client() as client:
        version = client._version(("deps",), "gzip", cross_os=False)  # noqa: SLF001  -- see below
        # There is a zstd on this machine, so nothing else saves in gzip.
        upload = client._transport.reserve_archive("deps-1", version)  # noqa: SLF001
        upload.put(0, 0, memoryview(archive))
        upload.commit(len(archive), 1)

    restoring.restore("deps-1")

    assert restoring.read("deps/file") == b"zipped"


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_link_that_expired_is_asked_for_again(trying: Trying, dialect: Dialect) -> None:
    links = iter(["one", "two", "three"])

    def answer(request: Request) -> Reply:
        if request.method == "GET" and request.target.startswith("/blob"):
            return ranged(b"archive", request) if "two" in request.target else Reply(403)
        if request.target.startswith(NATIVE):
            return NOT_FOUND
        link = f"{server.url}/blob?sig={next(links)}"
        body = (
            f'{{"ok":true,"matched_key":"k","signed_download_url":"{link}"}}'
            if dialect is Dialect.TWIRP
            else f'{{"cacheKey":"k","archiveLocation":"{link}","scope":"refs/heads/main"}}'
        )
        return Reply(200, body.encode(), JSON)

    with ScriptedServer(answer) as server:
        found = transport_to(trying, server, dialect).find("k", (), snapshot="s", archives=("z",))
        assert found is not None
        buffer = memoryview(bytearray(100))
        with found.blobs[0].stream() as reader:
            count = reader.readinto(buffer)

    assert bytes(buffer[:count]) == b"archive"
    assert found.scope == ("refs/heads/main" if dialect is Dialect.ARTIFACTCACHE else None)


def test_a_link_is_not_renewed_for_another_entry(trying: Trying) -> None:
    keys = iter(["k-1", "k-2"])

    def answer(request: Request) -> Reply:
        if request.method == "GET":
            return Reply(403)
        if request.target.startswith(NATIVE):
            return NOT_FOUND
        body = f'{{"ok":true,"matched_key":"{next(keys)}","signed_download_url":"{server.url}/b"}}'
        return Reply(200, body.encode(), JSON)

    with ScriptedServer(answer) as server:
        transport = transport_to(trying, server, Dialect.TWIRP)
        found = transport.find("k", (), snapshot="s", archives=("z",))
        assert found is not None
        with pytest.raises(BlobMissing):
            found.blobs[0].stream()


def test_snapshots_are_refused_where_nobody_knows_them(trying: Trying) -> None:
    with scripted(NOT_FOUND) as server:
        transport = transport_to(trying, server, Dialect.TWIRP)

        for _ in range(2):
            with pytest.raises(SnapshotsUnsupported):
                transport.reserve_snapshot("k", "v", "auto")
        with pytest.raises(SnapshotsUnsupported):
            transport.peek("k", "v")

    assert len(server.requests) == 1


def test_a_server_that_is_only_out_of_order_is_no_other_server(trying: Trying) -> None:
    with scripted(Reply(503)) as server:
        transport = transport_to(trying, server, Dialect.TWIRP)
        with pytest.raises(ServerFailed):
            transport.find("k", (), snapshot="s", archives=("z",))

    assert set(paths_of(server)) == {"/runcache/v1/find"}


def test_the_scope_is_what_the_token_says(machines: Machines) -> None:
    def scope_of(token: str) -> str | None:
        return Address("http://x", (), token).scope

    assert scope_of(machines.server.job_token(ref="refs/pull/7/merge")) == "refs/pull/7/merge"
    assert scope_of(machines.server.job_token(event="pull_request_target")) is None
    for token in ("", "a.b.c", "rc_123_456", "e30.e30.x", "x.eyJhYyI6IlsxXSJ9.x"):
        assert scope_of(token) is None
