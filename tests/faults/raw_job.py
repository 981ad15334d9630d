"""A job that speaks protocol v2 step by step, so that a test can stop between any two of them."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp

from runcache.testing import LiveServer
from runcache.wire.twirp import SERVICE_PATH, Method

VERSION: Final = "f" * 64
_PATIENCE: Final = aiohttp.ClientTimeout(total=60)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the JSON or text of its body, and its headers."""

    status: int
    body: Any
    headers: dict[str, str]


class RawJob:
    """A job with a token of its own; as a context manager it owns its connections."""

    def __init__(self, server: LiveServer, *, token: str | None = None) -> None:
        self.url = server.url.rstrip("/")
        self.token = token or server.job_token()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_PATIENCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def reserve(self, key: str, *, version: str = VERSION) -> Answer:
        return await self.call(Method.CREATE, {"key": key, "version": version})

    async def finalize(self, key: str, size_bytes: int, *, version: str = VERSION) -> Answer:
        body = {"key": key, "size_bytes": str(size_bytes), "version": version}
        return await self.call(Method.FINALIZE, body)

    async def find(self, key: str, *restore_keys: str, version: str = VERSION) -> Answer:
        body = {"key": key, "restore_keys": list(restore_keys), "version": version}
        return await self.call(Method.FIND, body)

    async def put(self, link: str, data: bytes | AsyncIterator[bytes]) -> Answer:
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        return await self.request("PUT", link, data=body, headers={"x-ms-blob-type": "BlockBlob"})

    async def put_block(self, link: str, block_id: str, data: bytes) -> Answer:
        url = f"{link}&comp=block&blockid={block_id}"
        return await self.request("PUT", url, data=io.BytesIO(data))

    async def put_block_list(self, link: str, block_ids: Sequence[str]) -> Answer:
        listed = "".join(f"<Latest>{block_id}</Latest>" for block_id in block_ids)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        return await self.request("PUT", f"{link}&comp=blocklist", data=io.BytesIO(body.encode()))

    async def get(self, link: str) -> bytes:
        """Return what a link leads to; any other status than 200 fails the test."""
        async with self.session.get(link) as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async def save(self, key: str, data: bytes, *, blocks: int = 0) -> Answer:
        """Save `data` in one piece, or in so many blocks; the answer is that of the last step."""
        reserved = await self.reserve(key)
        if reserved.status != 200:
            return reserved
        link = reserved.body["signed_upload_url"]
        if blocks:
            size = -(-len(data) // blocks)
            ids = [f"block{number:03}" for number in range(blocks)]
            await asyncio.gather(
                *(
                    self.put_block(link, block_id, data[number * size : (number + 1) * size])
                    for number, block_id in enumerate(ids)
                )
            )
            await self.put_block_list(link, ids)
        else:
            await self.put(link, data)
        return await self.finalize(key, len(data))

    async def content(self, key: str) -> bytes | None:
        """Return what a restore of exactly `key` gets, `None` for a miss."""
        found = await self.find(key)
        assert found.status == 200, found
        if not found.body["ok"] or found.body["matched_key"] != key:
            return None
        return await self.get(found.body["signed_download_url"])

    async def call(self, method: str, body: object) -> Answer:
        return await self.request(
            "POST",
            self.url + SERVICE_PATH + method,
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
        )

    async def request(
        self,
        method: str,
        url: str,
        **arguments: Any,  # noqa: ANN401  -- those of aiohttp
    ) -> Answer:
        async with self.session.request(method, url, **arguments) as response:
            is_json = response.content_type == "application/json"
            body = await response.json() if is_json else await response.text()
            return Answer(response.status, body, dict(response.headers))
