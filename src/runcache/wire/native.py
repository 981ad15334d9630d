"""The native protocol: JSON below `/runcache/v1/`, spoken by our own client and server.

Its entries are snapshots, a manifest and packs, and it finds archives of the other protocols too. A
request has a job token in its `Authorization`. Bytes are read over links to blobs, which take
ranges. An error has a status above 399 and an `Error` as its body.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, NamedTuple, Self

import msgspec

from runcache.errors import MalformedMessage
from runcache.model import Inputs, MatchKind, PackName
from runcache.wire.json_messages import JsonMessage

PREFIX: Final = "/runcache/v1/"

# Templates: what is in braces is for `str.format`, and for the server's routes.
FIND_PATH: Final = PREFIX + "find"
LINKS_PATH: Final = PREFIX + "entries/{entry_id}/links"
DAMAGE_PATH: Final = PREFIX + "entries/{entry_id}/damage"
UPLOADS_PATH: Final = PREFIX + "uploads"
UPLOAD_PATH: Final = PREFIX + "uploads/{upload_id}"
UPLOAD_LINKS_PATH: Final = PREFIX + "uploads/{upload_id}/links"
PACK_PATH: Final = PREFIX + "uploads/{upload_id}/packs/{number}"
MANIFEST_PATH: Final = PREFIX + "uploads/{upload_id}/manifest"
COMMIT_PATH: Final = PREFIX + "uploads/{upload_id}/commit"

MAX_BODY_BYTES: Final = 256 * 1024
"""How long a JSON body of a request may be; the longest names 4 096 packs."""

MAX_VERSIONS: Final = 4
MAX_BASES: Final = 8
MAX_REASON_LENGTH: Final = 500

ARCHIVE: Final = "archive"
"""The name of the one blob of an archive."""

MANIFEST: Final = "manifest"
"""The name of the first blob of a snapshot; those behind it have names of packs."""

AUTO: Final = "auto"

BLAKE3_HEADER: Final = "X-Runcache-BLAKE3"
SHA256_HEADER: Final = "X-Runcache-SHA256"

_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII | re.IGNORECASE)


_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{64}\Z")]


class ErrorCode(StrEnum):
    """What an `Error` can be about. A client that meets another one goes by the status."""

    INTERNAL = "internal"
    INVALID_ARGUMENT = "invalid_argument"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    ALREADY_EXISTS = "already_exists"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    DIGEST_MISMATCH = "digest_mismatch"
    PACK_GONE = "pack_gone"
    BAD_ROUTE = "bad_route"
    UNAVAILABLE = "unavailable"
    STORE_FULL = "store_full"


class Find(JsonMessage, frozen=True):
    """Asks for the entry that a restore would use.

    Each step of the lookup tries all `versions`, in order of preference, before the next one. With
    `peek` nothing is touched: it is no access, and the answer has no blobs.
    """

    key: str
    versions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_VERSIONS)]
    restore_keys: tuple[str, ...] = ()
    peek: bool = False


class BlobLink(JsonMessage, frozen=True):
    """A blob of an entry: its name within the protocol, its size, and a link for GET and HEAD.

    `direct_url` is a link for GET into the store, where there is one: empty, `url` is to be asked.
    """

    name: str
    size_bytes: int
    url: str
    direct_url: str = ""


class Found(JsonMessage, frozen=True, kw_only=True):
    """Answers `Find` with an entry; `created_at` is in milliseconds since 1970 (UTC).

    `version` is the one of those asked for that it has. `size_bytes` counts every blob.
    """

    hit: bool
    entry_id: int
    key: str
    kind: MatchKind
    scope: str
    version: str
    size_bytes: int
    created_at: int
    blobs: tuple[BlobLink, ...] = ()


class Missed(JsonMessage, frozen=True):
    """Answers `Find` without an entry."""

    hit: bool


class Links(JsonMessage, frozen=True, omit_defaults=False):
    """The blobs of an entry with new links."""

    blobs: tuple[BlobLink, ...]


class Reserve(JsonMessage, frozen=True):
    """Asks to reserve a key for a snapshot.

    `bases` are ids of entries whose packs it may share; `auto` stands for the newest readable
    snapshot of the same version. `inputs` are what the version was made of, for those who look
    after the cache: nothing depends on them.
    """

    key: str
    version: str
    bases: Literal["auto"] | Annotated[tuple[_Id, ...], msgspec.Meta(max_length=MAX_BASES)] = ()
    inputs: Inputs | None = None


class Base(JsonMessage, frozen=True):
    """A snapshot whose packs are kept for an upload, until that ends."""

    entry_id: int
    blobs: tuple[BlobLink, ...]


class Reserved(JsonMessage, frozen=True, omit_defaults=False):
    """Answers `Reserve`: those of the wanted bases that are there and that the job may read.

    `direct` is true where there are links to put packs and manifest into the store.
    """

    upload_id: int
    bases: tuple[Base, ...]
    direct: bool | msgspec.UnsetType = msgspec.UNSET


class Announce(JsonMessage, frozen=True):
    """Asks for a link to put bytes into the store; `sha256` is 64 hexadecimal digits."""

    size_bytes: Annotated[int, msgspec.Meta(gt=0, le=2**63 - 1)]
    sha256: Sha256


class UploadLink(JsonMessage, frozen=True):
    """Answers `Announce`: where a PUT brings these bytes, and no others, with which headers."""

    url: str
    headers: dict[str, str]


class Arrived(JsonMessage, frozen=True):
    """Says that the bytes of a pack, or of the manifest, lie in the store."""

    sha256: Sha256


class Commit(JsonMessage, frozen=True, omit_defaults=False):
    """Names the packs of a snapshot, in any order, each once; its manifest was uploaded before."""

    packs: tuple[str, ...]

    @property
    def names(self) -> tuple[PackName, ...]:
        """The packs by their parts.

        Raises:
            MalformedMessage: one of them is no name of a pack.
        """
        return tuple(map(PackName.parse, self.packs))


class Committed(JsonMessage, frozen=True, omit_defaults=False):
    """Answers `Commit`. `size_bytes` is the whole entry's, shared packs included."""

    entry_id: int
    size_bytes: int
    created: bool


class ReportDamage(JsonMessage, frozen=True):
    """Says what a client found to be wrong with an entry that it was restoring."""

    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_LENGTH)]


class Error(JsonMessage, frozen=True):
    """Why a request failed. `hint` is a way out for a person, where there is one."""

    code: str
    message: str
    hint: str | None = None

    def encode(self) -> bytes:
        """Write the error, in ASCII, since it may quote text that UTF-8 cannot hold."""
        import json  # noqa: PLC0415  -- most requests succeed

        members = {"code": self.code, "message": self.message, "hint": self.hint}
        shown = {name: value for name, value in members.items() if value is not None}
        return json.dumps(shown, separators=(",", ":")).encode()


class Digests(NamedTuple):
    """What the body of a pack or manifest must hash to: 32 bytes each."""

    blake3: bytes
    sha256: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Read the digests of an upload from its headers.

        Raises:
            MalformedMessage: one is absent, or not 64 hexadecimal digits.
        """
        return cls(_digest(headers, BLAKE3_HEADER), _digest(headers, SHA256_HEADER))

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say so."""
        return {BLAKE3_HEADER: self.blake3.hex(), SHA256_HEADER: self.sha256.hex()}


def decode_found(body: bytes) -> Found | None:
    """Read the answer to `Find`; `None` is a miss.

    Raises:
        MalformedMessage: it is none.
    """
    return Found.decode(body) if Missed.decode(body).hit else None


def _digest(headers: Mapping[str, str], name: str) -> bytes:
    text = headers.get(name, "")
    if not _DIGEST.fullmatch(text):
        message = f"`{name}` is not 64 hexadecimal digits"
        raise MalformedMessage(message)
    return bytes.fromhex(text)
