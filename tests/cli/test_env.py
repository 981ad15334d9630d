import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Runcache
from tests.cli.test_job_token import tokens_of

JOB = ("--repo", "octo/hello", "--ref", "refs/heads/main", "--data", "data")
NAMES = [
    "ACTIONS_RESULTS_URL",
    "ACTIONS_CACHE_URL",
    "ACTIONS_CACHE_SERVICE_V2",
    "ACTIONS_RUNTIME_TOKEN",
]


def test_a_shell_that_evaluates_it_has_what_a_job_needs(runcache: Runcache, tmp_path: Path) -> None:
    ended = runcache("env", *JOB)

    script = f"{ended.out}\nexec env -0"
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    found = dict(pair.split("=", 1) for pair in shell.stdout.split("\0") if "=" in pair)
    assert found["ACTIONS_RESULTS_URL"] == "http://127.0.0.1:8480/"
    assert found["ACTIONS_CACHE_URL"] == "http://127.0.0.1:8480/"
    assert found["ACTIONS_CACHE_SERVICE_V2"] == "True"
    grant = tokens_of(tmp_path / "data").grant(found["ACTIONS_RUNTIME_TOKEN"])
    assert grant.writable_scope == "refs/heads/main"


@pytest.mark.parametrize("form", ["dotenv", "github"])
def test_a_file_of_variables_has_a_line_for_each(runcache: Runcache, form: str) -> None:
    ended = runcache("env", *JOB, "--format", form)

    pairs = [line.split("=", 1) for line in ended.out.splitlines()]
    assert [name for name, _ in pairs] == NAMES
    assert all(set(value).isdisjoint(" \"'$\\#`") for _, value in pairs)


def test_as_json_the_variables_are_one_object(runcache: Runcache) -> None:
    assert list(json.loads(runcache("env", *JOB, "--json").out)) == NAMES


@pytest.mark.parametrize(
    ("args", "url"),
    [
        (["--url", "http://10.0.0.5:9000"], "http://10.0.0.5:9000/"),
        (["--url", "https://cache.example.com/"], "https://cache.example.com/"),
    ],
)
def test_a_job_elsewhere_is_told_another_url(runcache: Runcache, args: list[str], url: str) -> None:
    found = json.loads(runcache("env", *JOB, *args, "--json").out)

    assert found["ACTIONS_RESULTS_URL"] == found["ACTIONS_CACHE_URL"] == url


def test_the_url_comes_from_the_settings_of_the_server(
    runcache: Runcache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_PUBLIC_URL", "https://cache.example.com")

    found = json.loads(runcache("env", *JOB, "--json").out)

    assert found["ACTIONS_RESULTS_URL"] == "https://cache.example.com/"


def test_a_url_with_a_path_is_refused_since_clients_would_drop_it(runcache: Runcache) -> None:
    ended = runcache("env", *JOB, "--url", "https://example.com/cache")

    assert ended.code == 2
    assert "without a path" in ended.err


@pytest.mark.parametrize(
    "settings", [{"HOST": "::", "BEHIND_PROXY": "1"}, {"PORT": "0"}], ids=["any host", "any port"]
)
def test_where_every_address_is_served_the_url_must_be_told(
    runcache: Runcache, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"RUNCACHE_{name}", value)

    refused = runcache("env", *JOB)
    told = runcache("env", *JOB, "--url", "http://10.0.0.5:8480")

    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith("hint: say where the server is with `--url`")
    assert told.code == 0
