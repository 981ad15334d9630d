"""Where a cache may be: URLs of all kinds, and none with a secret that shows."""

from pathlib import Path

import pytest

from runcache.errors import InvalidSettings
from runcache.locations import (
    Bucket,
    Folder,
    PostgresDatabase,
    SqliteFile,
    StoreLocation,
    parse_catalog,
    parse_store,
)


@pytest.mark.parametrize(
    ("text", "location", "shown"),
    [
        ("file:///srv/blobs%20and%20more", Folder(Path("/srv/blobs and more")), None),
        (
            "s3://bucket",
            Bucket("bucket", "", None, "us-east-1"),
            "s3://bucket?region=us-east-1",
        ),
        (
            "s3://bucket/some/prefix/?region=eu-west-1",
            Bucket("bucket", "some/prefix", None, "eu-west-1"),
            "s3://bucket/some/prefix?region=eu-west-1",
        ),
        (
            "s3://my.bucket-1/a%20b?endpoint=http://127.0.0.1:8333/&region=here",
            Bucket("my.bucket-1", "a b", "http://127.0.0.1:8333", "here"),
            "s3://my.bucket-1/a%20b?endpoint=http://127.0.0.1:8333&region=here",
        ),
    ],
)
def test_a_store_is_a_folder_or_a_bucket(
    text: str, location: StoreLocation, shown: str | None
) -> None:
    found = parse_store(text)

    assert found == location
    assert found.shown == (shown or text)
    assert parse_store(found.shown) == location


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3:bucket", "is not a URL such as `s3://bucket/prefix`"),
        ("s3://Bucket", "is not a URL such as"),
        ("s3://b", "is not a URL such as"),
        ("s3://bucket/a#b", "is not a URL such as"),
        ("s3://bucket?endpoint=127.0.0.1", "is not an endpoint such as"),
        ("s3://bucket?endpoint=https://s3.example.com/path", "is not an endpoint such as"),
        ("s3://bucket?region=", "`region` is empty"),
        ("s3://bucket?profile=mine", "`profile` is not one of `endpoint`, `region`"),
    ],
)
def test_a_url_that_names_no_bucket_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^`") as refusal:
        parse_store(text)

    assert why in str(refusal.value)


def test_credentials_have_no_place_in_the_url_of_a_store() -> None:
    with pytest.raises(InvalidSettings) as refusal:
        parse_store("s3://AKIA:s3cret@bucket")

    assert "s3cret" not in str(refusal.value)
    assert refusal.value.hint is not None
    assert "AWS_SECRET_ACCESS_KEY" in refusal.value.hint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://db.example.com/cache", None),
        ("postgres://me@db.example.com:5433/cache?sslmode=verify-full", None),
        ("postgresql:///cache?host=/run/postgresql", None),
        ("postgresql://a,b/cache?target_session_attrs=read-write", None),
        ("postgresql://me:s3cret@db/cache", "postgresql://me:•••@db/cache"),
        ("postgresql://me:s%2F%40%3A@[::1]:5432/cache", "postgresql://me:•••@[::1]:5432/cache"),
        ("postgresql://me:s3:c@ret@db/cache", "postgresql://me:•••@db/cache"),
    ],
)
def test_a_catalog_may_be_in_postgresql(text: str, shown: str | None) -> None:
    found = parse_catalog(text)

    assert isinstance(found, PostgresDatabase)
    assert (found.url, found.shown) == (text, shown or text)
    assert found.has_password == (shown is not None)
    assert "s3" not in repr(found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("postgresql:cache", "is not a URL such as `postgresql://"),
        ("postgresql:///cache", "is not a URL such as `postgresql://"),
        ("postgresql://db", "is not a URL such as `postgresql://"),
        ("postgresql://db/cache/more", "is not a URL such as `postgresql://"),
        ("postgresql://db/cache#more", "is not a URL such as `postgresql://"),
        ("postgresql://db/cache?password=x", "`password` is not one of `host`, `passfile`"),
        ("postgresql+asyncpg://db/cache", "is not a URL such as `sqlite:////"),
    ],
)
def test_a_url_that_names_no_database_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^`") as refusal:
        parse_catalog(text)

    assert why in str(refusal.value)


def test_a_catalog_may_be_a_file() -> None:
    found = parse_catalog("sqlite:///data/catalog.sqlite3")

    assert found == SqliteFile(Path("data/catalog.sqlite3"))
    assert found.shown == "sqlite:///data/catalog.sqlite3"
