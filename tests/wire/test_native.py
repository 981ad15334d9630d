"""The messages of the native protocol, as both ends read and write them."""

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import MalformedMessage
from runcache.model import MAX_PACKS, MatchKind, PackName
from runcache.wire import native
from runcache.wire.json_messages import JsonMessage
from runcache.wire.native import (
    Announce,
    Arrived,
    Base,
    BlobLink,
    Commit,
    Committed,
    Digests,
    Error,
    Find,
    Found,
    Links,
    Missed,
    ReportDamage,
    Reserve,
    Reserved,
    UploadLink,
)

MANIFEST: Final = BlobLink("manifest", 812, "http://127.0.0.1:8480/m")
PACK: Final = BlobLink("17-0", 33_554_432, "http://127.0.0.1:8480/p")
FOUND: Final = Found(
    hit=True,
    entry_id=17,
    key="npm-ü",
    kind=MatchKind.RESTORE_KEY,
    scope="refs/heads/main",
    version="v",
    size_bytes=33_555_244,
    created_at=1_696_358_652_270,
    blobs=(MANIFEST, PACK),
)

EXAMPLES: Final[tuple[tuple[JsonMessage, str], ...]] = (
    (Find("k", ("s", "a")), '{"key":"k","versions":["s","a"]}'),
    (
        Find("k", ("s",), ("k-", ""), peek=True),
        '{"key":"k","versions":["s"],"restore_keys":["k-",""],"peek":true}',
    ),
    (Missed(hit=False), '{"hit":false}'),
    (
        FOUND,
        (
            '{"hit":true,"entry_id":17,"key":"npm-ü","kind":"restore_key","scope":"refs/heads/main",'
            '"version":"v","size_bytes":33555244,"created_at":1696358652270,"blobs":['
            '{"name":"manifest","size_bytes":812,"url":"http://127.0.0.1:8480/m"},'
            '{"name":"17-0","size_bytes":33554432,"url":"http://127.0.0.1:8480/p"}]}'
        ),
    ),
    (
        Links((BlobLink("17-1", 9, "http://127.0.0.1:8480/p", "http://s3/p?X-Amz-Signature=1"),)),
        (
            '{"blobs":[{"name":"17-1","size_bytes":9,"url":"http://127.0.0.1:8480/p",'
            '"direct_url":"http://s3/p?X-Amz-Signature=1"}]}'
        ),
    ),
    (Links(()), '{"blobs":[]}'),
    (Reserve("k", "s"), '{"key":"k","version":"s"}'),
    (Reserve("k", "s", "auto"), '{"key":"k","version":"s","bases":"auto"}'),
    (Reserve("k", "s", (3, 5)), '{"key":"k","version":"s","bases":[3,5]}'),
    (Reserved(18, ()), '{"upload_id":18,"bases":[]}'),
    (
        Reserved(18, (Base(17, (PACK,)),)),
        (
            '{"upload_id":18,"bases":[{"entry_id":17,"blobs":['
            '{"name":"17-0","size_bytes":33554432,"url":"http://127.0.0.1:8480/p"}]}]}'
        ),
    ),
    (Reserved(18, (), direct=True), '{"upload_id":18,"bases":[],"direct":true}'),
    (Announce(5, "a" * 64), f'{{"size_bytes":5,"sha256":"{"a" * 64}"}}'),
    (
        UploadLink("https://s3.example.com/o?X", {"x-amz-checksum-sha256": "3q0="}),
        '{"url":"https://s3.example.com/o?X","headers":{"x-amz-checksum-sha256":"3q0="}}',
    ),
    (Arrived("a" * 64), f'{{"sha256":"{"a" * 64}"}}'),
    (Commit(("18-0", "17-0")), '{"packs":["18-0","17-0"]}'),
    (
        Committed(18, 33_555_300, created=True),
        '{"entry_id":18,"size_bytes":33555300,"created":true}',
    ),
    (ReportDamage("chunk 7 differs"), '{"reason":"chunk 7 differs"}'),
    (Error("not_found", "there is none"), '{"code":"not_found","message":"there is none"}'),
    (
        Error("too_large", "it is", "cache less"),
        '{"code":"too_large","message":"it is","hint":"cache less"}',
    ),
)


@pytest.mark.parametrize(("message", "text"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_a_message_is_written_and_read_alike(message: JsonMessage, text: str) -> None:
    assert message.encode().decode() == text
    assert type(message).decode(text.encode()) == message


@pytest.mark.parametrize(("message", "text"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_members_of_a_later_release_are_ignored(message: JsonMessage, text: str) -> None:
    later = json.dumps(json.loads(text) | {"later": {"a": [1]}})

    assert type(message).decode(later.encode()) == message


def test_a_lookup_is_answered_with_an_entry_or_with_none() -> None:
    assert native.decode_found(FOUND.encode()) == FOUND
    assert native.decode_found(Missed(hit=False).encode()) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"hit":true}', b"<html>", b'{"hit":"yes"}'])
def test_what_is_no_answer_to_a_lookup_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        native.decode_found(body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Find, b'{"key":"k"}'),
        (Find, b'{"key":"k","versions":[]}'),
        (Find, b'{"key":"k","versions":["1","2","3","4","5"]}'),
        (Find, b'{"key":5,"versions":["v"]}'),
        (Find, b'{"key":"k","versions":["v"],"restore_keys":"k-"}'),
        (Reserve, b'{"key":"k","version":"v","bases":"newest"}'),
        (Reserve, b'{"key":"k","version":"v","bases":[1,2,3,4,5,6,7,8,9]}'),
        (Reserve, b'{"key":"k","version":"v","bases":[-1]}'),
        (Reserve, b'{"key":"k","version":"v","bases":[9223372036854775808]}'),
        (Reserve, b'{"key":"k","version":"v","bases":[1.5]}'),
        (ReportDamage, b'{"reason":"' + b"x" * 501 + b'"}'),
        (Commit, b'{"packs":"17-0"}'),
        (Commit, b'{"packs":["17-0"]'),
        (Commit, b"[" * 100_000),
    ],
)
def test_what_is_no_message_is_malformed(kind: type[JsonMessage], body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        kind.decode(body)


def test_a_commit_names_packs() -> None:
    assert Commit(("17-0", "18-999999")).names == (PackName(17, 0), PackName(18, 999_999))
    with pytest.raises(MalformedMessage):
        _ = Commit(("17-0", "manifest")).names


def test_the_longest_commit_fits() -> None:
    packs = tuple(f"{10**18 - 1}-{999_999 - number}" for number in range(MAX_PACKS))

    assert len(Commit(packs).encode()) <= native.MAX_BODY_BYTES


@given(message=st.text(st.characters()), hint=st.none() | st.text(st.characters()))
def test_an_error_can_quote_any_text(message: str, hint: str | None) -> None:
    body = Error("internal", message, hint).encode()

    body.decode("ascii")
    assert json.loads(body)["message"] == message
    assert json.loads(body).get("hint") == hint


def test_digests_come_in_headers_of_their_own() -> None:
    digests = Digests(bytes(range(32)), bytes(range(32, 64)))

    assert digests.headers == {
        "X-Runcache-BLAKE3": bytes(range(32)).hex(),
        "X-Runcache-SHA256": bytes(range(32, 64)).hex(),
    }
    assert Digests.of(digests.headers) == digests
    upper = {name: value.upper() for name, value in digests.headers.items()}
    assert Digests.of(upper) == digests


@pytest.mark.parametrize("value", [None, "", "a" * 63, "a" * 65, "g" * 64, "\u0661" * 64])
@pytest.mark.parametrize("name", [native.BLAKE3_HEADER, native.SHA256_HEADER])
def test_a_digest_that_is_none_is_malformed(name: str, value: str | None) -> None:
    headers = Digests(bytes(32), bytes(32)).headers
    if value is None:
        del headers[name]
    else:
        headers[name] = value

    with pytest.raises(MalformedMessage, match=name):
        Digests.of(headers)
