"""Every failure has an answer in every dialect, and in each the one that its clients understand."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from runcache import errors
from runcache.errors import CacheError
from runcache.server import artifactcache, azure_blob, failures, github_rest, native, twirp
from runcache.server.failures import Failure, Table, failure_of
from runcache.wire import native as wire
from runcache.wire.azure_blob import ErrorCode
from runcache.wire.twirp import SERVICE_PATH, TWIRP_STATUS, Method

TABLES: Final = {
    "twirp": failures.TWIRP,
    "artifactcache": failures.ARTIFACTCACHE,
    "azure_blob": failures.AZURE_BLOB,
    "github_rest": failures.GITHUB_REST,
    "native": failures.NATIVE,
}
REFUSALS: Final = (
    twirp.refusal,
    artifactcache.refusal,
    azure_blob.refusal,
    github_rest.refusal,
    native.refusal,
)


def an(kind: type[CacheError]) -> CacheError:
    """Return an error of a class, whatever it wants to know when it is made."""
    return kind.__new__(kind, "what happened")


def all_kinds(kind: type[CacheError] = CacheError) -> Iterator[type[CacheError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from all_kinds(below)


KINDS: Final = sorted(
    {kind for kind in all_kinds() if kind.__module__.startswith("runcache.")},
    key=lambda kind: kind.__name__,
)

# Each class: its status and code of v2, its status of v1, its status and code of a blob link, its
# status in REST, and its status and code of the native protocol.
EXPECTED: Final = """
CacheError           500 internal          500 500 InternalError        500 500 internal
Refused              400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidInput         400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidKey           400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidVersion       400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidRef           400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidRepository    400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
TooManyKeys          400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
MalformedMessage     400 malformed         400 400 InvalidInput         400 400 malformed
MessageTooLarge      413 malformed         413 413 RequestBodyTooLarge  413 413 too_large
UploadInterrupted    400 invalid_argument  400 400 InvalidInput         400 400 invalid_argument
InvalidBlockList     400 invalid_argument  400 400 InvalidBlockList     422 400 invalid_argument
InvalidRange         400 invalid_argument  400 416 InvalidRange         422 400 invalid_argument
RangeUnsatisfiable   400 invalid_argument  400 416 InvalidRange         422 400 invalid_argument
SizeMismatch         400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
DigestMismatch       400 invalid_argument  400 400 InvalidInput         422 400 digest_mismatch
TooManyPacks         400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
ManifestMissing      400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidParameter     400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidCursor        400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidLimit         400 invalid_argument  400 400 InvalidInput         400 400 invalid_argument
InvalidPattern       400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
ExpressionError      400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidWorkflow      400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidPreset        400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidBackup        400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
EntryExists          409 already_exists    409 409 BlobAlreadyExists    409 409 already_exists
PackGone             400 invalid_argument  400 400 InvalidInput         422 412 pack_gone
UploadTooLarge       200 invalid_argument  413 413 RequestBodyTooLarge  413 413 too_large
NotAuthenticated     401 unauthenticated   401 403 AuthenticationFailed 401 401 unauthenticated
NotPermitted         403 permission_denied 403 403 AuthenticationFailed 403 403 permission_denied
ReadDenied           403 permission_denied 403 403 AuthenticationFailed 403 403 permission_denied
WriteDenied          200 permission_denied 403 403 AuthenticationFailed 403 403 permission_denied
ReadOnlyToken        403 permission_denied 403 403 AuthenticationFailed 403 403 permission_denied
FormRefused          403 permission_denied 403 403 AuthenticationFailed 403 403 permission_denied
LinkRefused          403 permission_denied 403 403 AuthenticationFailed 403 403 permission_denied
NotFound             404 not_found         404 404 BlobNotFound         404 404 not_found
UploadGone           404 not_found         404 404 BlobNotFound         404 404 not_found
EntryMissing         404 not_found         404 404 BlobNotFound         404 404 not_found
BlobMissing          404 not_found         404 404 BlobNotFound         404 404 not_found
TokenMissing         404 not_found         404 404 BlobNotFound         404 404 not_found
Misdirected          421 bad_route         421 421 InvalidInput         421 421 bad_route
ForwardingLoop       508 bad_route         508 508 InvalidInput         508 508 bad_route
FileUnreadable       400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
FileUnwritable       400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
FilesUnlistable      400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
NothingToSave        400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
SecretsFound         400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
SnapshotsUnsupported 400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InvalidSettings      400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
PresetUnresolved     400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
DependenciesMissing  400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
ToolMissing          400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
ToolFailed           400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
ToolHung             400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
MachineUnknown       400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
InterpretersDiffer   400 invalid_argument  400 400 InvalidInput         422 400 invalid_argument
BrokenEntry          500 internal          500 500 InternalError        500 500 internal
UnsafeEntry          500 internal          500 500 InternalError        500 500 internal
BackupDamaged        500 internal          500 500 InternalError        500 500 internal
PartlyRestored       500 internal          500 500 InternalError        500 500 internal
TwinLost             500 internal          500 500 InternalError        500 500 internal
UnexpectedAnswer     500 internal          500 500 InternalError        500 500 internal
ProtocolAbsent       500 internal          500 500 InternalError        500 500 internal
Unavailable          503 unavailable       503 503 ServerBusy           503 503 unavailable
Draining             503 unavailable       503 503 ServerBusy           503 503 unavailable
StoreFull            200 unavailable       507 507 InsufficientStorage  507 507 store_full
StoreUnavailable     200 unavailable       500 502 ServerBusy           503 503 unavailable
CatalogUnavailable   200 unavailable       500 502 ServerBusy           503 503 unavailable
UpstreamFailed       502 unavailable       502 502 ServerBusy           502 502 unavailable
UpstreamSilent       504 unavailable       504 504 ServerBusy           504 504 unavailable
ServerFailed         503 unavailable       503 503 ServerBusy           503 503 unavailable
ServerUnreachable    503 unavailable       503 503 ServerBusy           503 503 unavailable
ServerUntrusted      503 unavailable       503 503 ServerBusy           503 503 unavailable
"""
ROWS: Final = {words[0]: words[1:] for words in map(str.split, EXPECTED.strip().splitlines())}

# Where the status is not Twirp's for the code: `ok: false`, and what HTTP itself says better.
EXCEPTIONS: Final = {
    errors.UploadTooLarge: 200,
    errors.WriteDenied: 200,
    errors.StoreFull: 200,
    errors.StoreUnavailable: 200,
    errors.CatalogUnavailable: 200,
    errors.MessageTooLarge: 413,
    errors.Misdirected: 421,
    errors.ForwardingLoop: 508,
    errors.UpstreamFailed: 502,
    errors.UpstreamSilent: 504,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_failure_has_the_answer_that_is_written_here(kind: type[CacheError]) -> None:
    answers = [failure_of(table, an(kind)) for table in TABLES.values()]

    told = {"artifactcache": 1, "github_rest": 1}  # by its status alone
    row = [
        str(fact)
        for name, answer in zip(TABLES, answers, strict=True)
        for fact in (answer.status, answer.code)[: told.get(name, 2)]
    ]
    assert row == ROWS[kind.__name__]


def test_all_failures_are_written_here_and_no_others() -> None:
    assert set(ROWS) == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_status_of_a_twirp_code_is_twirps(kind: type[CacheError]) -> None:
    failure = failure_of(failures.TWIRP, an(kind))

    assert failure.code in TWIRP_STATUS
    assert failure.status == EXCEPTIONS.get(kind, TWIRP_STATUS[failure.code])


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_status_is_one_of_http(table: Table) -> None:
    for failure in table.values():
        assert HTTPStatus(failure.status).phrase


def test_the_codes_of_blob_links_are_azures() -> None:
    for failure in failures.AZURE_BLOB.values():
        assert failure.code in set(ErrorCode)


def test_the_codes_of_the_native_protocol_are_its_own() -> None:
    for failure in failures.NATIVE.values():
        assert failure.code in set(wire.ErrorCode)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_class_below_another_has_its_row(kind: type[CacheError]) -> None:
    newer = type("Newer", (kind,), {})

    for table in TABLES.values():
        assert failure_of(table, an(newer)) == failure_of(table, an(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_dialect_can_say_every_failure(kind: type[CacheError]) -> None:
    for method in Method:
        for refusal in REFUSALS:
            request = _request(SERVICE_PATH + method)

            answer = refusal(request, an(kind))

            assert answer.body


@pytest.mark.parametrize(
    "kind",
    [
        errors.WriteDenied,
        errors.UploadTooLarge,
        errors.StoreFull,
        errors.StoreUnavailable,
        errors.CatalogUnavailable,
    ],
)
def test_ok_false_carries_the_reason(kind: type[CacheError]) -> None:
    for method in (Method.CREATE, Method.FINALIZE):
        answer = twirp.refusal(_request(SERVICE_PATH + method), an(kind))

        assert answer.status == 200
        assert isinstance(answer.body, bytes)
        assert answer.body.startswith(b'{"ok":false,"message":"what happened')


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        (errors.WriteDenied, Failure(403, "permission_denied")),
        (errors.UploadTooLarge, Failure(400, "invalid_argument")),
        (errors.StoreFull, Failure(503, "unavailable")),
        (errors.StoreUnavailable, Failure(503, "unavailable")),
    ],
)
@pytest.mark.parametrize("method", [Method.FIND, "NoSuchMethod"])
def test_an_answer_without_a_message_is_an_error_instead(
    method: str, kind: type[CacheError], failure: Failure
) -> None:
    answer = twirp.refusal(_request(SERVICE_PATH + method), an(kind))

    assert answer.status == failure.status
    assert answer.body == b'{"code":"%s","msg":"what happened"}' % failure.code.encode()


def _request(path: str) -> web.Request:
    return make_mocked_request("POST", path)
