"""What a bucket's errors become: few words, a way out, and nothing of their own text."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from obstore.exceptions import GenericError, PermissionDeniedError

from runcache.errors import StoreFull, StoreUnavailable
from runcache.store.s3_errors import s3_errors

SECRET = "AKIAEXAMPLE"
ADDRESS = f"https://s3.internal/cache/key?X-Amz-Credential={SECRET}"


def answered(code: str, status: int = 403) -> str:
    return (
        f"Error performing GET {ADDRESS} in 1ms - Server returned non-2xx status code: {status}"
        f" Forbidden: <Error><Code>{code}</Code><AWSAccessKeyId>{SECRET}</AWSAccessKeyId></Error>"
    )


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": SECRET}}, "GetObject")


def raised_for(error: Exception) -> Exception:
    outcomes = (FileNotFoundError, StoreFull, StoreUnavailable)
    with pytest.raises(outcomes) as raised, s3_errors():
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionDeniedError(answered("InvalidAccessKeyId")), "`InvalidAccessKeyId`"),
        (client_error("InvalidAccessKeyId"), "`InvalidAccessKeyId`"),
        (GenericError(answered("RequestTimeTooSkewed")), "`RequestTimeTooSkewed`"),
        (GenericError(answered("SlowDown", 503)), "`SlowDown`"),
        (FileNotFoundError(answered("NoSuchBucket", 404)), "`NoSuchBucket`"),
        (OSError("Server returned non-2xx status code: 403 Forbidden: "), "`403`"),
        (GenericError(f"GET {ADDRESS} HttpError {{ kind: Connect, }}"), "cannot be reached"),
        (OSError(f"PUT {ADDRESS} - HTTP error: error sending request"), "cannot be reached"),
        (EndpointConnectionError(endpoint_url=ADDRESS), "cannot be reached"),
        (GenericError(f"GET {ADDRESS} HttpError {{ kind: Timeout, }}"), "not answer in time"),
        (ReadTimeoutError(endpoint_url=ADDRESS), "not answer in time"),
        (GenericError(f"GET {ADDRESS}: connection closed"), "broke off"),
    ],
)
def test_a_failure_is_named_without_what_is_secret(error: Exception, said: str) -> None:
    raised = raised_for(error)

    assert isinstance(raised, StoreUnavailable)
    assert said in str(raised)
    assert SECRET not in f"{raised!r} {raised.hint}"
    assert "s3.internal" not in f"{raised!r} {raised.hint}"
    assert raised.__cause__ is None
    assert raised.__suppress_context__


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDenied", "rights"),
        ("AuthorizationHeaderMalformed", "region"),
        ("ExpiredToken", "AWS_ACCESS_KEY_ID"),
        ("NoSuchBucket", "make the bucket"),
        ("PermanentRedirect", "region"),
        ("RequestTimeTooSkewed", "clock"),
        ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_what_can_be_corrected_has_a_hint(code: str, hint: str) -> None:
    raised = raised_for(client_error(code))

    assert isinstance(raised, StoreUnavailable)
    assert raised.hint is not None
    assert hint in raised.hint


@pytest.mark.parametrize("code", ["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"])
def test_a_bucket_may_be_full(code: str) -> None:
    assert isinstance(raised_for(client_error(code)), StoreFull)


@pytest.mark.parametrize(
    "error",
    [
        client_error("NoSuchKey"),
        client_error("NoSuchUpload"),
        # A part that a range lies behind is not the one that was received.
        GenericError(answered("InvalidRange", 416)),
        FileNotFoundError(answered("NoSuchKey", 404)),
        FileNotFoundError("status code: 404 Not Found: "),
    ],
)
def test_what_is_not_there_is_told_apart(error: Exception) -> None:
    assert isinstance(raised_for(error), FileNotFoundError)
