"""Limits of GitHub's REST API, in whole days and gigabytes."""

import json
from datetime import timedelta
from typing import Final

import pytest

from runcache.errors import InvalidLimit, InvalidParameter, MalformedMessage
from runcache.wire import github_limits
from runcache.wire.github_limits import (
    RepositoryPolicy,
    RetentionLimit,
    ServerPolicy,
    SetRepositoryPolicy,
    SetRetentionLimit,
    SetStorageLimit,
    StorageLimit,
)

SETTERS: Final = {
    "max_cache_retention_days": SetRetentionLimit,
    "max_cache_size_gb": SetStorageLimit,
    "repo_cache_size_limit_in_gb": SetRepositoryPolicy,
}


@pytest.mark.parametrize(
    ("size_bytes", "gigabytes"),
    [(0, 1), (1, 1), (50_000_000, 1), (10**10, 10), (10**10 + 1, 11), (10**16, 10**7)],
)
def test_a_size_between_two_gigabytes_is_told_as_the_larger(
    size_bytes: int, gigabytes: int
) -> None:
    assert StorageLimit.of(size_bytes).max_cache_size_gb == gigabytes
    assert RepositoryPolicy.of(size_bytes).repo_cache_size_limit_in_gb == gigabytes
    assert json.loads(ServerPolicy.of(size_bytes).encode()) == {
        "repo_cache_size_limit_in_gb": gigabytes,
        "max_repo_cache_size_limit_in_gb": gigabytes,
    }


@pytest.mark.parametrize(
    ("unused_for", "days"),
    [
        (timedelta(0), 1),
        (timedelta(hours=12), 1),
        (timedelta(days=7), 7),
        (timedelta(days=7, milliseconds=1), 8),
    ],
)
def test_a_duration_between_two_days_is_told_as_the_longer(
    unused_for: timedelta, days: int
) -> None:
    assert RetentionLimit.of(unused_for).max_cache_retention_days == days


def test_what_is_set_is_told() -> None:
    retention = SetRetentionLimit.decode(b'{"max_cache_retention_days": 14, "more": null}')
    storage = SetStorageLimit.decode(b'{"max_cache_size_gb": 150}')
    policy = SetRepositoryPolicy.decode(b'{"repo_cache_size_limit_in_gb": 14}')

    assert RetentionLimit.of(retention.unused_for) == RetentionLimit(14)
    assert StorageLimit.of(storage.size_bytes) == StorageLimit(150)
    assert RepositoryPolicy.of(policy.size_bytes) == RepositoryPolicy(14)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nope", b"[" * 100_000])
@pytest.mark.parametrize("setter", SETTERS.values())
def test_what_is_no_json_is_refused(setter: type[SetStorageLimit], body: bytes) -> None:
    with pytest.raises(MalformedMessage, match="Problems parsing JSON"):
        setter.decode(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"14", b'"{}"'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match="Body should be a JSON object"):
        github_limits.object_in(body)


@pytest.mark.parametrize(("name", "setter"), SETTERS.items())
@pytest.mark.parametrize("value", ["null", '"14"', "14.5", "1e1", "true", "[14]"])
def test_what_is_no_whole_number_is_refused(
    name: str, setter: type[SetStorageLimit], value: str
) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        setter.decode(f'{{"{name}": {value}}}'.encode())

    assert (refusal.value.name, refusal.value.is_missing) == (name, False)


@pytest.mark.parametrize(("name", "setter"), SETTERS.items())
def test_a_member_that_is_missing_is_named(name: str, setter: type[SetStorageLimit]) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        setter.decode(b'{"limit": 14}')

    assert (refusal.value.name, refusal.value.is_missing) == (name, True)


@pytest.mark.parametrize(
    ("name", "maximum"),
    [
        ("max_cache_retention_days", 365),
        ("max_cache_size_gb", 10_000),
        ("repo_cache_size_limit_in_gb", 10_000),
    ],
)
def test_a_limit_is_within_githubs_bounds(name: str, maximum: int) -> None:
    for value in (1, maximum):
        SETTERS[name].decode(json.dumps({name: value}).encode())
    for value in (-1, 0, maximum + 1, 10**30):
        with pytest.raises(InvalidLimit):
            SETTERS[name].decode(json.dumps({name: value}).encode())
