"""What a bucket's errors mean. Their own texts have addresses and signatures, and are not shown."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError

from runcache.errors import StoreFull, StoreUnavailable, Unavailable

_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_STATUS: Final = re.compile(r"status code: ([0-9]{3})")
_UNTRUSTED: Final = re.compile(r"InvalidCertificate|CERTIFICATE_VERIFY_FAILED")
_SILENT: Final = re.compile(r"kind: Timeout\b|ReadTimeoutError|operation timed out")
_UNREACHABLE: Final = re.compile(
    r"kind: Connect\b|error sending request|EndpointConnectionError|ConnectTimeoutError"
)

# A part that a range lies behind is not the one that was received.
_ABSENT: Final = frozenset({"404", "InvalidRange", "NoSuchKey", "NoSuchUpload"})
_FULL: Final = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
_CREDENTIALS_HINT: Final = "check `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the role"
_REGION_HINT: Final = "correct the region: `?region=…` in `store`"
_HINTS: Final[Mapping[str, str]] = {
    "403": _CREDENTIALS_HINT,
    "AccessDenied": "give these credentials the rights that docs/engines.md lists",
    "AuthorizationHeaderMalformed": _REGION_HINT,
    "ExpiredToken": _CREDENTIALS_HINT,
    "InvalidAccessKeyId": _CREDENTIALS_HINT,
    "InvalidToken": _CREDENTIALS_HINT,
    "NoSuchBucket": "make the bucket, or correct `store`",
    "PermanentRedirect": _REGION_HINT,
    "RequestTimeTooSkewed": "set the clock of this machine",
    "SignatureDoesNotMatch": _CREDENTIALS_HINT,
}


@contextmanager
def s3_errors() -> Iterator[None]:
    """Turn what obstore and botocore raise into what a store raises.

    `FileNotFoundError` is what remains where the bucket has no such object or upload, and where the
    answer does not say what is missing, as that to HEAD.
    """
    try:
        yield
    except FileNotFoundError as exc:
        if code_of(exc) in {None, *_ABSENT}:
            raise
        raise _error(exc) from None
    except (BaseError, BotoCoreError, ClientError, OSError) as exc:
        if code_of(exc) in _ABSENT:
            raise FileNotFoundError from None
        raise _error(exc) from None


def code_of(error: Exception) -> str | None:
    """Return S3's own name of an error, if the answer had one."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code")) or None
    found = _CODE.search(str(error))
    return found[1] if found else None


def _error(error: Exception) -> Unavailable:
    text = f"{type(error).__name__}: {error}"
    status = _STATUS.search(text)
    code = code_of(error) or (status[1] if status else None)
    if code in _FULL:
        return StoreFull()
    if code is not None:
        return StoreUnavailable(f"the store refuses: `{code}`", hint=_HINTS.get(code))
    if _UNTRUSTED.search(text):
        return StoreUnavailable(
            "the certificate of the store is not trusted",
            hint="name the file with its authority's certificate in `AWS_CA_BUNDLE`",
        )
    if _SILENT.search(text):
        return StoreUnavailable("the store does not answer in time")
    if _UNREACHABLE.search(text):
        return StoreUnavailable("the store cannot be reached", hint="check the endpoint in `store`")
    return StoreUnavailable("the store failed: it broke off an answer, or gave none of S3")
