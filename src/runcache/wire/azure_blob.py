"""The part of Azure Blob REST that clients use on signed links (protocol §4, §5).

Headers and queries come in as mappings; header names are looked up in lower case, so a mapping that
minds case must hold them so.
"""

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum
from typing import Final, Literal

from defusedxml.ElementTree import ParseError, XMLParser

from runcache.errors import InvalidBlockList, MalformedMessage, RangeUnsatisfiable
from runcache.model import MAX_BLOCKS, Span

BLOB_TYPE: Final = "x-ms-blob-type"
CLIENT_REQUEST_ID: Final = "x-ms-client-request-id"
ERROR_CODE: Final = "x-ms-error-code"
RANGE: Final = "x-ms-range"
REQUEST_ID: Final = "x-ms-request-id"
"""A header of every answer: Go clients crash without it (protocol §4.3)."""
SERVER_ENCRYPTED: Final = "x-ms-request-server-encrypted"
VERSION: Final = "x-ms-version"
DIRECT: Final = "x-runcache-direct"
"""A header of a GET that asks, with `no`, for the bytes themselves."""

LINK_EXPIRY: Final = "se"
LINK_PERMISSION: Final = "sp"
LINK_RESOURCE: Final = "sr"
LINK_SIGNATURE: Final = "sig"

# Azure takes up to 64 bytes, which are 88 characters in base64; buildx uses them all.
MAX_BLOCK_ID_LENGTH: Final = 88

# The longest id within `<Uncommitted></Uncommitted>` has 115 bytes. The rest is for indentation and
# line breaks and, taken over the whole list, for its frame.
MAX_BLOCK_LIST_BYTES: Final = MAX_BLOCKS * (MAX_BLOCK_ID_LENGTH + 40)

# Clients choose the ids and nobody decodes them; the catalog must be able to hold them.
_BLOCK_ID: Final = re.compile(rf"[!-~]{{1,{MAX_BLOCK_ID_LENGTH}}}")
_CONDITIONS: Final = (
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
)
_BLOCK_KINDS: Final = frozenset({"Latest", "Uncommitted", "Committed"})
# Numbers of 100 digits are beyond every blob; int() would refuse those of more than 4300.
_BYTE_RANGE: Final = re.compile(
    r"bytes=(?:([0-9]{1,100})-([0-9]{0,100})|-([0-9]{1,100}))", re.ASCII | re.IGNORECASE
)
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class ErrorCode(StrEnum):
    """The error codes of Azure that we answer with."""

    AUTHENTICATION_FAILED = "AuthenticationFailed"
    BLOB_ALREADY_EXISTS = "BlobAlreadyExists"
    BLOB_NOT_FOUND = "BlobNotFound"
    CONDITION_NOT_MET = "ConditionNotMet"
    INSUFFICIENT_STORAGE = "InsufficientStorage"
    INTERNAL_ERROR = "InternalError"
    INVALID_BLOCK_LIST = "InvalidBlockList"
    INVALID_INPUT = "InvalidInput"
    INVALID_QUERY_PARAMETER_VALUE = "InvalidQueryParameterValue"
    INVALID_RANGE = "InvalidRange"
    INVALID_XML_DOCUMENT = "InvalidXmlDocument"
    REQUEST_BODY_TOO_LARGE = "RequestBodyTooLarge"
    SERVER_BUSY = "ServerBusy"


@dataclass(frozen=True, slots=True)
class PutBlob:
    """The body is the whole blob."""


@dataclass(frozen=True, slots=True)
class PutBlock:
    """The body is one block; the same id again replaces it."""

    block_id: str


@dataclass(frozen=True, slots=True)
class PutBlockList:
    """The body says which blocks make the blob, in order."""


def put_operation(query: Mapping[str, str]) -> PutBlob | PutBlock | PutBlockList:
    """Say what a PUT is for; parameters of other meaning are ignored (protocol §4.2).

    Raises:
        MalformedMessage: an unknown `comp`, or a `blockid` that is absent, empty, too long or not
            printable ASCII. Azure calls this `InvalidQueryParameterValue`.
    """
    parameters = {name.lower(): value for name, value in query.items()}
    operation = parameters.get("comp", "").lower()
    if operation == "":
        return PutBlob()
    if operation == "blocklist":
        return PutBlockList()
    if operation != "block":
        raise MalformedMessage("`comp` is neither `block` nor `blocklist`")
    block_id = parameters.get("blockid", "")
    if not _BLOCK_ID.fullmatch(block_id):
        raise MalformedMessage(
            f"`blockid` is not 1 to {MAX_BLOCK_ID_LENGTH} printable ASCII characters"
        )
    return PutBlock(block_id)


class _BlockListReader:
    """Takes the events of the XML parser and refuses at once what no block list holds.

    So a hostile body costs no more memory than a long list: no tree is ever built.
    """

    def __init__(self) -> None:
        self.block_ids: list[str] = []
        self._text: list[str] = []
        self._depth = 0

    def start(self, tag: str, _attributes: Mapping[str, str]) -> None:
        self._depth += 1
        is_expected = tag == "BlockList" if self._depth == 1 else tag in _BLOCK_KINDS
        if self._depth > 2 or not is_expected:  # noqa: PLR2004  # a list, and ids in it
            raise MalformedMessage("the body is not a block list")
        self._text.clear()

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, _tag: str) -> None:
        self._depth -= 1
        if self._depth == 1:
            self.block_ids.append("".join(self._text))
        if len(self.block_ids) > MAX_BLOCKS:
            raise InvalidBlockList(f"a blob has at most {MAX_BLOCKS} blocks")


def parse_block_list(body: bytes) -> list[str]:
    """Return the block ids of a Put Block List in the order of the blob.

    `Latest`, `Uncommitted` and `Committed` mean the same here, where a blob is committed only once.

    Raises:
        MalformedMessage: `body` is not XML, holds a DTD or is another document.
        InvalidBlockList: it names a block twice, or more than 50 000.
    """
    reader = _BlockListReader()
    parser = XMLParser(target=reader, forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
    except (ParseError, ValueError, LookupError) as error:
        # A DTD is a ValueError; strange encodings are both of the last two.
        raise MalformedMessage(f"the body is not XML of an accepted kind: {error}") from error
    if len(set(reader.block_ids)) != len(reader.block_ids):
        raise InvalidBlockList("a block list names each block once")
    return reader.block_ids


def block_list_body(block_ids: Iterable[str]) -> bytes:
    """Return the body of a Put Block List; the ids are letters, digits and what base64 adds."""
    declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    listed = "".join(f"<Latest>{block_id}</Latest>" for block_id in block_ids)
    return f"{declaration}<BlockList>{listed}</BlockList>".encode("ascii")


def requested_span(headers: Mapping[str, str], size_bytes: int) -> Span | None:
    """Return the bytes that a GET asks for, or `None` for the whole blob.

    `x-ms-range` wins over `Range`. Whatever is not a single range of bytes is ignored, as RFC 9110
    wants it, and so is a suffix of an empty blob, which no `Content-Range` could describe.

    Raises:
        RangeUnsatisfiable: the range begins behind the end, or is a suffix without length.
    """
    header = headers.get(RANGE) or headers.get("range") or ""
    found = _BYTE_RANGE.fullmatch(header.strip())
    if found is None:
        return None
    first, last, suffix = found.groups()
    if (last and int(last) < int(first)) or (suffix and not size_bytes):
        return None
    start = int(first) if first else max(0, size_bytes - int(suffix))
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    if start >= size_bytes:
        raise RangeUnsatisfiable(size_bytes)
    return Span(start, end)


def etag_of(blob_name: str) -> str:
    """Return the entity tag of a blob, in quotes; its name tells it from all that ever were."""
    return f'"0x{blob_name.upper()}"'


def http_date(milliseconds: int) -> str:
    """Return a time since 1970 as `Last-Modified` and `Date` have it."""
    return formatdate(milliseconds // 1000, usegmt=True)


def failed_precondition(headers: Mapping[str, str], etag: str) -> Literal[304, 412] | None:
    """Return the status of a request whose `If-Match` or `If-None-Match` fails, or `None`.

    412: the blob is not the one that the client began to read. 304: the client has it already.
    """
    wanted = headers.get("if-match")
    if wanted is not None and not {"*", etag} & set(_tags(wanted)):
        return 412
    known = headers.get("if-none-match")
    if known is not None and {"*", etag, f"W/{etag}"} & set(_tags(known)):
        return 304
    return None


def may_be_led_away(headers: Mapping[str, str]) -> bool:
    """Say whether a GET would be understood by a store that speaks S3, too.

    Azure's clients ask for ranges in a manner of their own: S3 would answer with the whole blob.
    Others name a tag that they had from us, or ask not to be led away.
    """
    if headers.get(DIRECT, "").strip().lower() == "no":
        return False
    return not any(name in headers for name in (VERSION, RANGE, *_CONDITIONS))


def _tags(header: str) -> list[str]:
    # A tag with a comma in it falls apart, but none of its parts can equal a tag of ours.
    return [tag.strip() for tag in header.split(",")]


def error_body(code: ErrorCode, message: str) -> bytes:
    """Return the body of an error; clients show its `message` (protocol §4.3)."""
    text = html.escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", message), quote=False)
    declaration = '<?xml version="1.0" encoding="utf-8"?>'
    return f"{declaration}<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
