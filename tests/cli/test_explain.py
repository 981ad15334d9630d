"""`runcache explain`: the same of a server and of the embedded store."""

import secrets

import pytest

from runcache.testing import LiveServer
from runcache.versions import cache_version
from tests.cli.conftest import Job

OF_NPM = ("--key", "npm-1", "--path", "deps")


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository that no other test uses."""
    name = f"octo/{secrets.token_hex(8)}"
    monkeypatch.setenv("GITHUB_REPOSITORY", name)
    return name


@pytest.fixture(params=["server", "store"])
def job(
    request: pytest.FixtureRequest,
    lone_job: Job,
    repository: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Job:
    """A job of the repository on the default branch, with a server and with the embedded store."""
    if request.param == "store":
        monkeypatch.setenv("RUNCACHE_DATA", "store")
    else:
        server = request.getfixturevalue("server")
        assert isinstance(server, LiveServer)
        monkeypatch.setenv("RUNCACHE_URL", server.url)
        monkeypatch.setenv("RUNCACHE_TOKEN", server.job_token(repository=repository))
    lone_job.write("deps/a.js", "a")
    return lone_job


def test_a_miss_is_told_step_by_step_and_then_the_nearest(job: Job) -> None:
    job.run("save", "--key", "npm-2", "--path", "deps")

    ended = job.run("explain", *OF_NPM, "--restore-key", "npn-")

    assert ended.code == 0
    assert ended.err == ""
    reason = ended.out.splitlines()[2]
    assert reason.startswith("`refs/heads/main` is searched: ")
    assert ended.out.replace(reason, "…") == (
        "Nothing is restored for `npm-1` on `refs/heads/main`: no step finds an entry.\n"
        "\n"
        "…\n"
        "  - No entry of the wanted version has the key `npm-1`.\n"
        "  - No entry of the wanted version has a key that begins with `npm-1`.\n"
        "  - No entry of the wanted version has the key `npn-`.\n"
        "  - No entry of the wanted version has a key that begins with `npn-`.\n"
        "\n"
        "Nearest:\n"
        "  1. Nothing was ever saved under `npm-1`, as far as is known.\n"
        "     A job that misses saves under its key when it succeeds. If one did: did its save step"
        " run, and\n"
        "     say that it saved?\n"
        "  2. `npm-2` is saved in `refs/heads/main`, and is like `npm-1`.\n"
        "     The restore key `npm-` would restore it until the key itself is saved.\n"
    )


def test_a_hit_is_told_with_what_else_matches(job: Job) -> None:
    for key in ("npm-1", "npm-2"):
        job.run("save", "--key", key, "--path", "deps")

    ended = job.run("explain", "--key", "npm-3", "--restore-key", "npm-", "--path", "deps")

    lines = ended.out.splitlines()
    assert lines[0] == (
        "`npm-2` is restored from `refs/heads/main`: it is found by the restore key `npm-`."
    )
    assert lines[6].startswith("  * `npm-2`, saved ")
    assert lines[8] == "Also there:"
    assert lines[9].startswith("  - `npm-1` of `refs/heads/main`: of the keys that begin with ")
    assert lines[10:12] == ["", "Why not the key itself:"]


def test_the_whole_answer_is_json(job: Job) -> None:
    job.run("save", *OF_NPM)

    asked = job.json("explain", *OF_NPM, "--compression", "zstd")

    assert asked["answer"] is None
    assert asked["versions"] == [cache_version(["deps"])]
    assert asked["question"]["key"] == "npm-1"
    (nearest,) = asked["nearest"]
    assert (nearest["cause"], nearest["kind"]) == ("other_version", "exact")
    assert nearest["differences"] == [
        {
            "input": "compression",
            "asked": "zstd-without-long",
            "saved": "runcache-snapshot-1",
        }
    ]


def test_a_version_may_be_named_instead_of_paths(job: Job) -> None:
    job.run("save", *OF_NPM)
    version = job.json("explain", *OF_NPM)["answer"]["version"]

    explained = job.json("explain", "--key", "npm-1", "--version", version)

    assert explained["answer"]["version"] == version


def test_keys_and_paths_may_hold_expressions(job: Job) -> None:
    job.run("save", *OF_NPM)

    explained = job.json("explain", "--key", "npm-${{ 1 }}", "--path", "${{ 'deps' }}")

    assert explained["kind"] == "exact"


@pytest.mark.parametrize(
    "options", [["--key", "k"], ["--key", "k", "--path", "x", "--version", "v"], ["--path", "x"]]
)
def test_what_is_wanted_must_be_said_once(job: Job, options: list[str]) -> None:
    assert job.run("explain", *options).code == 2


def test_another_ref_is_asked_for_in_a_store(
    lone_job: Job, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_DATA", "store")
    monkeypatch.setenv("GITHUB_REF", "refs/pull/7/merge")
    monkeypatch.setenv("GITHUB_BASE_REF", "next")
    lone_job.run("save", "--key", "other", "--path", ".", "--repo", repository)

    def scopes(*options: str) -> list[str]:
        explained = lone_job.json("explain", *OF_NPM, *options)
        return [scope["scope"] for scope in explained["scopes"]]

    assert scopes() == ["refs/pull/7/merge", "refs/heads/next", "refs/heads/main"]
    assert scopes("--ref", "feature") == ["refs/heads/feature", "refs/heads/main"]
    assert scopes("--base-ref", "v2", "--default-branch", "dev") == [
        "refs/pull/7/merge",
        "refs/heads/v2",
        "refs/heads/dev",
    ]


def test_an_api_token_hears_of_all_scopes(
    lone_job: Job, repository: str, server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lone_job.write("deps/a.js", "a")
    monkeypatch.setenv("RUNCACHE_URL", server.url)
    monkeypatch.setenv(
        "RUNCACHE_TOKEN", server.job_token(repository=repository, ref="refs/heads/feature")
    )
    lone_job.run("save", *OF_NPM)
    monkeypatch.setenv("RUNCACHE_TOKEN", server.api_token(repository))

    told = lone_job.json("explain", *OF_NPM, "--ref", "main")
    refused = lone_job.run("explain", *OF_NPM, "--repo", "octo/private")

    assert [near["cause"] for near in told["nearest"]] == ["unreadable_scope"]
    assert refused.code == 5
