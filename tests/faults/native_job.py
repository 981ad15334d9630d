"""A job that speaks the native protocol step by step, besides the others."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from typing import Final

from blake3 import blake3

from runcache.wire import native as wire
from tests.faults.raw_job import Answer, RawJob

SNAPSHOT: Final = "5" * 64
MANIFEST: Final = b"a manifest, which no server reads"


def digests_of(data: bytes) -> dict[str, str]:
    return wire.Digests(blake3(data).digest(), hashlib.sha256(data).digest()).headers


class NativeJob(RawJob):
    """A job with a token of its own; as a context manager it owns its connections."""

    async def lookup(self, key: str, *restore_keys: str, **members: object) -> Answer:
        """Look up in the version of snapshots, or as the `members` say."""
        body = {"key": key, "restore_keys": restore_keys, "versions": [SNAPSHOT], **members}
        return await self.authorized("POST", wire.FIND_PATH, json=body)

    async def reserve_snapshot(self, key: str, bases: object = ()) -> Answer:
        body = {"key": key, "version": SNAPSHOT, "bases": bases}
        return await self.authorized("POST", wire.UPLOADS_PATH, json=body)

    async def upload(self, key: str, bases: object = ()) -> int:
        """Reserve a key, which must be free, and return the id of the upload."""
        reserved = await self.reserve_snapshot(key, bases)
        assert reserved.status == 201, reserved
        upload_id = reserved.body["upload_id"]
        assert isinstance(upload_id, int)
        return upload_id

    async def put_pack(
        self,
        upload_id: int,
        number: int,
        data: bytes,
        *,
        body: AsyncIterator[bytes] | None = None,
    ) -> Answer:
        """Send a pack; `body` may send its bytes in a manner of its own."""
        path = wire.PACK_PATH.format(upload_id=upload_id, number=number)
        return await self._put(path, data, body)

    async def put_manifest(self, upload_id: int, data: bytes = MANIFEST) -> Answer:
        return await self._put(wire.MANIFEST_PATH.format(upload_id=upload_id), data, None)

    async def commit(self, upload_id: int, packs: Sequence[str]) -> Answer:
        path = wire.COMMIT_PATH.format(upload_id=upload_id)
        return await self.authorized("POST", path, json={"packs": packs})

    async def save_snapshot(
        self,
        key: str,
        *packs: bytes,
        bases: object = (),
        shared: Sequence[str] = (),
    ) -> Answer:
        """Save new packs, which are numbered from 0, and shared ones behind them."""
        reserved = await self.reserve_snapshot(key, bases)
        if reserved.status != 201:
            return reserved
        upload_id = reserved.body["upload_id"]
        sent = await asyncio.gather(
            *(self.put_pack(upload_id, number, data) for number, data in enumerate(packs))
        )
        own = [f"{upload_id}-{number}" for number in range(len(packs))]
        for answer in (*sent, await self.put_manifest(upload_id)):
            if answer.status != 204:
                return answer
        return await self.commit(upload_id, [*own, *shared])

    async def snapshot(self, key: str) -> list[bytes] | None:
        """Return the packs that a restore of exactly `key` gets, `None` for a miss."""
        found = await self.lookup(key)
        assert found.status == 200, found
        if not found.body["hit"] or found.body["key"] != key:
            return None
        manifest, *packs = [await self.get(blob["url"]) for blob in found.body["blobs"]]
        assert manifest == MANIFEST
        return packs

    async def _put(self, path: str, data: bytes, body: AsyncIterator[bytes] | None) -> Answer:
        sent = io.BytesIO(data) if body is None else body
        return await self.authorized("PUT", path, data=sent, headers=digests_of(data))
