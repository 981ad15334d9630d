import json
import time
from pathlib import Path

from runcache.access import scopes_for
from runcache.server.auth import JobTokens
from runcache.server.keys import JOB_TOKENS, own_signing_key
from tests.cli.conftest import Runcache


def tokens_of(data: Path) -> JobTokens:
    """Return the tokens that a server with this data folder accepts."""
    key = own_signing_key(data / "signing.key")
    return JobTokens(key.derived(JOB_TOKENS), now=lambda: time.time_ns() // 1_000_000)


def test_a_job_token_grants_what_the_access_rules_say(runcache: Runcache, tmp_path: Path) -> None:
    where = ("--data", str(tmp_path / "data"), "--repo", "Octo/Hello")
    pull = ("--ref", "refs/pull/7/merge", "--base-ref", "feature", "--event", "pull_request")

    ended = runcache("token", "job", *where, *pull, "--default-branch", "trunk")

    grant = tokens_of(tmp_path / "data").grant(ended.out.strip())
    assert ended.code == 0
    assert ended.err == (
        f"made the signing key `{tmp_path / 'data' / 'signing.key'}`\n"
        "hint: only a server with the same `--data` accepts what it signs\n"
    )
    assert grant.repository == "octo/hello"
    assert grant.scopes == scopes_for(
        ref="refs/pull/7/merge", base_ref="feature", default_branch="trunk", event="pull_request"
    )


def test_a_second_token_is_of_the_same_key_and_another_job(
    runcache: Runcache, tmp_path: Path
) -> None:
    args = ("token", "job", "--data", "data", "--repo", "octo/hello", "--ref", "refs/heads/main")

    first, second = runcache(*args), runcache(*args)

    tokens = tokens_of(tmp_path / "data")
    assert second.err == ""
    assert tokens.grant(first.out.strip()).job != tokens.grant(second.out.strip()).job


def test_as_json_a_job_token_says_what_it_is_for(runcache: Runcache) -> None:
    ended = runcache(
        *("token", "job", "--repo", "Octo/Hello", "--ref", "refs/heads/x", "--data", "d", "--json")
    )

    found = json.loads(ended.out)
    assert found.pop("token").count(".") == 2
    assert found == {
        "repository": "octo/hello",
        "scopes": [
            {"scope": "refs/heads/x", "permission": "read_write"},
            {"scope": "refs/heads/main", "permission": "read"},
        ],
    }


def test_a_named_key_signs_instead_of_the_folders(runcache: Runcache, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ab" * 32)
    args = ("token", "job", "--repo", "octo/hello", "--ref", "refs/heads/main")

    ended = runcache(*args, "--data", "data", "--signing-key-file", "secret")

    assert ended.code == 0
    assert not (tmp_path / "data").exists()


def test_a_ref_or_repository_that_is_none_is_wrong_usage(runcache: Runcache) -> None:
    bad_ref = runcache("token", "job", "--data", "d", "--repo", "octo/hello", "--ref", "main")
    bad_repo = runcache("token", "job", "--data", "d", "--repo", "octo", "--ref", "refs/heads/x")

    assert (bad_ref.code, bad_repo.code) == (2, 2)
    assert bad_ref.err.startswith("error: invalid ref `main`: it is not full\nhint: ")
    assert "`octo` is not the name of a repository" in bad_repo.err
