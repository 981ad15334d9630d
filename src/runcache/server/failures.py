"""Which status and code each failure has in each dialect: the most specific class wins.

A status of 200 stands for an answer with `ok: false` and a message, which is how the hosted service
refuses where clients shall show the reason. An answer that has no message is an error instead, with
the status of its code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runcache import errors
from runcache.errors import CacheError
from runcache.wire import native
from runcache.wire.azure_blob import ErrorCode


@dataclass(frozen=True, slots=True)
class Failure:
    """How a dialect reports an error: its status, and what the dialect calls it."""

    status: int
    code: str


Table = Mapping[type[CacheError], Failure]

TWIRP: Final[Table] = {
    CacheError: Failure(500, "internal"),
    errors.Refused: Failure(400, "invalid_argument"),
    errors.MalformedMessage: Failure(400, "malformed"),
    errors.MessageTooLarge: Failure(413, "malformed"),
    errors.EntryExists: Failure(409, "already_exists"),
    errors.UploadTooLarge: Failure(200, "invalid_argument"),
    errors.NotAuthenticated: Failure(401, "unauthenticated"),
    errors.ReadDenied: Failure(403, "permission_denied"),
    errors.WriteDenied: Failure(200, "permission_denied"),
    errors.NotPermitted: Failure(403, "permission_denied"),
    errors.LinkRefused: Failure(403, "permission_denied"),
    errors.NotFound: Failure(404, "not_found"),
    errors.Misdirected: Failure(421, "bad_route"),
    errors.ForwardingLoop: Failure(508, "bad_route"),
    errors.Unavailable: Failure(503, "unavailable"),
    errors.UpstreamFailed: Failure(502, "unavailable"),
    errors.UpstreamSilent: Failure(504, "unavailable"),
    # Clients hide the text of an error behind "another job may be creating this cache", and repeat
    # a 503 for half a minute (protocol §2.3): these are not over that soon.
    errors.StoreUnavailable: Failure(200, "unavailable"),
    errors.CatalogUnavailable: Failure(200, "unavailable"),
    errors.StoreFull: Failure(200, "unavailable"),
}

ARTIFACTCACHE: Final[Table] = {
    CacheError: Failure(500, "InternalServerError"),
    errors.Refused: Failure(400, "InvalidRequest"),
    errors.MessageTooLarge: Failure(413, "RequestTooLarge"),
    errors.EntryExists: Failure(409, "ArtifactCacheItemAlreadyExistsException"),
    errors.UploadTooLarge: Failure(413, "RequestTooLarge"),
    errors.NotAuthenticated: Failure(401, "Unauthorized"),
    errors.NotPermitted: Failure(403, "Forbidden"),
    errors.LinkRefused: Failure(403, "Forbidden"),
    errors.NotFound: Failure(404, "NotFound"),
    errors.Misdirected: Failure(421, "Misdirected"),
    errors.ForwardingLoop: Failure(508, "Misdirected"),
    errors.Unavailable: Failure(503, "ServiceUnavailable"),
    errors.UpstreamFailed: Failure(502, "ServiceUnavailable"),
    errors.UpstreamSilent: Failure(504, "ServiceUnavailable"),
    # Clients repeat 502 to 504 after 5 s (protocol §3).
    errors.StoreUnavailable: Failure(500, "ServiceUnavailable"),
    errors.CatalogUnavailable: Failure(500, "ServiceUnavailable"),
    errors.StoreFull: Failure(507, "InsufficientStorage"),
}

AZURE_BLOB: Final[Table] = {
    CacheError: Failure(500, ErrorCode.INTERNAL_ERROR),
    errors.Refused: Failure(400, ErrorCode.INVALID_INPUT),
    errors.MessageTooLarge: Failure(413, ErrorCode.REQUEST_BODY_TOO_LARGE),
    errors.InvalidBlockList: Failure(400, ErrorCode.INVALID_BLOCK_LIST),
    errors.InvalidRange: Failure(416, ErrorCode.INVALID_RANGE),
    errors.RangeUnsatisfiable: Failure(416, ErrorCode.INVALID_RANGE),
    errors.EntryExists: Failure(409, ErrorCode.BLOB_ALREADY_EXISTS),
    errors.UploadTooLarge: Failure(413, ErrorCode.REQUEST_BODY_TOO_LARGE),
    errors.NotAuthenticated: Failure(403, ErrorCode.AUTHENTICATION_FAILED),
    errors.NotPermitted: Failure(403, ErrorCode.AUTHENTICATION_FAILED),
    errors.LinkRefused: Failure(403, ErrorCode.AUTHENTICATION_FAILED),
    errors.NotFound: Failure(404, ErrorCode.BLOB_NOT_FOUND),
    errors.Misdirected: Failure(421, ErrorCode.INVALID_INPUT),
    errors.ForwardingLoop: Failure(508, ErrorCode.INVALID_INPUT),
    errors.Unavailable: Failure(503, ErrorCode.SERVER_BUSY),
    errors.UpstreamFailed: Failure(502, ErrorCode.SERVER_BUSY),
    errors.UpstreamSilent: Failure(504, ErrorCode.SERVER_BUSY),
    # Azure's clients repeat 500 and 503 (protocol §4.3), which is for what is over soon.
    errors.StoreUnavailable: Failure(502, ErrorCode.SERVER_BUSY),
    errors.CatalogUnavailable: Failure(502, ErrorCode.SERVER_BUSY),
    errors.StoreFull: Failure(507, ErrorCode.INSUFFICIENT_STORAGE),
}

AZURE_BLOB_DOWNLOAD: Final[Table] = {
    **AZURE_BLOB,
    # GitHub's client is another one here, and repeats 502 to 504 (protocol §5.1).
    errors.StoreUnavailable: Failure(500, ErrorCode.SERVER_BUSY),
    errors.CatalogUnavailable: Failure(500, ErrorCode.SERVER_BUSY),
}

GITHUB_REST: Final[Table] = {
    CacheError: Failure(500, ""),
    errors.Refused: Failure(422, ""),
    errors.MalformedMessage: Failure(400, ""),
    errors.UploadInterrupted: Failure(400, ""),
    errors.InvalidLimit: Failure(400, ""),
    errors.MessageTooLarge: Failure(413, ""),
    errors.EntryExists: Failure(409, ""),
    errors.UploadTooLarge: Failure(413, ""),
    errors.NotAuthenticated: Failure(401, ""),
    errors.NotPermitted: Failure(403, ""),
    errors.LinkRefused: Failure(403, ""),
    errors.NotFound: Failure(404, ""),
    errors.Misdirected: Failure(421, ""),
    errors.ForwardingLoop: Failure(508, ""),
    errors.Unavailable: Failure(503, ""),
    errors.UpstreamFailed: Failure(502, ""),
    errors.UpstreamSilent: Failure(504, ""),
    errors.StoreFull: Failure(507, ""),
}

NATIVE: Final[Table] = {
    CacheError: Failure(500, native.ErrorCode.INTERNAL),
    errors.Refused: Failure(400, native.ErrorCode.INVALID_ARGUMENT),
    errors.MalformedMessage: Failure(400, native.ErrorCode.MALFORMED),
    errors.MessageTooLarge: Failure(413, native.ErrorCode.TOO_LARGE),
    errors.DigestMismatch: Failure(400, native.ErrorCode.DIGEST_MISMATCH),
    errors.EntryExists: Failure(409, native.ErrorCode.ALREADY_EXISTS),
    errors.PackGone: Failure(412, native.ErrorCode.PACK_GONE),
    errors.UploadTooLarge: Failure(413, native.ErrorCode.TOO_LARGE),
    errors.NotAuthenticated: Failure(401, native.ErrorCode.UNAUTHENTICATED),
    errors.NotPermitted: Failure(403, native.ErrorCode.PERMISSION_DENIED),
    errors.LinkRefused: Failure(403, native.ErrorCode.PERMISSION_DENIED),
    errors.NotFound: Failure(404, native.ErrorCode.NOT_FOUND),
    errors.Misdirected: Failure(421, native.ErrorCode.BAD_ROUTE),
    errors.ForwardingLoop: Failure(508, native.ErrorCode.BAD_ROUTE),
    errors.Unavailable: Failure(503, native.ErrorCode.UNAVAILABLE),
    errors.UpstreamFailed: Failure(502, native.ErrorCode.UNAVAILABLE),
    errors.UpstreamSilent: Failure(504, native.ErrorCode.UNAVAILABLE),
    errors.StoreFull: Failure(507, native.ErrorCode.STORE_FULL),
}


def failure_of(table: Table, error: CacheError) -> Failure:
    """Return the row of the class of `error`, or else of the nearest class above it."""
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind]
    raise LookupError(type(error).__name__)
