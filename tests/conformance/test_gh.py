"""GitHub's own command line, `gh`, against this server, in plain HTTP and over TLS (management §2).

Over the one route gh takes the server for a proxy to the host that it is told, over the other one
for a GitHub Enterprise Server (§2.3, A and C).
"""

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from runcache.locations import SqliteFile
from runcache.service import now_ms
from runcache.testing import LiveServer
from tests.conformance.programs import found
from tests.in_process import MAIN, Clock, job, open_cache
from tests.server.caretaker import api_token, new_repository
from tests.server.certificate import make_certificate

PULL: Final = "refs/pull/7/merge"
STRANGE: Final = "a b/+&x=1%2F'ü€😀"
REST: Final = "/repos/{}/actions/caches"


@dataclass(frozen=True, slots=True)
class Route:
    """How gh gets to a server, and the server."""

    server: LiveServer
    token: str
    read_only: str
    certificate: Path | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.server.url).netloc if self.certificate else "github.localhost"

    def variables(self, token: str) -> dict[str, str]:
        if self.certificate is not None:
            return {
                "GH_HOST": self.host,
                "GH_ENTERPRISE_TOKEN": token,
                "SSL_CERT_FILE": str(self.certificate),
            }
        proxy = self.server.url.rstrip("/")
        return {"GH_HOST": self.host, "GH_TOKEN": token, "HTTP_PROXY": proxy}


@dataclass(frozen=True, slots=True)
class Gh:
    """gh on a machine of its own, for one repository."""

    route: Route
    home: Path
    repository: str

    def __call__(
        self, *arguments: str, token: str | None = None, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run gh, with another token than one that may do everything if one is given."""
        return self.run([str(found("gh")), *arguments], token=token, text=text)

    def run(
        self, command: Sequence[str], *, token: str | None = None, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        variables = self.route.variables(self.route.token if token is None else token)
        return subprocess.run(
            command,
            cwd=self.home,
            env=self.environment() | variables,
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{found('gh').parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "GH_CONFIG_DIR": str(self.home / "gh"),
            "GH_REPO": f"{self.route.host}/{self.repository}",
            "GH_TELEMETRY": "false",
            "GH_NO_UPDATE_NOTIFIER": "1",
            "TZ": "UTC",
        }

    def listed(self, *arguments: str, fields: str = "key") -> list[dict[str, Any]]:
        """Return what `gh cache list` finds."""
        done = self("cache", "list", "--json", fields, *arguments)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    async def save(self, *keys: str, ref: str = MAIN, data: bytes = b"data") -> None:
        """Save entries, one a millisecond, beside the server and in its folder."""
        grant = job(ref, repository=self.repository)
        clock = Clock(now_ms() - len(keys))
        async with open_cache(self.route.server.data, clock=clock) as cache:
            for key in keys:
                clock.now_ms += 1
                await cache.save(key, data, grant=grant)

    def requests(self) -> list[str]:
        """Return what the server has answered about the repository, by its log."""
        lines = map(json.loads, self.route.server.log.read_text().splitlines())
        about = [line for line in lines if line.get("repository") == self.repository]
        return [f"{line['method']} {line['status']}" for line in about]


def tokens_for(server: LiveServer) -> tuple[str, str]:
    """Return a token that may do everything, and one that only reads what `octo` has."""

    async def made() -> tuple[str, str]:
        catalog = SqliteFile(server.data / "catalog.sqlite3")
        return (
            await api_token(catalog, is_admin=True, can_write=True),
            await api_token(catalog, owners=["octo"]),
        )

    return asyncio.run(made())


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    """A server with a certificate of its own, which only gh is told to trust."""
    folder = tmp_path_factory.mktemp("encrypted")
    certificate, key = make_certificate(folder)
    with LiveServer(folder / "data", tls_cert=str(certificate), tls_key=str(key)) as server:
        yield Route(server, *tokens_for(server), certificate)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    """A server without encryption, which gh takes for a proxy."""
    with LiveServer(tmp_path_factory.mktemp("plain") / "data") as server:
        yield Route(server, *tokens_for(server))


@pytest.fixture(params=["plain", "encrypted"])
def gh(request: pytest.FixtureRequest, tmp_path: Path) -> Gh:
    """gh for a new repository, over each of the routes."""
    return Gh(request.getfixturevalue(request.param), tmp_path, new_repository())


@pytest.fixture
def gh_over_http(plain: Route, tmp_path: Path) -> Gh:
    """gh for a new repository, over the route that costs less."""
    return Gh(plain, tmp_path, new_repository())


async def test_a_list_has_what_was_saved(gh: Gh) -> None:
    await gh.save("npm-1", "npm-2")
    await gh.save("npm-3", ref=PULL, data=b"x" * 4000)

    done = gh("cache", "list", "--sort", "created_at", "--order", "asc")

    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[1:3] for row in rows] == [
        ["npm-1", "4 B"],
        ["npm-2", "4 B"],
        ["npm-3", "3.90 KiB"],
    ]
    assert gh.listed("--ref", PULL) == [{"key": "npm-3"}]
    assert gh.listed("--key", "npm-2") == [{"key": "npm-2"}]
    assert gh.listed("-S", "size_in_bytes", "-O", "desc", "-L", "1") == [{"key": "npm-3"}]


@pytest.mark.parametrize(
    ("gh", "count", "some", "pages"),
    [("plain", 250, 120, [2, 3]), ("encrypted", 110, 105, [2, 2])],
    indirect=["gh"],
)
async def test_long_lists_are_fetched_page_by_page_and_all_of_it_can_be_deleted(
    gh: Gh, count: int, some: int, pages: list[int]
) -> None:
    await gh.save(*(f"key-{number}" for number in range(count)))

    first = gh.listed("-L", str(some), "--sort", "created_at")
    after_first = len(gh.requests())
    every = gh.listed("-L", "1000", "--sort", "created_at")
    after_every = len(gh.requests())
    deleted = gh("cache", "delete", "--all")

    newest_first = [{"key": f"key-{number}"} for number in reversed(range(count))]
    assert first == newest_first[:some]
    assert every == newest_first
    assert [after_first, after_every - after_first] == pages
    assert (deleted.returncode, deleted.stdout, deleted.stderr) == (0, "", "")
    assert gh.listed() == []
    assert gh.requests()[after_every:-1] == ["GET 200"] * pages[1] + ["DELETE 204"] * count


async def test_a_key_is_deleted_in_all_refs(gh: Gh) -> None:
    for ref in (MAIN, PULL, "refs/tags/v1"):
        await gh.save("npm-1", ref=ref)
    await gh.save("npm-10")

    done = on_terminal(gh, "cache", "delete", "npm-1")

    assert f"Deleted 3 caches from {gh.repository}" in done
    assert gh.listed() == [{"key": "npm-10"}]


async def test_a_key_is_deleted_in_one_ref(gh: Gh) -> None:
    await gh.save("npm-1")
    await gh.save("npm-1", ref=PULL)

    done = on_terminal(gh, "cache", "delete", "npm-1", "--ref", PULL)

    assert f"Deleted 1 cache from {gh.repository}" in done
    assert gh.listed(fields="ref") == [{"ref": MAIN}]


@pytest.mark.parametrize("what", ["unknown", "4711"])
def test_what_is_not_there_cannot_be_deleted(gh: Gh, what: str) -> None:
    done = gh("cache", "delete", what)

    assert done.returncode == 1
    assert done.stderr == f"X Could not find a cache matching {what} in {gh.repository}\n"


def test_without_entries_there_is_nothing_to_delete(gh: Gh) -> None:
    refused = gh("cache", "delete", "--all")
    allowed = gh("cache", "delete", "--all", "--succeed-on-no-caches")

    assert (refused.returncode, refused.stderr) == (1, "X No caches to delete\n")
    assert allowed.returncode == 0


def test_a_wrong_token_is_told_so(gh: Gh) -> None:
    done = gh("cache", "list", token="rc_wrong")

    assert done.returncode == 1
    assert "HTTP 401: Bad credentials" in done.stderr
    assert "gh auth login" in done.stderr


def test_without_a_token_it_is_told_that_one_is_needed(gh_over_http: Gh) -> None:
    done = gh_over_http("cache", "list", token="")

    assert done.returncode != 0
    assert "HTTP 401: Requires authentication" in done.stderr


async def test_a_token_that_only_reads_is_told_so(gh_over_http: Gh) -> None:
    await gh_over_http.save("npm-1")

    done = gh_over_http("cache", "delete", "npm-1", token=gh_over_http.route.read_only)

    assert done.returncode == 1
    assert "HTTP 403: Resource not accessible by personal access token" in done.stderr
    assert gh_over_http.listed() == [{"key": "npm-1"}]


async def test_a_strange_key_comes_through_in_both_directions(gh: Gh) -> None:
    await gh.save(STRANGE, "other")

    assert gh.listed("--key", STRANGE) == [{"key": STRANGE}]
    assert gh("cache", "delete", STRANGE).returncode == 0
    assert gh.listed() == [{"key": "other"}]


async def test_all_fields_are_there(gh: Gh) -> None:
    before = datetime.now(UTC)
    await gh.save("npm-1", ref=PULL, data=b"data")

    (entry,) = gh.listed(fields="createdAt,id,key,lastAccessedAt,ref,sizeInBytes,version")

    created = datetime.fromisoformat(entry.pop("createdAt"))
    assert abs((created - before).total_seconds()) < 60
    assert datetime.fromisoformat(entry.pop("lastAccessedAt")) == created
    assert 0 < entry.pop("id") < 2**53
    assert entry == {"key": "npm-1", "ref": PULL, "sizeInBytes": 4, "version": "v" * 64}


def test_an_empty_repository_has_an_empty_list(gh: Gh) -> None:
    assert gh.listed() == []
    assert gh("cache", "list").returncode == 0


async def test_the_clean_up_of_a_closed_pull_request_deletes_its_caches_alone(gh: Gh) -> None:
    await gh.save(*(f"npm-{number}" for number in range(3)), ref=PULL)
    await gh.save("npm-0")
    # GitHub's documentation, "Force deleting cache entries".
    script = """
        set -e
        echo "Fetching list of cache keys"
        cacheKeysForPR=$(gh cache list --ref $BRANCH --limit 100 --json id --jq '.[].id')
        set +e
        echo "Deleting caches..."
        for cacheKey in $cacheKeysForPR
        do
            gh cache delete $cacheKey || exit 1
        done
        echo "Done"
    """

    done = gh.run(["bash", "-c", f"BRANCH={shlex.quote(PULL)}\n{script}"])

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Done"
    assert gh.listed(fields="key,ref") == [{"key": "npm-0", "ref": MAIN}]


async def test_any_request_of_the_api_can_be_made(gh: Gh) -> None:
    await gh.save("npm-1", "npm-2", "npm-3")
    caches = f"repos/{gh.repository}/actions/caches?per_page=1"

    usage = gh("api", f"repos/{gh.repository}/actions/cache/usage")
    every = gh("api", "--paginate", caches, "--jq", ".actions_caches[].key")
    limited = gh(
        "api",
        "--method=PUT",
        f"repos/{gh.repository}/actions/cache/retention-limit",
        "--field=max_cache_retention_days=3",
    )

    assert json.loads(usage.stdout)["active_caches_count"] == 3
    assert sorted(every.stdout.split()) == ["npm-1", "npm-2", "npm-3"]
    assert (limited.returncode, limited.stderr) == (0, "")


def test_the_status_says_whose_token_it_is(gh: Gh) -> None:
    status = gh("auth", "status", "--hostname", gh.route.host, token=gh.route.read_only)

    assert status.returncode == 0, status.stderr
    told = status.stdout + status.stderr
    assert f"Logged in to {gh.route.host} account token-" in told


def test_a_wrong_token_cannot_log_in(gh_over_http: Gh) -> None:
    login = log_in(gh_over_http, "rc_wrong")

    assert login.returncode == 1
    assert "HTTP 401: Bad credentials" in login.stderr


def test_a_token_that_has_logged_in_is_used_from_then_on(gh_over_http: Gh) -> None:
    login = log_in(gh_over_http, gh_over_http.route.read_only)

    assert login.returncode == 0, login.stderr
    assert gh_over_http("cache", "list", token="").returncode == 0


def log_in(gh: Gh, token: str) -> subprocess.CompletedProcess[str]:
    # A host with a port is none that gh logs in to: it has its token in a variable.
    flags = ("--with-token", "--hostname", gh.route.host, "--insecure-storage")
    return gh("auth", "login", *flags, token="", text=token)


def on_terminal(gh: Gh, *arguments: str) -> str:
    """Return what gh says where it takes its output for a terminal."""
    environment = gh.environment() | gh.route.variables(gh.route.token)
    done = subprocess.run(
        [str(found("gh")), *arguments],
        cwd=gh.home,
        env=environment | {"GH_FORCE_TTY": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
