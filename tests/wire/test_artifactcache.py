"""Protocol v1, against recorded traffic."""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import InvalidRange, MalformedMessage
from runcache.model import Entry
from runcache.wire import artifactcache
from runcache.wire.artifactcache import (
    ChunkRange,
    Commit,
    Failed,
    FoundArchive,
    Lookup,
    Reserve,
    Reserved,
)

RECORDED: Final = json.loads((Path(__file__).parent / "recorded/artifactcache.json").read_text())
ENTRY: Final = Entry(
    id=7,
    repository="o/r",
    scope="refs/heads/main",
    key="npm-ü",
    version="v",
    size_bytes=305,
    created_at=1_696_358_652_270,
    last_accessed_at=1_696_358_652_270,
)


def test_a_recorded_lookup_names_its_keys_in_order() -> None:
    query = dict(parse_qsl(RECORDED["lookup"]["query"]))

    lookup = Lookup.parse(query)

    assert lookup.keys == ("k-mid", "a b/ü+")
    assert lookup.version == "c5903b8f9a6d44a6f5f91c827a700bd2612524ddcab5d36abe68875346c2d597"


def test_a_lookup_is_written_as_the_official_client_writes_it() -> None:
    query = RECORDED["lookup"]["query"]

    assert Lookup.parse(dict(parse_qsl(query))).encode() == query


@given(
    keys=st.lists(st.text(st.characters(codec="utf-8", exclude_characters=",")), min_size=1),
    version=st.text(st.characters(codec="utf-8")),
)
def test_a_lookup_is_read_back(keys: list[str], version: str) -> None:
    lookup = Lookup(tuple(keys), version)

    assert Lookup.parse(dict(parse_qsl(lookup.encode(), keep_blank_values=True))) == lookup


def test_an_empty_key_stays_where_it_is_so_that_it_can_be_refused_as_a_key() -> None:
    assert Lookup.parse({"keys": "a,,b", "version": "v"}).keys == ("a", "", "b")


@pytest.mark.parametrize("query", [{}, {"keys": "a"}, {"version": "v"}, {"key": "a"}])
def test_a_lookup_without_keys_or_version_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(MalformedMessage, match="`keys` and `version`"):
        Lookup.parse(query)


def test_a_recorded_reservation_is_understood() -> None:
    wanted = Reserve.decode(RECORDED["reserve"]["body"].encode())

    assert wanted == Reserve(
        key="k-mid",
        version="c5903b8f9a6d44a6f5f91c827a700bd2612524ddcab5d36abe68875346c2d597",
        size_bytes=100_003_011,
    )


@pytest.mark.parametrize("rest", [b"", b',"cacheSize":null', b',"later":{"a":[1]}'])
def test_a_reservation_may_leave_the_size_open(rest: bytes) -> None:
    wanted = Reserve.decode(b'{"key":"k","version":"v"' + rest + b"}")

    assert wanted == Reserve(key="k", version="v", size_bytes=None)


def test_a_recorded_commit_is_understood() -> None:
    assert Commit.decode(RECORDED["commit"]["body"].encode()) == Commit(size_bytes=100_003_011)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"key":"k"', id="truncated"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(b'{"key":"k"}', id="no version"),
        pytest.param(b'{"key":null,"version":"v"}', id="null as key"),
        pytest.param(b'{"key":5,"version":"v"}', id="number as key"),
        pytest.param(rb'{"key":"\ud800","version":"v"}', id="lone surrogate"),
        pytest.param(b'{"key":"\xed\xa0\x80","version":"v"}', id="surrogate in utf-8"),
        pytest.param(b'{"key":"k","version":"v","cacheSize":"5"}', id="string as size"),
        pytest.param(b'{"key":"k","version":"v","cacheSize":-1}', id="negative size"),
        pytest.param(b'{"key":"k","version":"v","cacheSize":1.5}', id="fraction"),
        pytest.param(b'{"key":"k","version":"v","cacheSize":9223372036854775808}', id="overflow"),
        pytest.param(b'{"key":"k","version":"v","cacheSize":' + b"9" * 60_000 + b"}", id="digits"),
        pytest.param(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", id="deep lists"),
        pytest.param(b'{"a":' * 12_000 + b"1" + b"}" * 12_000, id="deep objects"),
    ],
)
def test_a_body_that_is_no_reservation_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match="the body cannot be read: ") as refusal:
        Reserve.decode(body)

    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("body", [b"{}", b'{"size":null}', b'{"size":"1"}', b'{"size":-1}', b"1"])
def test_a_body_that_is_no_commit_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Commit.decode(body)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_body_or_refused(body: bytes) -> None:
    for kind in (Reserve, Commit):
        try:
            kind.decode(body)
        except MalformedMessage:
            continue


def test_a_recorded_chunk_says_where_it_lies() -> None:
    chunk: dict[str, Any] = RECORDED["chunk"]

    found = ChunkRange.parse(chunk["content_range"])

    assert found == ChunkRange(start=67_108_864, end_exclusive=100_003_011)
    assert found.end_exclusive - found.start == chunk["body_length"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-0/*", ChunkRange(0, 1)),
        ("bytes 0-0/1", ChunkRange(0, 1)),
        (" bytes 5-9/10 ", ChunkRange(5, 10)),
        ("bytes 0-9223372036854775806/*", ChunkRange(0, 2**63 - 1)),
    ],
)
def test_a_chunk_range_includes_its_last_byte(header: str, expected: ChunkRange) -> None:
    assert ChunkRange.parse(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes 0-/*",
        "bytes -5/*",
        "bytes */10",
        "bytes 9-8/*",
        "bytes 0-10/10",
        "bytes 0-1",
        "bytes 0-1/x",
        "bytes=0-1/*",
        "items 0-1/*",
        "bytes +1-2/*",
        "bytes \u0661-\u0662/*",
        "bytes 0-9223372036854775807/*",
        "bytes 0-" + "9" * 5_000 + "/*",
        "bytes 0-1/*, bytes 2-3/*",
    ],
)
def test_a_header_that_is_no_chunk_range_is_refused(header: str | None) -> None:
    with pytest.raises(InvalidRange):
        ChunkRange.parse(header)


@given(start=st.integers(0, 2**40), size=st.integers(1, 2**40), is_total_known=st.booleans())
def test_a_chunk_range_is_read_back(start: int, size: int, *, is_total_known: bool) -> None:
    total = start + size if is_total_known else "*"

    found = ChunkRange.parse(f"bytes {start}-{start + size - 1}/{total}")

    assert found == ChunkRange(start, start + size)


@given(header=st.text(st.characters()) | st.text("bytes 0123456789-/*"))
def test_any_header_is_a_chunk_range_or_refused(header: str) -> None:
    for text in (header, f"bytes {header}", f"bytes {header}/*"):
        try:
            found = ChunkRange.parse(text)
        except InvalidRange:
            continue
        assert 0 <= found.start < found.end_exclusive < 2**63


def test_a_chunk_range_is_written_as_the_official_client_writes_it() -> None:
    header = RECORDED["chunk"]["content_range"]

    assert str(ChunkRange.parse(header)) == header


def test_a_hit_is_read_back() -> None:
    body = artifactcache.found_body(ENTRY, archive_location="http://x/y?sig=z")

    assert FoundArchive.decode(body) == FoundArchive("npm-ü", "http://x/y?sig=z", "refs/heads/main")


def test_a_reservation_and_its_answer_are_read_back() -> None:
    assert Reserve.decode(Reserve("k", "v").encode()) == Reserve("k", "v")
    assert json.loads(Reserve("k", "v").encode()) == {"key": "k", "version": "v"}
    assert Reserved.decode(artifactcache.reserved_body(7)).cache_id == 7
    with pytest.raises(MalformedMessage):
        Reserved.decode(artifactcache.reserved_body(0))


def test_an_error_is_read_back() -> None:
    assert Failed.decode(artifactcache.error_body("no room")).message == "no room"
    assert Failed.decode(b"{}").message == ""


def test_a_hit_says_what_was_found_and_where() -> None:
    body = artifactcache.found_body(ENTRY, archive_location="http://h/d?sig=a&b")

    assert json.loads(body) == {
        "scope": "refs/heads/main",
        "cacheKey": "npm-ü",
        "cacheVersion": "v",
        "creationTime": "2023-10-03T18:44:12.270Z",
        "archiveLocation": "http://h/d?sig=a&b",
    }


def test_a_list_counts_and_describes_without_links() -> None:
    body = artifactcache.list_body([ENTRY])

    assert json.loads(body) == {
        "totalCount": 1,
        "artifactCaches": [
            {
                "scope": "refs/heads/main",
                "cacheKey": "npm-ü",
                "cacheVersion": "v",
                "creationTime": "2023-10-03T18:44:12.270Z",
            }
        ],
    }
    assert artifactcache.list_body([]) == b'{"totalCount":0,"artifactCaches":[]}'


def test_a_reservation_is_answered_with_its_number() -> None:
    assert artifactcache.reserved_body(1003) == b'{"cacheId":1003}'


def test_a_conflict_is_told_in_the_hosted_services_words() -> None:
    body = artifactcache.conflict_body(scope="refs/heads/main", key="k", version="v")

    assert json.loads(body) == {
        "message": "Cache already exists. Scope: refs/heads/main, Key: k, Version: v",
        "typeKey": "ArtifactCacheItemAlreadyExistsException",
    }


@given(message=st.text(st.characters()))
def test_an_error_can_quote_any_text(message: str) -> None:
    assert json.loads(artifactcache.error_body(message)) == {"message": message}
