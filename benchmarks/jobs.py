"""A job at a live server: it reserves, uploads, finalizes and looks up (protocol §2, §4).

Of the native protocol it knows what it takes to send a pack.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from runcache.model import Span
from runcache.testing.live_server import LiveServer
from runcache.wire import native
from runcache.wire.twirp import SERVICE_PATH, Method

VERSION: Final = "5e" * 32
BLOB_HEADER: Final = "x-ms-blob-type: BlockBlob"


@dataclass(frozen=True, slots=True)
class Job:
    """What one job does, each call on a connection of its own."""

    origin: str
    token: str

    @classmethod
    def at(cls, server: LiveServer) -> "Job":
        """Return a job on the default branch."""
        return cls(server.url, server.job_token())

    def reserve(self, key: str) -> str:
        """Reserve a key, and return the link to upload to."""
        answer = self._call(Method.CREATE, {"key": key, "version": VERSION})
        link: str = answer["signed_upload_url"]
        return link

    def finalize(self, key: str, size_bytes: int) -> None:
        """Commit an upload."""
        wanted = {"key": key, "version": VERSION, "size_bytes": str(size_bytes)}
        self._call(Method.FINALIZE, wanted)

    def find(self, key: str) -> str:
        """Look an entry up, and return the link to download from."""
        answer = self._call(Method.FIND, {"key": key, "version": VERSION})
        link: str = answer["signed_download_url"]
        return link

    def reserve_pack(self, key: str) -> str:
        """Reserve a key for a snapshot, and return where its first pack goes."""
        connection = connect(self.origin)
        headers = {"Authorization": f"Bearer {self.token}"}
        wanted = native.Reserve(key, VERSION)
        connection.request("POST", native.UPLOADS_PATH, wanted.encode(), headers)
        reserved = native.Reserved.decode(_answer_of(connection, 201))
        connection.close()
        path = native.PACK_PATH.format(upload_id=reserved.upload_id, number=0)
        return f"{self.origin.rstrip('/')}{path}"

    def _call(self, method: str, wanted: dict[str, Any]) -> dict[str, Any]:
        connection = connect(self.origin)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", SERVICE_PATH + method, json.dumps(wanted), headers)
        answer: dict[str, Any] = json.loads(_answer_of(connection, 200))
        connection.close()
        if not answer["ok"]:
            message = f"{method} was refused: {answer}"
            raise RuntimeError(message)
        return answer


def connect(url: str) -> HTTPConnection:
    """Return a connection to the server of a URL, made when it is first used."""
    return HTTPConnection(urlsplit(url).netloc)


def block_ids(count: int) -> list[str]:
    """Return ids of blocks as the JavaScript client makes them: equally long, in base64."""
    return [base64.b64encode(f"{number:048d}".encode()).decode() for number in range(count)]


def put_blocks(link: str, file: Path, ids: Sequence[str], *, lanes: int) -> None:
    """Upload a file in equal blocks, `lanes` of them at a time, each lane on one connection."""
    step = file.stat().st_size // len(ids)
    blocks = [(block, Span(step * i, step * (i + 1))) for i, block in enumerate(ids)]
    with ThreadPoolExecutor(lanes) as threads:
        lane_blocks = [blocks[lane::lanes] for lane in range(lanes)]
        list(threads.map(lambda mine: _put_in_turn(link, file, mine), lane_blocks))


def put_block_list(link: str, ids: Iterable[str]) -> None:
    """Say which blocks make the blob."""
    blocks = "".join(f"<Latest>{block}</Latest>" for block in ids)
    connection = connect(link)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'
    connection.request("PUT", f"{target_of(link)}&comp=blocklist", body)
    _answer_of(connection, 201)
    connection.close()


def _put_in_turn(link: str, file: Path, blocks: Iterable[tuple[str, Span]]) -> None:
    connection = connect(link)
    with file.open("rb") as source:
        for block, span in blocks:
            connection.putrequest("PUT", f"{target_of(link)}&comp=block&blockid={quote(block, '')}")
            connection.putheader("Content-Length", str(span.size_bytes))
            connection.endheaders()
            # `sendfile`: the client costs as little as it can.
            connection.sock.sendfile(source, span.start, span.size_bytes)
            _answer_of(connection, 201)
    connection.close()


def target_of(link: str) -> str:
    """Return what a request line names of a link."""
    url = urlsplit(link)
    return f"{url.path}?{url.query}"


def _answer_of(connection: HTTPConnection, status: int) -> bytes:
    response = connection.getresponse()
    body = response.read()
    if response.status != status:
        message = f"the server answered {response.status}: {body[:500]!r}"
        raise RuntimeError(message)
    return body
