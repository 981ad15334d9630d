"""Signed links to a bucket, and copies within it (`store/direct.py` is the contract)."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Final

from obstore import get_range_async

from runcache.errors import StoreUnavailable
from runcache.model import Part
from runcache.store import layout
from runcache.store.composition import Copied, Joined, Piece, Slice, least_bytes, pieces_of
from runcache.store.direct import SignedUpload, StoredPart
from runcache.store.s3_connection import S3Connection
from runcache.store.s3_errors import s3_errors
from runcache.threads import WorkerThreads

# What S3 allows a signature.
_LONGEST: Final = timedelta(days=7)
_PIECES_AT_ONCE: Final = 4


class S3Direct:
    """A bucket to which clients have signed links."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        # Of its own: whoever waits for the store does not keep others from a link.
        self._signer = WorkerThreads("store-sign")
        endpoint = connection.bucket.endpoint
        self.is_encrypted = endpoint is None or endpoint.startswith("https:")

    def close(self) -> None:
        """End the threads, and close idle connections."""
        self._signer.end()
        self._connection.close()

    async def download_urls(
        self, places: Sequence[tuple[str, str]], *, expires_in: timedelta
    ) -> list[str]:
        """See `DirectStore.download_urls`."""
        paths = [layout.part_path(blob, part).as_posix() for blob, part in places]
        signing = partial(self._connection.sign, paths, expires_in=min(expires_in, _LONGEST))
        return await self._signer.run(signing)

    async def upload_url(
        self, blob: str, part: str, *, size_bytes: int, sha256: bytes, expires_in: timedelta
    ) -> SignedUpload:
        """See `DirectStore.upload_url`."""
        digest = base64.b64encode(sha256).decode()
        wanted = self._located(blob, part) | {
            "ChecksumSHA256": digest,
            "ContentLength": size_bytes,
        }
        seconds = int(min(expires_in, _LONGEST).total_seconds())
        url = await self._signer.run(partial(self._signed, "put_object", wanted, seconds))
        return SignedUpload(url, {"x-amz-checksum-sha256": digest})

    async def stat(self, blob: str, part: str) -> StoredPart | None:
        """See `DirectStore.stat`."""
        key = self._located(blob, part)["Key"]
        try:
            found = await self._connection.call("head_object", Key=key, ChecksumMode="ENABLED")
        except FileNotFoundError:
            return None
        digest = found.get("ChecksumSHA256")
        return StoredPart(found["ContentLength"], base64.b64decode(digest) if digest else None)

    async def compose(self, blob: str, parts: Sequence[Part], *, into: str, as_part: str) -> bool:
        """See `DirectStore.compose`."""
        least = least_bytes(sum(part.size_bytes for part in parts))
        if least is None:
            return False
        key = self._located(into, as_part)["Key"]
        async with self._multipart(key) as upload_id:
            turns = asyncio.Semaphore(_PIECES_AT_ONCE)
            numbered = enumerate(pieces_of(parts, least), 1)
            try:
                async with asyncio.TaskGroup() as tasks:
                    running = [
                        tasks.create_task(self._sent(turns, blob, piece, key, upload_id, number))
                        for number, piece in numbered
                    ]
            except ExceptionGroup as exc:
                # The others were cancelled for its sake.
                raise exc.exceptions[0] from None
            made = [
                {"PartNumber": number, "ETag": task.result()}
                for number, task in enumerate(running, 1)
            ]
            await self._connection.call(
                "complete_multipart_upload",
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": made},
            )
        return True

    @asynccontextmanager
    async def _multipart(self, key: str) -> AsyncIterator[str]:
        begun = await self._connection.call("create_multipart_upload", Key=key)
        upload_id: str = begun["UploadId"]
        try:
            yield upload_id
        except BaseException as exc:
            # What is left after a death is swept like that of any interrupted writer.
            with suppress(StoreUnavailable, FileNotFoundError):
                await asyncio.shield(
                    self._connection.call("abort_multipart_upload", Key=key, UploadId=upload_id)
                )
            if isinstance(exc, FileNotFoundError):
                raise StoreUnavailable("the store lacks what is to be composed") from exc
            raise

    async def _sent(
        self,
        turns: asyncio.Semaphore,
        blob: str,
        piece: Piece,
        key: str,
        upload_id: str,
        number: int,
    ) -> str:
        """Make a piece of a multipart upload, when it is its turn, and return its ETag."""
        target = {"Key": key, "UploadId": upload_id, "PartNumber": number}
        async with turns:
            if isinstance(piece, Copied):
                answer = await self._connection.call(
                    "upload_part_copy", **target, **self._copied(blob, piece.source)
                )
                answer = answer["CopyPartResult"]
            else:
                body = await self._joined(blob, piece)
                answer = await self._connection.call("upload_part", **target, Body=body)
        etag: str = answer["ETag"]
        return etag

    async def _joined(self, blob: str, piece: Joined) -> bytes:
        body = bytearray()
        for source in piece.sources:
            path = layout.part_path(blob, source.part).as_posix()
            with s3_errors():
                body += await get_range_async(
                    self._connection.objects, path, start=source.offset, length=source.count
                )
        return bytes(body)

    def _copied(self, blob: str, source: Slice) -> dict[str, object]:
        end = source.offset + source.count - 1
        return {
            "CopySource": self._located(blob, source.part),
            "CopySourceRange": f"bytes={source.offset}-{end}",
        }

    def _located(self, blob: str, part: str) -> dict[str, str]:
        key = self._connection.key_of(layout.part_path(blob, part).as_posix())
        return {"Bucket": self._connection.bucket.name, "Key": key}

    def _signed(self, operation: str, wanted: Mapping[str, object], seconds: int) -> str:
        with s3_errors():
            url: str = self._connection.client.generate_presigned_url(
                operation, Params=wanted, ExpiresIn=seconds
            )
        return url
