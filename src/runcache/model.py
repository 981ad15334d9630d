"""The nouns of runcache: frozen values that are valid once they exist."""

import re
from enum import Enum, IntFlag
from typing import Final, Self

import msgspec

from runcache.errors import (
    InvalidKey,
    InvalidVersion,
    MalformedMessage,
    ReadDenied,
    WriteDenied,
)

MAX_KEY_UNITS: Final = 512
MAX_KEYS: Final = 10
MAX_BLOCKS: Final = 50_000
# 128 GiB in packs of 32 MiB.
MAX_PACKS: Final = 4096

_PACK_NAME: Final = re.compile(r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,5})", re.ASCII)


def _utf16_units(text: str) -> int | None:
    """Return the length that JavaScript reports, or `None` for text with lone surrogates."""
    try:
        return len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        return None


class Key(msgspec.Struct, frozen=True):
    """The name an entry is saved under: 1 to 512 UTF-16 units, no comma, no NUL (protocol §8)."""

    text: str

    def __post_init__(self) -> None:
        units = _utf16_units(self.text)
        if units is None:
            raise InvalidKey("it holds half of a surrogate pair")
        if units == 0:
            raise InvalidKey("it is empty")
        if units > MAX_KEY_UNITS:
            raise InvalidKey(f"it has {units} characters")
        if "," in self.text:
            raise InvalidKey("it holds a comma")
        if "\0" in self.text:
            raise InvalidKey("it holds a NUL")


class Version(msgspec.Struct, frozen=True):
    """What a client stamps on paths and compression: opaque text of 1 to 512 UTF-16 units."""

    text: str

    def __post_init__(self) -> None:
        units = _utf16_units(self.text)
        if units is None or "\0" in self.text:
            raise InvalidVersion("it holds a NUL or half of a surrogate pair")
        if not 1 <= units <= MAX_KEY_UNITS:
            raise InvalidVersion(f"it has {units} characters, not 1 to {MAX_KEY_UNITS}")


class Permission(IntFlag):
    """What a token may do in one scope, in the bits of the runtime token (protocol §1.1)."""

    NONE = 0
    READ = 1
    WRITE = 2
    READ_WRITE = 3


class ScopePermission(msgspec.Struct, frozen=True):
    """A scope, which is a full ref such as `refs/heads/main`, and what may be done in it."""

    scope: str
    permission: Permission


class Grant(msgspec.Struct, frozen=True):
    """What the bearer of a job token may do, and as whom.

    `repository` is `owner/name` in lower case. `scopes` are in search order: the own ref first.
    `job` names the job, so that it may reserve a key again after a lost reply. `event` is what
    started it, and `run` the run of the workflow, as far as its token says so.
    """

    repository: str
    scopes: tuple[ScopePermission, ...]
    job: str
    event: str | None = None
    run: str | None = None

    @property
    def own_ref(self) -> str:
        """The ref of the job; empty if it has no scope at all."""
        return self.scopes[0].scope if self.scopes else ""

    @property
    def readable_scopes(self) -> tuple[str, ...]:
        """The scopes to search, in order.

        Raises:
            ReadDenied: there is none.
        """
        found = tuple(s.scope for s in self.scopes if s.permission & Permission.READ)
        if not found:
            raise ReadDenied
        return found

    @property
    def writable_scope(self) -> str:
        """The one scope that this job saves to.

        Raises:
            WriteDenied: there is none.
        """
        for candidate in self.scopes:
            if candidate.permission & Permission.WRITE:
                return candidate.scope
        raise WriteDenied


class Entry(msgspec.Struct, frozen=True):
    """What is saved under a key. Times are milliseconds since 1970 (UTC)."""

    id: int
    repository: str
    scope: str
    key: str
    version: str
    size_bytes: int
    created_at: int
    last_accessed_at: int
    is_snapshot: bool = False


class MatchKind(Enum):
    """How an entry came to answer a lookup."""

    EXACT = "exact"  # the key itself
    PREFIX = "prefix"  # the key as a prefix
    RESTORE_KEY = "restore_key"


class PackName(msgspec.Struct, frozen=True):
    """What a pack is called: the upload that it came in, and a number of its client's choice.

    As text `17-3`. The number is below a million.
    """

    upload_id: int
    number: int

    def __str__(self) -> str:
        return f"{self.upload_id}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name that `text` is.

        Raises:
            MalformedMessage: it is none.
        """
        found = _PACK_NAME.fullmatch(text)
        if found is None:
            message = f"`{text[:40]}` is not the name of a pack"
            raise MalformedMessage(message)
        return cls(int(found[1]), int(found[2]))


class EntryBlob(msgspec.Struct, frozen=True):
    """A blob of an entry: its name in the store, its size, and its name as a pack if it is one."""

    name: str
    size_bytes: int
    pack: PackName | None = None


class Hit(msgspec.Struct, frozen=True):
    """The entry that answers a lookup, its blobs in order, and how it was found.

    An archive is one blob, a snapshot its manifest and packs. A lookup of the older protocols,
    which know archives alone, has only the first blob.
    """

    entry: Entry
    blobs: tuple[EntryBlob, ...]
    kind: MatchKind

    @property
    def blob(self) -> str:
        """The name of the first blob."""
        return self.blobs[0].name


class Contents(msgspec.Struct, frozen=True):
    """An entry and all of its blobs in order: an archive, or a manifest and packs."""

    entry: Entry
    blobs: tuple[EntryBlob, ...]


class Upload(msgspec.Struct, frozen=True):
    """A reserved key that is not committed yet. When it is, its entry takes over the same id.

    `blob` is the upload's own: the archive, or the manifest of a snapshot.
    """

    id: int
    repository: str
    scope: str
    key: str
    version: str
    blob: str
    job: str
    expires_at: int
    is_snapshot: bool = False

    def belongs_to(self, grant: Grant) -> bool:
        """Say whether the bearer of `grant` is the job that has reserved this.

        Raises:
            WriteDenied: it may not save anything.
        """
        writer = (grant.repository, grant.writable_scope, grant.job)
        return writer == (self.repository, self.scope, self.job)


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What makes the version of an entry, as far as its client says so.

    `paths` are one pattern each. `compression` is what stands there in the version, and `system` is
    `Linux`, `macOS` or `Windows`.
    """

    paths: tuple[str, ...] | None = None
    compression: str | None = None
    system: str | None = None
    cross_os: bool | None = None


class Part(msgspec.Struct, frozen=True):
    """A piece of a blob as it was received, in the order of the blob."""

    name: str
    start: int
    size_bytes: int


class Span(msgspec.Struct, frozen=True):
    """The bytes `start` to `end`, which is not included, of a blob."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.end - self.start


class Blob(msgspec.Struct, frozen=True):
    """Immutable bytes with a name in the store. `created_at` is in milliseconds since 1970.

    `whole` is the part that is all of it, `None` where it takes several.
    """

    name: str
    size_bytes: int
    created_at: int
    is_pack: bool = False
    whole: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """How much a repository keeps: entries, and their unique bytes."""

    repository: str
    entry_count: int
    size_bytes: int


class ApiToken(msgspec.Struct, frozen=True):
    """A token for people and programs that look after caches.

    It reaches the named `repositories` and all repositories of the named `owners`; with `is_admin`
    every repository. Times are milliseconds since 1970 (UTC).
    """

    id: str
    repositories: tuple[str, ...]
    owners: tuple[str, ...]
    can_write: bool
    is_admin: bool
    created_at: int
    expires_at: int
    revoked_at: int | None = None

    def may_read(self, repository: str) -> bool:
        """Say whether caches of `repository` may be looked at."""
        name = repository.lower()
        return self.is_admin or name in self.repositories or name.split("/")[0] in self.owners

    def may_write(self, repository: str) -> bool:
        """Say whether caches of `repository` may be deleted, and its limits set."""
        return self.can_write and self.may_read(repository)

    def may_read_owner(self, owner: str) -> bool:
        """Say whether the usage and the limits of `owner` may be looked at."""
        return self.is_admin or owner.lower() in self.owners

    def may_write_owner(self, owner: str) -> bool:
        """Say whether the limits of `owner` may be set."""
        return self.can_write and self.may_read_owner(owner)

    @property
    def name(self) -> str:
        """Who did it, where the deeds of a token are told."""
        return f"token {self.id}"
