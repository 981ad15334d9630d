"""A bucket, and the clients that talk to it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import botocore.session
from botocore.config import Config
from botocore.loaders import create_loader
from botocore.utils import get_environ_proxies
from obstore import delete_async, sign
from obstore.store import S3Store as ObjectStore

from runcache.errors import StoreUnavailable
from runcache.locations import Bucket
from runcache.store import layout
from runcache.store.s3_errors import s3_errors
from runcache.threads import WorkerThreads

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.credentials import Credentials
    from botocore.loaders import Loader
    from obstore.store import ClientConfig, RetryConfig, S3Credential

_THREADS: Final = 8
# A reader has one of its own, others are kept for those who come next.
_CONNECTIONS: Final = 256
CONNECT_WITHIN: Final = timedelta(seconds=3)
# Between one byte of an answer and the next, also the first.
SILENT_FOR: Final = timedelta(seconds=10)
# The first byte of an answer comes after the last one of a piece that goes up.
_SENT_WITHIN: Final = timedelta(seconds=30)
# A body is sent for as long as its reader takes.
_STREAM_WITHIN: Final = timedelta(days=7)
_RETRIES: Final = 2
# How long credentials are used without asking for them again, which is cheap.
_CREDENTIALS_FOR: Final = timedelta(minutes=5)


class S3Connection:
    """The clients of one bucket: obstore's move bytes, `call` does what they do not know.

    Attributes:
        bucket: where it is.
        objects: obstore's client; its paths begin behind the bucket's prefix.
        uploads: the same for bytes that go up, which takes longer.
        client: botocore's client, to be used in threads alone; its keys begin with the prefix.
    """

    def __init__(
        self, bucket: Bucket, objects: ObjectStore, uploads: ObjectStore, client: "BaseClient"
    ) -> None:
        self.bucket = bucket
        self.objects = objects
        self.uploads = uploads
        self.client = client
        self._threads = WorkerThreads("store-s3", _THREADS)

    @classmethod
    async def opened(cls, bucket: Bucket) -> Self:
        """Find credentials as AWS's own tools do, and make the clients; nothing is asked yet.

        Raises:
            StoreUnavailable: there are no credentials.
        """
        threads = WorkerThreads("store-s3-start")
        try:
            return cls(bucket, *await threads.run(partial(_clients, bucket)))
        finally:
            threads.end()

    @property
    def is_bare(self) -> bool:
        """Whether neither TLS nor a proxy is between us and the bucket."""
        endpoint = self.bucket.endpoint
        return (
            endpoint is not None
            and endpoint.startswith("http:")
            and not get_environ_proxies(endpoint)
        )

    def sign(self, paths: Sequence[str], *, expires_in: timedelta) -> list[str]:
        """Return links to what is at `paths`, each good for a GET; not in the event loop.

        It takes 11 µs each, unless credentials must be asked for again.

        Raises:
            StoreUnavailable: there are none any more.
        """
        with s3_errors():
            return list(sign(self.objects, "GET", paths, expires_in))

    def key_of(self, path: str) -> str:
        """Return the whole key of what is at `path` behind the prefix."""
        return f"{self.bucket.prefix}/{path}" if self.bucket.prefix else path

    def path_of(self, key: str) -> str:
        """Return what a key is behind the prefix."""
        return key[len(self.key_of("")) :]

    async def call(self, operation: str, **parameters: object) -> Mapping[str, Any]:
        """Do one of botocore's operations (`list_objects_v2`) with this bucket, in a thread.

        Raises:
            StoreUnavailable: it failed.
        """
        return await self._threads.run(partial(self._call, operation, parameters))

    async def delete(self, paths: Sequence[str]) -> None:
        """Delete objects, any number of them; those that are not there are not an error.

        Raises:
            StoreUnavailable: that failed, perhaps after some of them.
        """
        with s3_errors():
            await delete_async(self.objects, paths)

    async def abort_uploads(self, prefix: str, *, older_than: timedelta = timedelta(0)) -> None:
        """End uploads of parts in pieces that nobody has completed, and remove their pieces.

        Only those count whose paths begin with `prefix`, and that began so long ago by the store's
        own clock.

        Raises:
            StoreUnavailable: that failed, perhaps after some of them.
        """
        marker: dict[str, object] = {}
        while True:
            page = await self.call("list_multipart_uploads", Prefix=self.key_of(prefix), **marker)
            oldest = clock_of(page) - older_than
            for upload in page.get("Uploads", ()):
                is_ours = layout.part_at(self.path_of(upload["Key"])) is not None
                if is_ours and upload["Initiated"] <= oldest:
                    await self._abort(upload["Key"], upload["UploadId"])
            if not page.get("IsTruncated"):
                return
            marker = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }

    async def _abort(self, key: str, upload_id: str) -> None:
        # Whoever was at it may have come to an end meanwhile.
        with suppress(FileNotFoundError):
            await self.call("abort_multipart_upload", Key=key, UploadId=upload_id)

    def close(self) -> None:
        """End the threads, and close idle connections."""
        self._threads.end()
        self.client.close()

    def _call(self, operation: str, parameters: Mapping[str, object]) -> Mapping[str, Any]:
        with s3_errors():
            answer: Mapping[str, Any] = getattr(self.client, operation)(
                Bucket=self.bucket.name, **parameters
            )
        return answer


def clock_of(answer: Mapping[str, Any]) -> datetime:
    """Return what time it was for the store when it answered."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    # Of an HTTP answer only one without a clock has none, and then ours has to do.
    return parsedate_to_datetime(date) if date else datetime.now(UTC)


class _Provider:
    """Gives obstore the credentials that botocore found, and renews where they expire."""

    def __init__(self, credentials: "Credentials") -> None:
        self._credentials = credentials

    def __call__(self) -> "S3Credential":
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_FOR,
        }


def _clients(bucket: Bucket) -> tuple[ObjectStore, ObjectStore, "BaseClient"]:
    session = botocore.session.get_session()
    session.register_component("data_loader", _models())
    with s3_errors():
        credentials = session.get_credentials()
    if credentials is None:
        raise StoreUnavailable(
            "there are no credentials for the store",
            hint="set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or give the machine a role",
        )
    provider = _Provider(credentials)
    trusted = _trusted(session)
    return (
        _objects(bucket, provider, trusted, SILENT_FOR),
        _objects(bucket, provider, trusted, _SENT_WITHIN),
        _client(bucket, session),
    )


def _trusted(session: botocore.session.Session) -> bytes | None:
    """Return the certificates that `AWS_CA_BUNDLE` names, which botocore goes by itself."""
    file = session.get_config_variable("ca_bundle")
    try:
        return Path(file).read_bytes() if file else None
    except OSError as exc:
        raise StoreUnavailable(
            f"the certificates `{file}` cannot be read: {exc.strerror}",
            hint="correct `AWS_CA_BUNDLE`",
        ) from exc


@cache
def _models() -> "Loader":
    """Return botocore's descriptions of S3: to read them takes longest of making a client."""
    return create_loader()


def _objects(
    bucket: Bucket, provider: _Provider, trusted: bytes | None, silent_for: timedelta
) -> ObjectStore:
    is_plain = bucket.endpoint is not None and bucket.endpoint.startswith("http:")
    options: ClientConfig = {
        "allow_http": is_plain,
        "connect_timeout": CONNECT_WITHIN,
        "read_timeout": silent_for,
        "timeout": _STREAM_WITHIN,
    }
    if trusted is not None:
        options["root_certificate"] = trusted
    retries: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": silent_for}
    return ObjectStore(
        bucket.name,
        prefix=bucket.prefix or None,
        endpoint=bucket.endpoint or f"https://s3.{bucket.region}.amazonaws.com",
        region=bucket.region,
        # TLS proves what arrives; without it, a signed digest does.
        unsigned_payload=not is_plain,
        client_options=options,
        retry_config=retries,
        credential_provider=provider,
    )


def _client(bucket: Bucket, session: botocore.session.Session) -> "BaseClient":
    return session.create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=bucket.endpoint,
        config=Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_WITHIN.total_seconds(),
            read_timeout=SILENT_FOR.total_seconds(),
            retries={"mode": "standard", "total_max_attempts": _RETRIES + 1},
            max_pool_connections=_CONNECTIONS,
            s3={"addressing_style": "path"},
            # Not every store that speaks S3 knows the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
