"""Every way in which runcache refuses or fails.

```
CacheError
├── Refused                     the caller may change the request and try again
│   ├── InvalidInput            what was sent cannot be understood or accepted
│   │   ├── InvalidKey
│   │   ├── InvalidVersion
│   │   ├── InvalidRef
│   │   ├── InvalidRepository
│   │   ├── TooManyKeys
│   │   ├── MalformedMessage    a body or header that is not of its protocol
│   │   ├── MessageTooLarge     a body longer than any of its protocol
│   │   ├── UploadInterrupted   the client went away in the middle of a body
│   │   ├── InvalidBlockList
│   │   ├── InvalidRange        a range of an upload that cannot be
│   │   ├── RangeUnsatisfiable  a range of a download that lies outside the blob
│   │   └── SizeMismatch
│   ├── EntryExists
│   ├── UploadTooLarge
│   ├── NotAuthenticated
│   ├── NotPermitted
│   │   ├── ReadDenied
│   │   └── WriteDenied
│   ├── LinkRefused
│   ├── NotFound
│   │   ├── UploadGone
│   │   ├── BlobMissing
│   │   └── TokenMissing
│   ├── Misdirected             a request that is meant for another server
│   └── InvalidSettings
└── Unavailable                 the server cannot now; the same request may work later
    ├── Draining
    ├── StoreFull
    ├── StoreUnavailable
    └── CatalogUnavailable
```

An error keeps its facts as attributes and, where there is a way out, a `hint` for a person. It
knows nothing of HTTP or exit codes: `server/failures.py` and `cli/console.py` have the tables.
"""


class CacheError(Exception):
    """The root of all errors that runcache raises on purpose."""

    hint: str | None = None


class Refused(CacheError):
    """The request cannot be granted as it is."""


class InvalidInput(Refused):
    """Something in the request is not what it must be."""


class InvalidKey(InvalidInput):
    """A key that is empty, too long or holds a character that keys may not hold."""

    hint = "a key has 1 to 512 characters, no comma and no NUL"

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid key: {reason}")
        self.reason = reason


class InvalidVersion(InvalidInput):
    """A cache version that is empty or too long."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid version: {reason}")
        self.reason = reason


class InvalidRef(InvalidInput):
    """A ref that is short, or that Git could not have."""

    hint = "a full ref is such as `refs/heads/main`, `refs/tags/v1` or `refs/pull/7/merge`"

    def __init__(self, ref: str, reason: str) -> None:
        super().__init__(f"invalid ref `{ref}`: {reason}")
        self.ref = ref
        self.reason = reason


class InvalidRepository(InvalidInput):
    """A repository that is not named as `owner/name`."""

    hint = "a repository is such as `octo-org/octo-repo`"

    def __init__(self, name: str) -> None:
        super().__init__(f"`{name}` is not the name of a repository")
        self.name = name


class TooManyKeys(InvalidInput):
    """A lookup with more keys than the protocol allows."""

    def __init__(self, count: int, *, limit: int) -> None:
        super().__init__(f"a lookup takes at most {limit} keys, not {count}")
        self.count = count
        self.limit = limit


class MalformedMessage(InvalidInput):
    """A body, query or header that cannot be decoded."""


class MessageTooLarge(InvalidInput):
    """A body longer than any message of its protocol."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body exceeds {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class UploadInterrupted(InvalidInput):
    """A body that ended before its announced length."""

    def __init__(self) -> None:
        super().__init__("the request body ended early")


class InvalidBlockList(InvalidInput):
    """A block list that names unknown or repeated blocks, or too many of them."""


class InvalidRange(InvalidInput):
    """Ranges of an upload that leave a gap, overlap or do not fit their bodies."""


class RangeUnsatisfiable(InvalidInput):
    """A range that begins behind the end of the blob."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the range lies outside the {size_bytes} bytes of the blob")
        self.size_bytes = size_bytes


class SizeMismatch(InvalidInput):
    """The announced size differs from the bytes that were received."""

    def __init__(self, *, announced_bytes: int, received_bytes: int) -> None:
        super().__init__(
            f"{announced_bytes} bytes were announced, {received_bytes} bytes were received"
        )
        self.announced_bytes = announced_bytes
        self.received_bytes = received_bytes


class EntryExists(Refused):
    """An entry with this key and version is already saved, or being saved, in the same scope."""

    hint = "entries never change: save under a new key"

    def __init__(self, key: str, *, scope: str) -> None:
        # The wording is the hosted service's: go-actions-cache looks for "already exists".
        super().__init__("cache entry with the same key, version, and scope already exists")
        self.key = key
        self.scope = scope


class UploadTooLarge(Refused):
    """An upload that exceeds `entry_limit`."""

    hint = "raise `entry_limit`, or cache less"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"an entry may have at most {limit_bytes} bytes here (`entry_limit`)")
        self.limit_bytes = limit_bytes


class NotAuthenticated(Refused):
    """No token, or one that is forged, expired, revoked or of the wrong kind."""


class NotPermitted(Refused):
    """A valid token that does not allow this."""


class ReadDenied(NotPermitted):
    """A token without any readable scope."""

    def __init__(self) -> None:
        # Clients look for this prefix (protocol §2.4).
        super().__init__("cache read denied: token has no readable scopes")


class WriteDenied(NotPermitted):
    """A token without a writable scope."""

    def __init__(self) -> None:
        # Clients look for this prefix (protocol §2.4).
        super().__init__("cache write denied: token has no writable scopes")


class LinkRefused(Refused):
    """A blob link that is altered, expired, unsigned or used for another purpose."""

    def __init__(self) -> None:
        super().__init__("server failed to authenticate the request")


class NotFound(Refused):
    """There is no such thing, or the caller may not know of it."""


class UploadGone(NotFound):
    """An upload that was committed, replaced or expired, or never was."""

    def __init__(self) -> None:
        super().__init__("there is no such upload: it was committed, replaced or has expired")


class BlobMissing(NotFound):
    """Bytes that are not, or no longer, in the store."""

    def __init__(self, name: str) -> None:
        super().__init__("the blob does not exist")
        self.name = name


class TokenMissing(NotFound):
    """No API token has this id."""

    def __init__(self, token_id: str) -> None:
        super().__init__(f"no API token has the id `{token_id}`")
        self.token_id = token_id


class Misdirected(Refused):
    """A request for a host that this server is not: it is no proxy."""

    def __init__(self, authority: str) -> None:
        super().__init__("this server is not a proxy for other hosts")
        self.authority = authority


class InvalidSettings(Refused):
    """A setting that is unknown, unreadable or contradicts another."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Unavailable(CacheError):
    """The server cannot do this now."""


class Draining(Unavailable):
    """The server is about to stop and takes no new uploads."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down and takes no new uploads")


class StoreFull(Unavailable):
    """The disk is full, or has less than `min_free` left."""

    hint = "free disk space, or lower `repo_limit` or `total_limit`"

    def __init__(self) -> None:
        super().__init__("the cache server's disk is full")


class StoreUnavailable(Unavailable):
    """The store failed in a way that is not the caller's fault."""


class CatalogUnavailable(Unavailable):
    """The catalog failed in a way that is not the caller's fault."""
