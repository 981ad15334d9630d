"""Azure Blob REST, against recorded traffic, RFC 9110 and bodies that mean harm."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runcache.errors import InvalidBlockList, InvalidInput, MalformedMessage, RangeUnsatisfiable
from runcache.model import MAX_BLOCKS, Span
from runcache.wire import azure_blob
from runcache.wire.azure_blob import (
    ErrorCode,
    PutBlob,
    PutBlock,
    PutBlockList,
    parse_block_list,
    put_operation,
    requested_span,
)

RECORDED: Final = json.loads((Path(__file__).parent / "recorded/azure_blob.json").read_text())
BILLION_LAUGHS: Final = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [
  <!ENTITY lol "lol">
  <!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
  <!ENTITY lol2 "&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;">
]>
<BlockList><Latest>&lol2;</Latest></BlockList>"""

block_ids = st.text(
    st.characters(codec="ascii", exclude_characters="\x7f", min_codepoint=33), min_size=1
)


def test_recorded_uploads_are_told_apart() -> None:
    queries = {name: dict(parse_qsl(RECORDED[name].get("query", ""))) for name in RECORDED}

    assert put_operation(queries["put_blob"]) == PutBlob()
    assert put_operation(queries["put_block"]) == PutBlock(RECORDED["put_block"]["block_id"])
    assert put_operation(queries["put_block_list"]) == PutBlockList()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, PutBlob()),
        ({"comp": "", "timeout": "30"}, PutBlob()),
        ({"Comp": "block", "BlockId": "AAA="}, PutBlock("AAA=")),
        ({"COMP": "BlockList", "timeout": "30"}, PutBlockList()),
        ({"comp": "block", "blockid": "A" * 88}, PutBlock("A" * 88)),
    ],
)
def test_the_query_says_what_a_put_is_whatever_the_case_of_its_names(
    query: dict[str, str], expected: object
) -> None:
    assert put_operation(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"comp": "block"},
        {"comp": "block", "blockid": ""},
        {"comp": "block", "blockid": "A" * 89},
        {"comp": "block", "blockid": "A B"},
        {"comp": "block", "blockid": "A\n"},
        {"comp": "block", "blockid": "\0"},
        {"comp": "block", "blockid": "ü"},
        {"comp": "block", "blockid": "\ud800"},
        {"comp": "appendblock"},
        {"comp": "metadata"},
    ],
)
def test_a_put_that_cannot_be_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(MalformedMessage, match=r"`blockid`|`comp`"):
        put_operation(query)


def block_list(ids: list[str], kind: str = "Latest") -> bytes:
    blocks = "".join(f"<{kind}>{escape(block_id)}</{kind}>" for block_id in ids)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()


def test_a_recorded_block_list_is_the_order() -> None:
    recorded = RECORDED["put_block_list"]

    assert parse_block_list(recorded["body"].encode()) == recorded["block_ids"]


def test_all_three_kinds_of_blocks_keep_their_place() -> None:
    body = b"""<?xml version='1.0'?>
    <BlockList>
      <Uncommitted>b</Uncommitted> <!-- why not -->
      <Latest>c</Latest>
      <Committed>a</Committed>
    </BlockList>"""

    assert parse_block_list(body) == ["b", "c", "a"]


@pytest.mark.parametrize("body", [b"<BlockList/>", b"<BlockList>\n</BlockList>"])
def test_an_empty_list_makes_an_empty_blob(body: bytes) -> None:
    assert parse_block_list(body) == []


@given(ids=st.lists(block_ids, unique=True))
def test_a_block_list_is_read_back(ids: list[str]) -> None:
    assert parse_block_list(block_list(ids)) == ids


def test_the_longest_list_is_read_and_fits_the_limit() -> None:
    ids = [f"{number:088}" for number in range(MAX_BLOCKS)]
    body = block_list(ids, kind="Uncommitted").replace(b"<U", b"\n    <U")

    assert len(body) <= azure_blob.MAX_BLOCK_LIST_BYTES
    assert parse_block_list(body) == ids


def test_one_block_more_is_refused() -> None:
    body = block_list([str(number) for number in range(MAX_BLOCKS + 1)])

    with pytest.raises(InvalidBlockList, match="at most 50000 blocks"):
        parse_block_list(body)


def test_a_block_that_is_named_twice_is_refused() -> None:
    with pytest.raises(InvalidBlockList, match="each block once"):
        parse_block_list(block_list(["a", "b", "a"]))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"blocks":[]}', id="json"),
        pytest.param(b"<BlockList><Latest>a</Latest>", id="truncated"),
        pytest.param(b"<BlockList/><BlockList/>", id="two roots"),
        pytest.param(b"<Error/>", id="another root"),
        pytest.param(b"<BlockList><Oldest>a</Oldest></BlockList>", id="another kind"),
        pytest.param(b"<BlockList><Latest><b>a</b></Latest></BlockList>", id="nested"),
        pytest.param(b"<BlockList xmlns='x'/>", id="another namespace"),
        pytest.param(b"<BlockList><Latest>\x00</Latest></BlockList>", id="NUL"),
        pytest.param(b"<BlockList><Latest>&#0;</Latest></BlockList>", id="NUL as reference"),
        pytest.param(b"<BlockList><Latest>&#xd800;</Latest></BlockList>", id="lone surrogate"),
        pytest.param(b"<BlockList><Latest>\xff</Latest></BlockList>", id="invalid utf-8"),
        pytest.param(b"<BlockList><Latest>&a;</Latest></BlockList>", id="unknown entity"),
        pytest.param(b"<!DOCTYPE BlockList><BlockList/>", id="DTD"),
        pytest.param(BILLION_LAUGHS, id="billion laughs"),
        pytest.param(b"<?xml version='1.0' encoding='x'?><BlockList/>", id="unknown encoding"),
        pytest.param(b"<?xml version='1.0' encoding='utf-32'?><BlockList/>", id="wide encoding"),
        pytest.param(b"<BlockList>" * 500_000, id="deep nesting"),
    ],
)
def test_a_body_that_is_no_block_list_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_block_list(body)


@given(body=st.binary(max_size=200), prefix=st.sampled_from([b"", b"<BlockList>"]))
def test_any_bytes_are_a_block_list_or_refused(body: bytes, prefix: bytes) -> None:
    try:
        parse_block_list(prefix + body)
    except InvalidInput as refusal:
        assert str(refusal)  # noqa: PT017  # the point is that nothing else is raised


@pytest.mark.parametrize("name", ["ranged_get", "plain_ranged_get"])
def test_a_recorded_range_is_the_one_that_was_answered(name: str) -> None:
    exchange: dict[str, Any] = RECORDED[name]

    span = requested_span(exchange["headers"], exchange["size_bytes"])

    assert span is not None
    answered = f"bytes {span.start}-{span.end - 1}/{exchange['size_bytes']}"
    assert answered == exchange["content_range"]
    assert span.size_bytes == exchange["content_length"]


def test_a_recorded_plain_get_is_for_the_whole_blob() -> None:
    exchange = RECORDED["whole_get"]

    assert requested_span(exchange["headers"], exchange["size_bytes"]) is None


def test_the_range_of_azure_wins() -> None:
    headers = {"range": "bytes=0-1", "x-ms-range": "bytes=2-3"}

    assert requested_span(headers, 10) == Span(2, 4)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-9", Span(0, 10)),
        ("bytes=9-9", Span(9, 10)),
        ("bytes=5-", Span(5, 10)),
        ("bytes=-3", Span(7, 10)),
        ("BYTES=0-0", Span(0, 1)),
        ("bytes=0-10", Span(0, 10)),
        ("bytes=4-" + "9" * 30, Span(4, 10)),
        ("bytes=-11", Span(0, 10)),
        ("bytes=-" + "9" * 30, Span(0, 10)),
    ],
)
def test_a_range_is_clipped_to_the_blob(header: str, expected: Span) -> None:
    assert requested_span({"range": header}, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=3-2",
        "bytes=a-b",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1.0-2",
        "bytes=0x0-0x1",
        "bytes=\u0661-\u0662",
        "byte\u017f=0-1",
        "bytes 0-1",
        "bytes=0-1,3-4",
        "bytes=0-1, -1",
        "items=0-1",
        "bytes=0-" + "9" * 5_000,
        "bytes=0-1\x00",
        "\ud800",
    ],
)
def test_what_is_not_a_single_range_of_bytes_is_ignored(header: str) -> None:
    assert requested_span({"range": header}, 10) is None
    assert requested_span({"x-ms-range": header}, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=99-99", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(RangeUnsatisfiable) as refusal:
        requested_span({"range": header}, 10)

    assert refusal.value.size_bytes == 10


def test_an_empty_blob_has_no_first_byte() -> None:
    with pytest.raises(RangeUnsatisfiable):
        requested_span({"range": "bytes=0-0"}, 0)


def test_the_end_of_an_empty_blob_is_the_whole_of_it() -> None:
    assert requested_span({"range": "bytes=-5"}, 0) is None


@given(size=st.integers(0, 8), first=st.integers(0, 9), last=st.none() | st.integers(0, 9))
@example(size=0, first=0, last=None)
def test_a_range_selects_what_a_list_would(size: int, first: int, last: int | None) -> None:
    blob = list(range(size))
    wanted = [i for i in blob if first <= i and (last is None or i <= last)]
    header = f"bytes={first}-{'' if last is None else last}"

    try:
        span = requested_span({"range": header}, size)
    except RangeUnsatisfiable:
        selected = []
    else:
        selected = blob[span.start : span.end] if span else blob

    is_ignored = last is not None and last < first
    assert selected == (blob if is_ignored else wanted)


@given(size=st.integers(1, 8), length=st.integers(1, 9))
def test_a_suffix_selects_what_a_list_would(size: int, length: int) -> None:
    blob = list(range(size))

    span = requested_span({"range": f"bytes=-{length}"}, size)

    assert span is not None
    assert blob[span.start : span.end] == blob[-length:]


@given(header=st.text(st.characters()) | st.text("0123456789-,"), size=st.integers(0, 2**63 - 1))
def test_any_header_gives_bytes_of_the_blob_or_the_whole_or_is_refused(
    header: str, size: int
) -> None:
    for text in (header, f"bytes={header}"):
        try:
            span = requested_span({"range": text}, size)
        except RangeUnsatisfiable:
            continue
        assert span is None or 0 <= span.start < span.end <= size


def test_an_entity_tag_looks_like_azures() -> None:
    assert azure_blob.etag_of("00ff" * 8) == '"0x00FF00FF00FF00FF00FF00FF00FF00FF"'


def test_a_date_is_in_the_form_of_http() -> None:
    assert azure_blob.http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert azure_blob.http_date(1_795_303_592_999) == "Sat, 21 Nov 2026 23:26:32 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"if-match": '"0xA"'}, None),
        ({"if-match": "*"}, None),
        ({"if-match": '"0xB", "0xA"'}, None),
        ({"if-match": '"0xB"'}, 412),
        ({"if-match": ""}, 412),
        ({"if-match": 'W/"0xA"'}, 412),
        ({"if-none-match": '"0xA"'}, 304),
        ({"if-none-match": 'W/"0xA"'}, 304),
        ({"if-none-match": '"a,b","0xA"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"0xB"'}, None),
        ({"if-match": '"0xB"', "if-none-match": '"0xA"'}, 412),
        ({"if-match": '"0xA"', "if-none-match": '"0xA"'}, 304),
    ],
)
def test_preconditions_compare_entity_tags(headers: dict[str, str], expected: int | None) -> None:
    assert azure_blob.failed_precondition(headers, '"0xA"') == expected


def test_an_error_has_azures_form() -> None:
    body = azure_blob.error_body(ErrorCode.BLOB_NOT_FOUND, "the blob `a&b` <is> not there")

    assert body == (
        b'<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code>'
        b"<Message>the blob `a&amp;b` &lt;is&gt; not there</Message></Error>"
    )


@given(message=st.text(st.characters()))
@example("a ]]> & \N{PILE OF POO}")
def test_an_error_is_xml_whatever_it_quotes(message: str) -> None:
    root = ET.fromstring(azure_blob.error_body(ErrorCode.INTERNAL_ERROR, message))  # noqa: S314

    # A parser reads each line end as a line feed, and some characters do not exist in XML.
    lines = message.replace("\r\n", "\n").replace("\r", "\n")
    legible = re.sub("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", lines)
    assert root.findtext("Code") == "InternalError"
    assert root.findtext("Message") == legible


def test_a_block_list_is_read_back_in_its_order() -> None:
    ids = ["b2", "b10", "MDAwMDAw", "a=="]

    assert azure_blob.parse_block_list(azure_blob.block_list_body(ids)) == ids


def test_an_empty_block_list_is_an_empty_blob() -> None:
    assert azure_blob.parse_block_list(azure_blob.block_list_body([])) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"range": "bytes=0-0"},
        {"user-agent": "actions/cache", "x-runcache-direct": "yes"},
    ],
)
def test_who_asks_as_s3_understands_it_may_be_led_there(headers: dict[str, str]) -> None:
    assert azure_blob.may_be_led_away(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-runcache-direct": " No "},
        {"x-ms-version": "2020-10-02"},
        {"x-ms-range": "bytes=0-0"},
        {"if-match": '"tag"'},
        {"if-none-match": "*"},
        {"if-range": '"tag"', "range": "bytes=0-0"},
        {"if-modified-since": "Sat, 21 Nov 2026 23:26:46 GMT"},
    ],
)
def test_who_asks_otherwise_may_not(headers: dict[str, str]) -> None:
    assert not azure_blob.may_be_led_away(headers)
