"""Protocol v2, against recorded traffic and vectors that the official client computed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import MalformedMessage
from runcache.wire import twirp
from runcache.wire.twirp import (
    Codec,
    CreatedEntry,
    CreateEntry,
    FinalizedEntry,
    FinalizeEntry,
    FindEntry,
    FoundEntry,
    Method,
)

HERE: Final = Path(__file__).parent
RECORDED: Final = json.loads((HERE / "recorded" / "twirp.json").read_text())

Message = CreateEntry | CreatedEntry | FinalizeEntry | FinalizedEntry | FindEntry | FoundEntry
TYPES: Final[Mapping[str, type[Message]]] = {
    "CreateCacheEntryRequest": CreateEntry,
    "CreateCacheEntryResponse": CreatedEntry,
    "FinalizeCacheEntryUploadRequest": FinalizeEntry,
    "FinalizeCacheEntryUploadResponse": FinalizedEntry,
    "GetCacheEntryDownloadURLRequest": FindEntry,
    "GetCacheEntryDownloadURLResponse": FoundEntry,
}
REQUESTS: Final[Mapping[Method, type[Message]]] = {
    Method.CREATE: CreateEntry,
    Method.FINALIZE: FinalizeEntry,
    Method.FIND: FindEntry,
}
ANSWERS: Final[Mapping[Method, type[Message]]] = {
    Method.CREATE: CreatedEntry,
    Method.FINALIZE: FinalizedEntry,
    Method.FIND: FoundEntry,
}

valid_texts = st.text(st.characters(exclude_categories=["Cs"]))
int64s = st.integers(-(2**63), 2**63 - 1)
messages = st.one_of(
    st.builds(CreateEntry, valid_texts, valid_texts),
    st.builds(FinalizeEntry, valid_texts, valid_texts, int64s),
    st.builds(FindEntry, valid_texts, st.lists(valid_texts).map(tuple), valid_texts),
    st.builds(CreatedEntry, st.booleans(), valid_texts, valid_texts),
    st.builds(FinalizedEntry, st.booleans(), int64s, valid_texts),
    st.builds(FoundEntry, st.booleans(), valid_texts, valid_texts),
)


LINES: Final = (HERE / "vectors" / "twirp-protobuf.txt").read_text().splitlines()


def vectors() -> list[tuple[type[Message], str, bytes]]:
    """Return type, JSON and binary of the messages that the official client wrote."""
    found = []
    for shown, binary in zip(LINES[:16:2], LINES[1:16:2], strict=True):
        label, _, text = shown.strip().partition(" ")
        name = label.partition("+")[0].partition("(")[0]
        found.append((TYPES[name], text, bytes.fromhex(binary)))
    return found


def readings() -> list[tuple[str, dict[str, Any] | None]]:
    """Return JSON texts and what the official client reads in them; `None` where it refuses."""
    pairs = [line.split(" => ") for line in LINES[16:]]
    return [
        (text, None if result.startswith("ERR") else json.loads(result)) for text, result in pairs
    ]


@pytest.mark.parametrize(("kind", "text", "binary"), vectors())
def test_a_vector_says_the_same_in_json_and_in_protobuf(
    kind: type[Message], text: str, binary: bytes
) -> None:
    from_json = kind.decode(Codec.JSON, text.encode())
    from_protobuf = kind.decode(Codec.PROTOBUF, binary)

    assert from_json == from_protobuf


@pytest.mark.parametrize(
    ("kind", "text", "binary"), [vector for vector in vectors() if "metadata" not in vector[1]]
)
def test_a_message_is_written_as_the_official_client_writes_it(
    kind: type[Message], text: str, binary: bytes
) -> None:
    message = kind.decode(Codec.PROTOBUF, binary)

    shown = json.loads(message.encode(Codec.JSON))
    if not shown.get("ok"):  # we say it even where it is the default
        shown.pop("ok", None)

    assert shown == json.loads(text)
    assert message.encode(Codec.PROTOBUF) == binary


@pytest.mark.parametrize(("text", "expected"), readings())
def test_json_is_read_as_strictly_as_the_official_client_reads_it(
    text: str, expected: dict[str, Any] | None
) -> None:
    try:
        message = FinalizedEntry.decode(Codec.JSON, text.encode())
    except MalformedMessage:
        read = None
    else:
        read = {"ok": message.ok, "entryId": str(message.entry_id), "message": message.message}

    assert read == expected


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: exchange["path"])
def test_a_recorded_request_is_understood_and_written_alike(exchange: dict[str, Any]) -> None:
    method = Method(exchange["path"].removeprefix(twirp.SERVICE_PATH))
    body = exchange["body"].encode()

    message = REQUESTS[method].decode(Codec.of(exchange["content_type"]), body)

    assert json.loads(message.encode(Codec.JSON)) == json.loads(body)
    assert len(message.encode(Codec.JSON)) == exchange["content_length"]


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: exchange["path"])
def test_an_answer_that_the_client_accepted_is_written_alike(exchange: dict[str, Any]) -> None:
    method = Method(exchange["path"].removeprefix(twirp.SERVICE_PATH))
    answer = exchange["answer"]

    message = ANSWERS[method].decode(Codec.JSON, json.dumps(answer).encode())

    assert message.encode(Codec.JSON) == json.dumps(answer, separators=(",", ":")).encode()


def test_a_lookup_is_understood_in_camel_case() -> None:
    body = b'{"key":"k","restoreKeys":["a","b"],"version":"v"}'

    message = FindEntry.decode(Codec.JSON, body)

    assert message == FindEntry(key="k", restore_keys=("a", "b"), version="v")


@pytest.mark.parametrize("size", [b'"305"', b"305", b"305.0"])
def test_a_size_is_understood_as_string_and_as_number(size: bytes) -> None:
    message = FinalizeEntry.decode(
        Codec.JSON, b'{"key":"k","version":"v","size_bytes":' + size + b"}"
    )

    assert message == FinalizeEntry(key="k", version="v", size_bytes=305)


def test_null_and_absence_mean_the_default() -> None:
    nulls = b'{"metadata":null,"key":null,"restore_keys":null,"version":null}'

    assert FindEntry.decode(Codec.JSON, nulls) == FindEntry("", (), "")
    assert FindEntry.decode(Codec.JSON, b"{}") == FindEntry("", (), "")
    assert FindEntry.decode(Codec.PROTOBUF, b"") == FindEntry("", (), "")


def test_unknown_fields_are_ignored() -> None:
    deep = b'{"key":"k","version":"v","later":{"a":[1,null,{"b":2.5}]}}'

    assert CreateEntry.decode(Codec.JSON, deep) == CreateEntry("k", "v")
    assert CreateEntry.decode(
        Codec.PROTOBUF, b"\x12\x01k\x1a\x01v\x7a\x02xy\x80\x01\x05"
    ) == CreateEntry("k", "v")


@pytest.mark.parametrize("codec", Codec)
def test_the_scopes_that_a_client_claims_are_not_even_represented(codec: Codec) -> None:
    claims = (
        b'{"metadata":{"repository_id":"1","scope":[{"scope":"x","permission":"3"}]},"key":"k"}'
    )

    message = CreateEntry.decode(Codec.JSON, claims)

    assert message == CreateEntry("k", "")
    assert message.encode(codec) == CreateEntry("k", "").encode(codec)


def test_a_key_keeps_its_nul_so_that_it_can_be_refused_as_a_key() -> None:
    assert CreateEntry.decode(Codec.JSON, b'{"key":"a\\u0000b"}').key == "a\0b"
    assert CreateEntry.decode(Codec.PROTOBUF, b"\x12\x03a\x00b").key == "a\0b"


def test_a_surrogate_pair_is_one_character() -> None:
    assert CreateEntry.decode(Codec.JSON, rb'{"key":"\ud83d\ude00"}').key == "😀"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="truncated"),
        pytest.param(b"key=k", id="no json"),
        pytest.param(b'{"key":"k"} x', id="trailing"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="utf-16"),
        pytest.param(b"null", id="null"),
        pytest.param(b"5", id="number"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"key"', id="string"),
        pytest.param(b'{"key":5}', id="number as key"),
        pytest.param(b'{"key":["k"]}', id="list as key"),
        pytest.param(b'{"key":"\xff"}', id="invalid utf-8"),
        pytest.param(b'{"key":"\xed\xa0\x80"}', id="surrogate in utf-8"),
        pytest.param(rb'{"key":"\ud800"}', id="lone surrogate"),
        pytest.param(rb'{"key":"\udc00\ud800"}', id="surrogates in wrong order"),
        pytest.param(b'{"size_bytes":5.5}', id="fraction"),
        pytest.param(b'{"size_bytes":NaN}', id="not a number"),
        pytest.param(b'{"size_bytes":1e400}', id="infinite"),
        pytest.param(b'{"size_bytes":true}', id="boolean as size"),
        pytest.param(b'{"size_bytes":[]}', id="list as size"),
        pytest.param(b'{"size_bytes":"' + b"9" * 60_000 + b'"}', id="60 000 digits in a string"),
        pytest.param(b'{"size_bytes":' + b"9" * 60_000 + b"}", id="60 000 digits"),
        pytest.param(b'{"size_bytes":9223372036854775808}', id="int64 overflow"),
        pytest.param(b'{"size_bytes":"-9223372036854775809"}', id="int64 underflow"),
        pytest.param(b"[" * 60_000, id="deep lists"),
        pytest.param(b'{"a":' * 12_000 + b"1" + b"}" * 12_000, id="deep objects"),
        pytest.param(b'{"metadata":5}', id="number as metadata"),
    ],
)
def test_json_that_is_no_such_message_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match="`FinalizeCacheEntryUploadRequest`") as refusal:
        FinalizeEntry.decode(Codec.JSON, body)

    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("restore_keys", [b'"a"', b"{}", b"[1]", b"[null]"])
def test_restore_keys_are_a_list_of_strings(restore_keys: bytes) -> None:
    with pytest.raises(MalformedMessage, match="restore_keys"):
        FindEntry.decode(Codec.JSON, b'{"key":"k","restore_keys":' + restore_keys + b"}")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"key":"k"}', id="json"),
        pytest.param(b"\x12\x05k", id="truncated"),
        pytest.param(b"\x12\x01\xff", id="invalid utf-8"),
        pytest.param(b"\x12\x03\xed\xa0\x80", id="lone surrogate"),
        pytest.param(b"\x18" + b"\xff" * 11, id="int64 overflow"),
        pytest.param(b"\x0b" * 60_000, id="deep groups"),
        pytest.param(b"\x0c", id="end without a start"),
        pytest.param(b"\x00\x00", id="field number 0"),
        pytest.param(b"\x0a\x02\x08", id="broken metadata"),
    ],
)
def test_protobuf_that_is_no_such_message_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match="`application/protobuf`"):
        FinalizeEntry.decode(Codec.PROTOBUF, body)


@given(body=st.binary(max_size=200), codec=st.sampled_from(Codec))
def test_any_bytes_are_a_message_or_refused(body: bytes, codec: Codec) -> None:
    for kind in TYPES.values():
        try:
            message = kind.decode(codec, body)
        except MalformedMessage:
            continue
        assert kind.decode(codec, message.encode(codec)) == message


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["key", "version", "restoreKeys", "size_bytes", "metadata", "ok"])
                | st.text(),
                inner,
            )
        ),
    )
)
def test_any_json_is_a_message_or_refused(body: object) -> None:
    for kind in TYPES.values():
        try:
            message = kind.decode(Codec.JSON, json.dumps(body).encode())
        except MalformedMessage:
            continue
        assert kind.decode(Codec.PROTOBUF, message.encode(Codec.PROTOBUF)) == message


@given(message=messages)
def test_json_and_protobuf_carry_the_same_values(message: Message) -> None:
    for codec in Codec:
        assert type(message).decode(codec, message.encode(codec)) == message


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (FoundEntry(ok=False), b'{"ok":false}'),
        (
            FoundEntry(ok=True, signed_download_url="http://h/d?sig=a&b", matched_key="ü"),
            '{"ok":true,"signed_download_url":"http://h/d?sig=a&b","matched_key":"ü"}'.encode(),
        ),
        (
            CreatedEntry(ok=False, message="cache write denied: x"),
            b'{"ok":false,"message":"cache write denied: x"}',
        ),
        (FinalizedEntry(ok=True, entry_id=2**53 + 1), b'{"ok":true,"entry_id":"9007199254740993"}'),
    ],
)
def test_an_answer_in_json_is_compact_and_says_ok_either_way(
    answer: CreatedEntry | FinalizedEntry | FoundEntry, shown: bytes
) -> None:
    assert answer.encode(Codec.JSON) == shown


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        (None, Codec.JSON),
        ("application/json", Codec.JSON),
        ("Application/JSON; charset=utf-8", Codec.JSON),
        ("application/json;charset=utf-8", Codec.JSON),
        ("application/protobuf", Codec.PROTOBUF),
    ],
)
def test_the_content_type_chooses_the_codec(content_type: str | None, codec: Codec) -> None:
    assert Codec.of(content_type) is codec


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-protobuf", "json", ";"])
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(MalformedMessage, match="neither"):
        Codec.of(content_type)


@pytest.mark.parametrize("codec", Codec)
def test_a_codec_names_the_content_type_that_chooses_it(codec: Codec) -> None:
    assert Codec.of(codec.content_type) is codec


def test_an_error_is_json_of_code_and_text() -> None:
    body = twirp.error_body("already_exists", "there is one")

    assert body == b'{"code":"already_exists","msg":"there is one"}'


def test_an_error_carries_facts_if_there_are_any() -> None:
    body = twirp.error_body("resource_exhausted", "wait", {"seconds": "5"})

    assert json.loads(body)["meta"] == {"seconds": "5"}


@given(message=st.text(st.characters()))
def test_an_error_can_quote_any_text(message: str) -> None:
    assert json.loads(twirp.error_body("malformed", message))["msg"] == message


def test_every_error_code_is_sent_as_an_error_status() -> None:
    assert {status for status in twirp.TWIRP_STATUS.values() if not 400 <= status < 600} == set()
    assert twirp.TWIRP_STATUS["already_exists"] == 409
    assert len(twirp.TWIRP_STATUS) == 18


def test_the_longest_lookup_fits_the_limit() -> None:
    keys = tuple("\x01" * 512 for _ in range(10))
    longest = FindEntry(keys[0], keys, "\x01" * 512)

    assert len(longest.encode(Codec.JSON)) <= twirp.MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"code":"not_found","msg":"no entry"}', ("not_found", "no entry")),
        (b'{"message":"Not Found"}', ("", "Not Found")),
        (b'{"code":null}', ("", "")),
        (b"[]", ("", "")),
        (b"<html>", ("", "")),
        (b"", ("", "")),
    ],
)
def test_the_error_in_an_answer_is_read_whoever_wrote_it(
    body: bytes, expected: tuple[str, str]
) -> None:
    assert twirp.error_in(body) == expected
