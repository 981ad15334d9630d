"""What counts when the caller, the job and the machine say different things."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from runcache.client.address import Address, Dialect
from runcache.client.environment import Environment, Given
from runcache.client.proxies import Proxies
from runcache.errors import ExpressionError, InvalidSettings

HERE = "https://cache.test"
FLAG = Given(url=HERE, token="flag")
OWN = {"RUNCACHE_URL": "https://own.test/", "RUNCACHE_TOKEN": "own"}
JOB = {
    "ACTIONS_RESULTS_URL": "https://results.test/",
    "ACTIONS_CACHE_URL": "https://cache.test/secret/",
    "ACTIONS_CACHE_SERVICE_V2": "True",
    "ACTIONS_RUNTIME_TOKEN": "job",
}
V1_JOB = {**JOB, "ACTIONS_CACHE_SERVICE_V2": ""}
GHES = {**JOB, "GITHUB_SERVER_URL": "https://github.example.com"}


def both(origin: str, token: str) -> Address:
    """Return the address of a server that may be anything."""
    return Address(origin, ((Dialect.TWIRP, origin), (Dialect.ARTIFACTCACHE, origin)), token)


V1 = Address(HERE, ((Dialect.ARTIFACTCACHE, f"{HERE}/secret"),), "job")
V2 = Address("https://results.test", ((Dialect.TWIRP, "https://results.test"),), "job")
EMBEDDED = None


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        (Given(), {}, EMBEDDED),
        (FLAG, {}, both(HERE, "flag")),
        (FLAG, OWN, both(HERE, "flag")),
        (FLAG, JOB, both(HERE, "flag")),
        (Given(), OWN, both("https://own.test", "own")),
        (Given(), OWN | JOB, both("https://own.test", "own")),
        (Given(url=HERE), OWN, both(HERE, "own")),
        (Given(token="flag"), OWN, both("https://own.test", "flag")),
        (Given(), JOB, V2),
        (Given(), V1_JOB, V1),
        (Given(), GHES, V1),
        (Given(), JOB | {"GITHUB_SERVER_URL": "https://me.ghe.com"}, V2),
        (Given(), JOB | {"GITHUB_SERVER_URL": "https://x.localhost:80"}, V2),
        (Given(), JOB | {"GITHUB_SERVER_URL": "http://localhost:3000"}, V1),
        (Given(), JOB | {"ACTIONS_RUNTIME_TOKEN": ""}, EMBEDDED),
        (Given(), {"ACTIONS_RUNTIME_TOKEN": "job"}, EMBEDDED),
        (Given(), OWN | {"RUNCACHE_URL": "", "RUNCACHE_TOKEN": ""}, EMBEDDED),
        (Given(data="here"), {}, EMBEDDED),
        (Given(data="here"), JOB, EMBEDDED),
        (Given(data="here"), OWN, EMBEDDED),
    ],
)
def test_the_server_is_the_first_that_is_named(
    given: Given, variables: Mapping[str, str], expected: Address | None
) -> None:
    assert Environment(given, variables=variables).address == expected


def test_a_job_that_has_the_results_url_only_speaks_v1_there() -> None:
    variables = {name: value for name, value in V1_JOB.items() if name != "ACTIONS_CACHE_URL"}

    address = Environment(variables=variables).address

    assert address is not None
    assert address.dialects == ((Dialect.ARTIFACTCACHE, "https://results.test"),)


@pytest.mark.parametrize(
    ("given", "variables", "message"),
    [
        (Given(url=HERE), {}, "there is no token"),
        (Given(token="x"), {}, "but no server"),
        (Given(), {"RUNCACHE_TOKEN": "x"}, "but no server"),
        (Given(url=HERE, token="x", data="here"), {}, "both a server"),
        (Given(url="cache.test", token="x"), {}, "is not the URL of a server"),
        (Given(url="https://cache.test/path", token="x"), {}, "is not the URL of a server"),
        (Given(url="https://u:p@cache.test", token="x"), {}, "is not the URL of a server"),
        (Given(url="ftp://cache.test", token="x"), {}, "is not the URL of a server"),
        (Given(url=HERE, token="two words"), {}, "characters that no token has"),
        (Given(url=HERE, token="line\nbreak"), {}, "characters that no token has"),
        (Given(url=HERE, token=" "), {}, "is empty"),
        (Given(url=HERE, token_file="missing"), {}, "cannot be read"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, given: Given, variables: Mapping[str, str], message: str
) -> None:
    with pytest.raises(InvalidSettings, match=message):
        _ = Environment(given, variables=variables, folder=tmp_path).address


@pytest.mark.parametrize(
    ("given", "variables"),
    [
        (Given(url=HERE, token_file="token"), OWN),
        (Given(url=HERE), {"RUNCACHE_TOKEN_FILE": "token"}),
    ],
)
def test_a_token_may_be_in_a_file(
    tmp_path: Path, given: Given, variables: Mapping[str, str]
) -> None:
    (tmp_path / "token").write_text("from the file\n".replace(" ", "-"))

    address = Environment(given, variables=variables, folder=tmp_path).address

    assert address is not None
    assert address.token == "from-the-file"


def test_a_token_is_never_shown() -> None:
    given = Given(url=HERE, token="hush")

    assert "hush" not in repr(given)
    assert "hush" not in repr(Environment(given, variables={}).address)


@pytest.mark.parametrize(
    ("mode", "may_read", "may_write"),
    [
        ("", True, True),
        ("read", True, False),
        (" READ ", True, False),
        ("write", True, True),
        ("write-only", False, True),
        ("none", False, False),
        ("else", True, True),
    ],
)
def test_the_mode_of_a_job_says_what_it_may_do(
    mode: str, *, may_read: bool, may_write: bool
) -> None:
    environment = Environment(variables=JOB | {"ACTIONS_CACHE_MODE": mode})

    assert (environment.may_read, environment.may_write) == (may_read, may_write)


def test_the_mode_of_a_job_is_nothing_to_another_server() -> None:
    environment = Environment(variables=OWN | JOB | {"ACTIONS_CACHE_MODE": "none"})

    assert (environment.may_read, environment.may_write) == (True, True)


GITHUB = {
    "GITHUB_REPOSITORY": "octo/job",
    "GITHUB_REF": "refs/pull/7/merge",
    "GITHUB_BASE_REF": "main",
    "GITHUB_EVENT_NAME": "pull_request",
}


class TestIdentity:
    """Who saves and restores, where no token says so."""

    def test_is_local_where_nothing_says_anything(self, tmp_path: Path) -> None:
        identity = Environment(variables={}, folder=tmp_path).job.identity

        assert (identity.repository, identity.ref) == ("local/local", "refs/heads/main")
        assert (identity.base_ref, identity.event) == (None, "push")

    def test_is_that_of_the_checkout(self, tmp_path: Path) -> None:
        plant_checkout(tmp_path)

        identity = Environment(variables={}, folder=tmp_path).job.identity

        assert (identity.repository, identity.ref) == ("octo/checkout", "refs/heads/topic")
        assert identity.default_branch == "trunk"

    def test_is_that_of_the_job_before(self, tmp_path: Path) -> None:
        plant_checkout(tmp_path)
        event = tmp_path / "event.json"
        event.write_text(json.dumps({"repository": {"default_branch": "develop"}}))
        variables = GITHUB | {"GITHUB_EVENT_PATH": str(event)}

        identity = Environment(variables=variables, folder=tmp_path).job.identity

        assert (identity.repository, identity.ref) == ("octo/job", "refs/pull/7/merge")
        assert (identity.base_ref, identity.event) == ("main", "pull_request")
        assert identity.default_branch == "develop"

    def test_is_what_the_variables_of_ours_say_before(self) -> None:
        own = {"RUNCACHE_REPO": "octo/own", "RUNCACHE_REF": "refs/heads/own"}

        identity = Environment(variables=GITHUB | own).job.identity

        assert (identity.repository, identity.ref) == ("octo/own", "refs/heads/own")

    def test_is_what_the_caller_says_before_all(self) -> None:
        own = {"RUNCACHE_REPO": "octo/own", "RUNCACHE_REF": "refs/heads/own"}
        given = Given(repo="octo/flag", ref="refs/heads/flag")

        identity = Environment(given, variables=GITHUB | own).job.identity

        assert (identity.repository, identity.ref) == ("octo/flag", "refs/heads/flag")

    @pytest.mark.parametrize("event", ["", "[1]", "nonsense", '{"repository": null}'])
    def test_outlasts_events_that_say_nothing(self, tmp_path: Path, event: str) -> None:
        (tmp_path / "event.json").write_text(event)
        variables = {"GITHUB_EVENT_PATH": str(tmp_path / "event.json")}

        assert (
            Environment(variables=variables, folder=tmp_path).job.identity.default_branch == "main"
        )


def plant_checkout(folder: Path) -> None:
    git = folder / ".git"
    (git / "refs/remotes/origin").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/topic\n")
    (git / "refs/remotes/origin/HEAD").write_text("ref: refs/remotes/origin/trunk\n")
    (git / "config").write_text('[remote "origin"]\n\turl = git@host.test:octo/checkout.git\n')


class TestFolders:
    """Where things are."""

    def test_the_workspace_is_the_jobs_else_the_current_folder(self, tmp_path: Path) -> None:
        assert Environment(variables={}, folder=tmp_path).workspace == tmp_path
        variables = {"GITHUB_WORKSPACE": "/work space"}
        assert Environment(variables=variables, folder=tmp_path).workspace == Path("/work space")

    def test_what_is_remembered_is_in_the_cache_folder_of_the_user(self) -> None:
        home = Environment(variables={"HOME": "/home/me"})
        xdg = Environment(variables={"HOME": "/home/me", "XDG_CACHE_HOME": "/fast"})

        assert home.home == Path("/home/me")
        assert home.cache_folder == Path("/home/me/.cache/runcache")
        assert xdg.cache_folder == Path("/fast/runcache")

    def test_outputs_go_where_the_runner_wants_them(self) -> None:
        assert Environment(variables={}).output_file is None
        assert Environment(variables={"GITHUB_OUTPUT": ""}).output_file is None
        assert Environment(variables={"GITHUB_OUTPUT": "/out"}).output_file == Path("/out")


def test_proxies_are_those_that_most_programs_know() -> None:
    variables = {
        "HTTP_PROXY": "http://upper.test",
        "http_proxy": "http://lower.test",
        "ALL_PROXY": "http://all.test",
        "NO_PROXY": "a.test, .b.test,,",
    }

    proxies = Environment(variables=variables).proxies

    assert proxies == Proxies(
        {"http": "http://lower.test", "https": "http://all.test"}, ("a.test", ".b.test")
    )


class TestExpressions:
    """Keys and paths that hold `${{ }}`."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Environment:
        (tmp_path / "lock").write_text("x")
        variables = {
            **GITHUB,
            "RUNNER_OS": "macOS",
            "RUNNER_ARCH": "ARM64",
            "RUNNER_TEMP": "/runner/temp",
            "GITHUB_SHA": "0123",
            "GITHUB_WORKSPACE": str(tmp_path),
            "GITHUB_OUTPUT": "/out",
            "FLAVOUR": "vanilla",
        }
        given = Given(contexts={"matrix": {"python": "3.12"}, "inputs": {"x": True}})
        return Environment(given, variables=variables, folder=tmp_path)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("plain", "plain"),
            ("${{ runner.os }}-${{ runner.arch }}", "macOS-ARM64"),
            ("${{ runner.temp }}/x", "/runner/temp/x"),
            ("${{ github.repository }} ${{ github.ref_name }}", "octo/job 7/merge"),
            ("${{ github.sha }}${{ github.base_ref }}", "0123main"),
            ("${{ github.output }}.", "."),
            ("${{ env.FLAVOUR }}", "vanilla"),
            ("${{ matrix.python }}-${{ inputs.x }}", "3.12-true"),
            ("${{ hashFiles('lock') }}", None),
            ("${{ hashFiles('missing') }}.", "."),
        ],
    )
    def test_have_the_values_that_a_job_has(
        self, environment: Environment, text: str, value: str | None
    ) -> None:
        evaluated = environment.evaluated(text)

        assert evaluated == value or (value is None and len(evaluated) == 64)

    @pytest.mark.parametrize("text", ["${{ secrets.x }}", "${{ runner.os", "${{ 1 + 1 }}"])
    def test_that_cannot_be_are_refused(self, environment: Environment, text: str) -> None:
        with pytest.raises(ExpressionError):
            environment.evaluated(text)

    def test_have_values_outside_of_jobs_too(self, tmp_path: Path) -> None:
        plant_checkout(tmp_path)
        environment = Environment(variables={}, folder=tmp_path)

        text = environment.evaluated("${{ runner.os }} ${{ github.repository }} ${{ github.ref }}")

        assert text.split()[1:] == ["octo/checkout", "refs/heads/topic"]
        assert text.split()[0] in {"Linux", "macOS"}
