"""A job that speaks both protocols step by step: a test can stop between any two of them."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self
from xml.etree import ElementTree as ET

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from runcache.wire.artifactcache import CACHES_PATH, LOOKUP_PATH
from runcache.wire.twirp import SERVICE_PATH, Method

VERSION: Final = "f" * 64
_PATIENCE: Final = aiohttp.ClientTimeout(total=60)


class Server(Protocol):
    """What a job must know of its server."""

    url: str

    def job_token(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the JSON, text or bytes of its body, and its headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    def twirp_error(self) -> str:
        """Return the code of an error of protocol v2, which must have its form."""
        assert self.headers["Content-Type"] == "application/json", self
        assert self.body.keys() <= {"code", "msg", "meta"}, self
        assert isinstance(self.body["msg"], str)
        assert self.body["msg"]
        code = self.body["code"]
        assert isinstance(code, str)
        return code

    def azure_error(self) -> str:
        """Return the code of an error of a blob link, which must have its form."""
        assert self.headers["Content-Type"] == "application/xml", self
        assert self.headers["x-ms-request-id"], self
        root = ET.fromstring(self.body)  # noqa: S314  -- our own server's
        assert [child.tag for child in root] == ["Code", "Message"], self
        code = root.findtext("Code")
        assert code == self.headers["x-ms-error-code"], self
        assert root.findtext("Message"), self
        return code

    def message(self) -> str:
        """Return the message of an error of protocol v1 or of the REST API."""
        assert self.headers["Content-Type"].startswith("application/json"), self
        message = self.body["message"]
        assert isinstance(message, str)
        assert message
        return message


class RawJob:
    """A job with a token of its own; as a context manager it owns its connections."""

    def __init__(self, server: Server, *, token: str | None = None) -> None:
        self.url = server.url.rstrip("/")
        self.token = token or server.job_token()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_PATIENCE, auto_decompress=False)
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

    async def upload_link(self, key: str) -> str:
        """Reserve a key, which must be free, and return the link to upload to."""
        reserved = await self.reserve(key)
        assert reserved.status == 200, reserved
        assert reserved.body["ok"] is True, reserved
        link = reserved.body["signed_upload_url"]
        assert isinstance(link, str)
        return link

    async def download_link(self, key: str) -> str | None:
        """Return the link that a restore of exactly `key` gets, `None` for a miss."""
        found = await self.find(key)
        assert found.status == 200, found
        if not found.body["ok"] or found.body["matched_key"] != key:
            return None
        link = found.body["signed_download_url"]
        assert isinstance(link, str)
        return link

    async def put(self, link: str, data: bytes | AsyncIterator[bytes]) -> Answer:
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        return await self.request("PUT", link, data=body, headers={"x-ms-blob-type": "BlockBlob"})

    async def put_block(
        self, link: str, block_id: str, data: bytes | AsyncIterator[bytes]
    ) -> Answer:
        return await self.put(f"{link}&comp=block&blockid={block_id}", data)

    async def put_block_list(self, link: str, block_ids: Sequence[str]) -> Answer:
        listed = "".join(f"<Latest>{block_id}</Latest>" for block_id in block_ids)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        return await self.put(f"{link}&comp=blocklist", body.encode())

    async def get(self, link: str) -> bytes:
        """Return what a link leads to; any other status than 200 fails the test."""
        async with self.session.get(URL(link, encoded=True)) as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async def save(self, key: str, data: bytes, *, blocks: int = 0) -> Answer:
        """Save `data` in one piece, or in so many blocks; the answer is that of the last step."""
        reserved = await self.reserve(key)
        if reserved.status != 200 or not reserved.body["ok"]:
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
        link = await self.download_link(key)
        return None if link is None else await self.get(link)

    async def find_v1(self, key: str, *restore_keys: str) -> Answer:
        query = f"?keys={'%2C'.join((key, *restore_keys))}&version={VERSION}"
        return await self.authorized("GET", LOOKUP_PATH + query)

    async def reserve_v1(self, key: str) -> Answer:
        body = {"key": key, "version": VERSION, "cacheSize": 1}
        return await self.authorized("POST", CACHES_PATH, json=body)

    async def patch(self, cache_id: int, start: int, data: bytes) -> Answer:
        """Send a chunk as the genuine client does: without saying how long it is."""

        async def unannounced() -> AsyncIterator[bytes]:
            yield data

        return await self.authorized(
            "PATCH",
            f"{CACHES_PATH}/{cache_id}",
            data=unannounced(),
            headers={"Content-Range": f"bytes {start}-{start + len(data) - 1}/*"},
        )

    async def commit_v1(self, cache_id: int, size_bytes: int) -> Answer:
        return await self.authorized("POST", f"{CACHES_PATH}/{cache_id}", json={"size": size_bytes})

    async def save_v1(self, key: str, data: bytes, *, chunks: int = 1) -> Answer:
        """Save `data`, which is not empty, in so many chunks; the answer is as that of `save`."""
        reserved = await self.reserve_v1(key)
        if reserved.status != 201:
            return reserved
        cache_id = reserved.body["cacheId"]
        size = -(-len(data) // chunks)
        for start in reversed(range(0, len(data), size)):
            await self.patch(cache_id, start, data[start : start + size])
        return await self.commit_v1(cache_id, len(data))

    async def call(self, method: str, body: object) -> Answer:
        return await self.authorized("POST", SERVICE_PATH + method, json=body)

    async def authorized(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        **arguments: Any,  # noqa: ANN401  -- those of aiohttp
    ) -> Answer:
        """Send a request with the job's token."""
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        return await self.request(method, self.url + target, headers=headers, **arguments)

    async def request(
        self,
        method: str,
        url: str,
        **arguments: Any,  # noqa: ANN401  -- those of aiohttp
    ) -> Answer:
        """Send a request to a URL exactly as it is written."""
        async with self.session.request(method, URL(url, encoded=True), **arguments) as response:
            content = await response.read()
            body: Any = content
            if response.content_type == "application/json":
                body = json.loads(content)
            elif response.content_type != "application/octet-stream":
                body = content.decode()
            return Answer(response.status, body, CIMultiDict(response.headers))
