"""Protocol v2: the Twirp service that current clients call, in JSON and in protobuf (protocol §2).

A client chooses the codec by its content type and is answered in the same one; errors are always
JSON. `metadata` is part of the messages but never read: what a job may touch is in its token alone.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from enum import Enum, StrEnum
from functools import cache
from typing import ClassVar, Final, Self

import msgspec
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from runcache.errors import MalformedMessage

SERVICE_PATH: Final = "/twirp/github.actions.results.api.v1.CacheService/"

# The longest requests have ten keys of 512 characters, each of which JSON may escape to 6 bytes.
MAX_BODY_BYTES: Final = 64 * 1024

TWIRP_STATUS: Final[Mapping[str, int]] = {
    "canceled": 408,
    "invalid_argument": 400,
    "malformed": 400,
    "out_of_range": 400,
    "deadline_exceeded": 408,
    "not_found": 404,
    "bad_route": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "failed_precondition": 412,
    "aborted": 409,
    "unimplemented": 501,
    "internal": 500,
    "unknown": 500,
    "dataloss": 500,
    "unavailable": 503,
}
"""Every error code of Twirp and the HTTP status it is sent with (protocol §2.3)."""

_PACKAGE: Final = "github.actions.results.api.v1"

# Field numbers of protocol §2.1. Mind `version`: 3 when an entry is created, 4 elsewhere.
_MESSAGES: Final[Mapping[str, tuple[tuple[int, str, str], ...]]] = {
    "CacheScope": (
        (1, "scope", "string"),
        (2, "permission", "int64"),
    ),
    "CacheMetadata": (
        (1, "repository_id", "int64"),
        (2, "scope", "repeated CacheScope"),
    ),
    "CreateCacheEntryRequest": (
        (1, "metadata", "CacheMetadata"),
        (2, "key", "string"),
        (3, "version", "string"),
    ),
    "CreateCacheEntryResponse": (
        (1, "ok", "bool"),
        (2, "signed_upload_url", "string"),
        (3, "message", "string"),
    ),
    "FinalizeCacheEntryUploadRequest": (
        (1, "metadata", "CacheMetadata"),
        (2, "key", "string"),
        (3, "size_bytes", "int64"),
        (4, "version", "string"),
    ),
    "FinalizeCacheEntryUploadResponse": (
        (1, "ok", "bool"),
        (2, "entry_id", "int64"),
        (3, "message", "string"),
    ),
    "GetCacheEntryDownloadURLRequest": (
        (1, "metadata", "CacheMetadata"),
        (2, "key", "string"),
        (3, "restore_keys", "repeated string"),
        (4, "version", "string"),
    ),
    "GetCacheEntryDownloadURLResponse": (
        (1, "ok", "bool"),
        (2, "signed_download_url", "string"),
        (3, "matched_key", "string"),
    ),
}

_SCALARS: Final = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
}

# What json_format says may quote the client's own text: enough to see what is meant.
_REASON_LENGTH: Final = 200


def _field(number: int, name: str, kind: str) -> FieldDescriptorProto:
    element = kind.removeprefix("repeated ")
    field = FieldDescriptorProto(name=name, number=number)
    field.label = field.LABEL_OPTIONAL if element == kind else field.LABEL_REPEATED
    if element in _SCALARS:
        field.type = _SCALARS[element]
    else:
        field.type_name = f".{_PACKAGE}.{element}"
    return field


def _message_types() -> dict[str, type[Message]]:
    file = FileDescriptorProto(name="cache.proto", package=_PACKAGE, syntax="proto3")
    for name, rows in _MESSAGES.items():
        file.message_type.add(name=name, field=[_field(*row) for row in rows])
    pool = DescriptorPool()  # an own one: others may have registered the same names
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_MESSAGE_TYPES: Final = _message_types()
# json_format would take `[]` or `"key"` for an empty message, so the object is decoded here.
_JSON_OBJECT: Final = msgspec.json.Decoder(dict[str, object])


class Method(StrEnum):
    """The methods of the service; each is the last segment of its path."""

    CREATE = "CreateCacheEntry"
    FINALIZE = "FinalizeCacheEntryUpload"
    FIND = "GetCacheEntryDownloadURL"


class Codec(Enum):
    """How a message is written: the official clients send JSON, OpenDAL and sccache protobuf."""

    JSON = "application/json"
    PROTOBUF = "application/protobuf"

    @classmethod
    def of(cls, content_type: str | None) -> Self:
        """Return the codec that a `Content-Type` header names; JSON if there is none.

        Raises:
            MalformedMessage: it names something else.
        """
        if content_type is None:
            content_type = "application/json"
        media_type = content_type.partition(";")[0].strip().lower()
        try:
            return cls(media_type)
        except ValueError:
            text = f"`{media_type[:80]}` is neither `application/json` nor `application/protobuf`"
            raise MalformedMessage(text) from None

    @property
    def content_type(self) -> str:
        """The value of the `Content-Type` header."""
        return self.value


class _TwirpMessage(msgspec.Struct, frozen=True):
    """A message whose fields have the protocol's own names."""

    _name: ClassVar[str]
    # Defaults are left out, as the official client does; but a bare `{}` would puzzle people.
    _always_shown: ClassVar[Collection[str]] = ()

    @classmethod
    def decode(cls, codec: Codec, body: bytes) -> Self:
        """Read a message; absent fields have the protocol's defaults, unknown ones are ignored.

        JSON names may be snake_case or camelCase, an int64 a number or a string (protocol §2.2).

        Raises:
            MalformedMessage: `body` is not such a message.
        """
        message = _MESSAGE_TYPES[cls._name]()
        try:
            if codec is Codec.PROTOBUF:
                message.ParseFromString(body)
            else:
                sent = _JSON_OBJECT.decode(body)
                json_format.ParseDict(sent, message, ignore_unknown_fields=True)
        except (DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
            reason = str(error)[:_REASON_LENGTH].rstrip(".")
            text = f"the body is not a `{cls._name}` in `{codec.content_type}`: {reason}"
            raise MalformedMessage(text) from error
        values = {name: getattr(message, name) for name in cls.__struct_fields__}
        return cls(
            **{
                name: value if isinstance(value, str | int) else tuple(value)
                for name, value in values.items()
            }
        )

    def encode(self, codec: Codec) -> bytes:
        """Write the message; JSON is compact and snake_case with each int64 as a string.

        Clients mask the secrets of a link only under its snake_case name (protocol §2.2).
        """
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        if codec is Codec.PROTOBUF:
            return _MESSAGE_TYPES[self._name](**values).SerializeToString()
        shown = {
            name: str(value) if type(value) is int else value
            for name, value in values.items()
            if value or name in self._always_shown
        }
        return msgspec.json.encode(shown)


class _TwirpAnswer(_TwirpMessage, frozen=True):
    _always_shown: ClassVar[Collection[str]] = ("ok",)

    ok: bool


class CreateEntry(_TwirpMessage, frozen=True):
    """Asks to reserve a key."""

    _name = "CreateCacheEntryRequest"

    key: str
    version: str


class FinalizeEntry(_TwirpMessage, frozen=True):
    """Says that the upload of a reserved key is complete and how long it is."""

    _name = "FinalizeCacheEntryUploadRequest"

    key: str
    version: str
    size_bytes: int


class FindEntry(_TwirpMessage, frozen=True, forbid_unknown_fields=True):
    """Asks for the entry that a restore would use."""

    _name = "GetCacheEntryDownloadURLRequest"

    key: str
    restore_keys: tuple[str, ...] = ()
    version: str = ""

    @classmethod
    def decode(cls, codec: Codec, body: bytes) -> Self:
        """Read a message, as current clients write it at a tenth of what `json_format` takes."""
        if codec is Codec.JSON:
            # Not in the usual form, it may still be a message.
            with suppress(ValueError):
                return cls._usual_form().decode(body)
        return super().decode(codec, body)

    @classmethod
    @cache
    def _usual_form(cls) -> "msgspec.json.Decoder[Self]":
        return msgspec.json.Decoder(cls)


class CreatedEntry(_TwirpAnswer, frozen=True):
    """Where to upload, or with `ok` false why not."""

    _name = "CreateCacheEntryResponse"

    signed_upload_url: str = ""
    message: str = ""


class FinalizedEntry(_TwirpAnswer, frozen=True):
    """The id of the saved entry, or with `ok` false why it is not saved."""

    _name = "FinalizeCacheEntryUploadResponse"

    entry_id: int = 0
    message: str = ""


class FoundEntry(_TwirpAnswer, frozen=True):
    """Where to download and what was matched; `ok` false is a miss."""

    _name = "GetCacheEntryDownloadURLResponse"

    signed_download_url: str = ""
    matched_key: str = ""


def error_body(code: str, message: str, meta: Mapping[str, str] | None = None) -> bytes:
    """Return the body of an error, JSON whatever the codec of the request (protocol §2.3).

    `code` is one of `TWIRP_STATUS`. Clients show `message`, they never look at `code`.
    """
    error: dict[str, object] = {"code": code, "msg": message}
    if meta:
        error["meta"] = meta
    # ASCII, since a message may quote text that UTF-8 cannot hold.
    return json.dumps(error, separators=(",", ":")).encode()


def error_in(body: bytes) -> tuple[str, str]:
    """Return code and message of an error, both empty where `body` is none."""
    try:
        error = _JSON_OBJECT.decode(body)
    except (ValueError, RecursionError):
        return "", ""
    return str(error.get("code") or ""), str(error.get("msg") or error.get("message") or "")
