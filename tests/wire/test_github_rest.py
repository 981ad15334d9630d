"""The bodies of GitHub's REST API."""

import json
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import InvalidInput, InvalidParameter
from runcache.model import ApiToken, Entry, Usage
from runcache.wire import github_rest
from runcache.wire.github_rest import CacheList, ListedCache, Rate, RepositoryUsage

ENTRY: Final = Entry(
    id=505,
    repository="octo/hello",
    scope="refs/heads/main",
    key="npm-1",
    version="73885106f58cc52a7df9ec4d4a5622a5614813162cb516c759a30af6bf56e6f0",
    size_bytes=1024,
    created_at=1_656_640_344_083,
    last_accessed_at=1_656_640_345_520,
)


def token(*, owners: tuple[str, ...] = (), **rights: bool) -> ApiToken:
    allowed = {"can_write": False, "is_admin": False} | rights
    return ApiToken(id="1", repositories=(), owners=owners, created_at=0, expires_at=1, **allowed)


def test_an_entry_has_the_members_and_the_order_of_githubs_answers() -> None:
    body = CacheList(1, (ListedCache.of(ENTRY),)).encode()

    assert json.dumps(json.loads(body), indent=2) == json.dumps(
        {
            "total_count": 1,
            "actions_caches": [
                {
                    "id": 505,
                    "ref": "refs/heads/main",
                    "key": "npm-1",
                    "version": ENTRY.version,
                    "last_accessed_at": "2022-07-01T01:52:25.520000000Z",
                    "created_at": "2022-07-01T01:52:24.083000000Z",
                    "size_in_bytes": 1024,
                }
            ],
        },
        indent=2,
    )


@given(milliseconds=st.integers(min_value=0, max_value=4_102_444_800_000))
def test_a_time_is_told_to_the_millisecond(milliseconds: int) -> None:
    text = github_rest.timestamp(milliseconds)

    moment = datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC)
    assert round(moment.timestamp() * 1000) == milliseconds
    assert text[26:] == "000Z"


def test_usage_has_exactly_the_documented_members() -> None:
    usage = Usage(repository="octo/hello", entry_count=3, size_bytes=2**40)

    assert json.loads(RepositoryUsage.of(usage).encode()) == {
        "full_name": "octo/hello",
        "active_caches_size_in_bytes": 2**40,
        "active_caches_count": 3,
    }


def test_nobody_has_used_any_of_a_rate() -> None:
    rate = Rate.at(7300)

    assert rate.remaining == rate.limit > 0
    assert rate.headers == {
        "X-RateLimit-Limit": str(rate.limit),
        "X-RateLimit-Remaining": str(rate.limit),
        "X-RateLimit-Used": "0",
        "X-RateLimit-Reset": "10800",
        "X-RateLimit-Resource": "core",
    }


def test_the_status_of_an_error_is_a_string() -> None:
    assert json.loads(github_rest.error_body(404, "Not Found")) == {
        "message": "Not Found",
        "documentation_url": "https://docs.github.com/rest/actions/cache",
        "status": "404",
    }


@given(message=st.text(st.characters()))
def test_an_error_can_quote_any_text(message: str) -> None:
    assert json.loads(github_rest.error_body(400, message))["message"] == message


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            InvalidParameter("key", "is missing", is_missing=True),
            {"resource": "ActionsCache", "field": "key", "code": "missing_field"},
        ),
        (
            InvalidParameter("sort", "is odd"),
            {
                "resource": "ActionsCache",
                "field": "sort",
                "code": "invalid",
                "message": "`sort` is odd",
            },
        ),
    ],
)
def test_an_error_about_a_parameter_names_it(
    error: InvalidParameter, problem: dict[str, str]
) -> None:
    body = github_rest.error_body(422, "Validation Failed", github_rest.problem_of(error))

    assert json.loads(body)["errors"] == [problem]


def test_another_error_is_about_no_parameter() -> None:
    assert github_rest.problem_of(InvalidInput("odd")) is None


@pytest.mark.parametrize(
    ("holder", "scopes"),
    [
        (token(), "read:org, repo"),
        (token(can_write=True), "admin:repository, read:org, repo"),
        (
            token(can_write=True, owners=("octo",)),
            "admin:organization, admin:repository, read:org, repo",
        ),
        (token(is_admin=True), "admin:enterprise, read:org, repo"),
    ],
)
def test_every_token_has_the_scopes_that_gh_logs_in_with(holder: ApiToken, scopes: str) -> None:
    assert github_rest.scopes_of(holder) == scopes
