"""Packs and manifests that go straight into the store, by links that the server signs."""

from collections.abc import Mapping
from typing import Final

import msgspec

from runcache.client.transfer import Message, Requests
from runcache.errors import MalformedMessage, ServerFailed, ServerUnreachable
from runcache.wire import native as wire

# Where the store cannot be reached, the server can be: no reason to wait for long.
_ATTEMPTS: Final = 2


class DirectUploads:
    """Sends bodies past a server, as long as that works. Any thread may use it.

    `origin` is the server's, `headers` are what a request to it has.
    """

    def __init__(self, requests: Requests, origin: str, headers: Mapping[str, str]) -> None:
        self._requests = requests
        self._to_store = Requests(
            requests.connections, msgspec.structs.replace(requests.patience, attempts=_ATTEMPTS)
        )
        self._origin = origin
        self._headers = headers
        self._is_usable = True

    def put(self, upload_id: int, path: str, body: memoryview, *, sha256: bytes) -> bool:
        """Put a body into the store, and say so at `path`.

        `False` if it is to be sent to the server, which then says what is wrong, if anything is.
        From then on nothing is tried again that has nothing to do with this body.

        Raises:
            ServerUnreachable, ServerFailed: the server failed, as often as it was tried.
        """
        if not self._is_usable:
            return False
        announced = wire.Announce(body.nbytes, sha256.hex())
        link = _link_in(self._posted(wire.UPLOAD_LINKS_PATH.format(upload_id=upload_id), announced))
        if link is None:
            return False
        if not self._is_stored(link, body):
            self._is_usable = False
            return False
        return self._posted(path, wire.Arrived(sha256.hex())).is_success

    def _is_stored(self, link: wire.UploadLink, body: memoryview) -> bool:
        try:
            return self._to_store.send("PUT", link.url, link.headers, body).is_success
        except (ServerUnreachable, ServerFailed):
            return False

    def _posted(self, path: str, message: wire.Announce | wire.Arrived) -> Message:
        return self._requests.send("POST", f"{self._origin}{path}", self._headers, message.encode())


def _link_in(answer: Message) -> wire.UploadLink | None:
    if not answer.is_success:
        return None
    try:
        return wire.UploadLink.decode(answer.body)
    except MalformedMessage:
        return None
