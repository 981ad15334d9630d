"""Protocol v2, as GitHub's own client speaks it: archives only (protocol §2, §4)."""

import base64
import uuid
from collections.abc import Iterable
from typing import Final, NoReturn, TypeVar
from urllib.parse import quote

from runcache.client.transfer import Message, Requests
from runcache.client.transports import Committed, FoundArchive
from runcache.errors import (
    EntryExists,
    LinkRefused,
    MalformedMessage,
    NotAuthenticated,
    NotPermitted,
    ProtocolAbsent,
    Refused,
    StoreFull,
    UnexpectedAnswer,
    UploadGone,
)
from runcache.wire import azure_blob
from runcache.wire import twirp as wire
from runcache.wire.twirp import Codec, Method

# Azure does not take links that are newer than the version a request names.
AZURE_VERSION: Final = "2026-02-06"
M = TypeVar("M", wire.CreatedEntry, wire.FinalizedEntry, wire.FoundEntry)

DENIED: Final = "cache write denied:"


class TwirpServer:
    """What a job can do with archives over protocol v2. `origin` has no final slash."""

    def __init__(self, requests: Requests, origin: str, token: str) -> None:
        self._requests = requests
        self._origin = origin
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": Codec.JSON.content_type,
        }

    def find(self, key: str, restore_keys: Iterable[str], version: str) -> FoundArchive | None:
        """Return the archive that a restore would use."""
        wanted = wire.FindEntry(key=key, restore_keys=tuple(restore_keys), version=version)
        try:
            answer = self._called(Method.FIND, wanted.encode(Codec.JSON))
        except UploadGone:  # what some servers answer to a miss
            return None
        found = _decoded(wire.FoundEntry, answer)
        if not found.ok:
            return None
        if not found.signed_download_url:
            raise UnexpectedAnswer(answer.server, "names an archive without a link to it")
        return FoundArchive(found.matched_key or key, found.signed_download_url)

    def reserve(self, key: str, version: str) -> "TwirpUpload":
        """See `Transport.reserve_archive`."""
        wanted = wire.CreateEntry(key=key, version=version)
        answer = self._called(Method.CREATE, wanted.encode(Codec.JSON), key=key)
        created = _decoded(wire.CreatedEntry, answer)
        if not created.ok:
            _refuse(created.message, key)
        if not created.signed_upload_url:
            raise UnexpectedAnswer(answer.server, "takes an archive without a link for it")
        return TwirpUpload(self, key, version, created.signed_upload_url)

    def finalize(self, key: str, version: str, size_bytes: int) -> Committed:
        """Make what was uploaded an entry."""
        wanted = wire.FinalizeEntry(key=key, version=version, size_bytes=size_bytes)
        answer = self._called(Method.FINALIZE, wanted.encode(Codec.JSON), key=key)
        finalized = _decoded(wire.FinalizedEntry, answer)
        if not finalized.ok:
            _refuse(finalized.message, key)
        return Committed(finalized.entry_id, size_bytes)

    def put(self, url: str, content_type: str, body: bytes | memoryview) -> None:
        """Send something to a link."""
        headers = {"Content-Type": content_type, azure_blob.VERSION: AZURE_VERSION}
        answer = self._requests.send("PUT", url, headers, body)
        match answer.status:
            case 200 | 201 | 204:
                return
            case 401 | 403:
                raise LinkRefused
            case 507:
                raise StoreFull
        raise UnexpectedAnswer(answer.server, f"answers {answer.status}: {answer.text}")

    def _called(self, method: Method, body: bytes, *, key: str = "") -> Message:
        url = f"{self._origin}{wire.SERVICE_PATH}{method}"
        answer = self._requests.send("POST", url, self._headers, body)
        if answer.status < 300:  # noqa: PLR2004  -- the statuses of success
            return answer
        code, message = wire.error_in(answer.body) if answer.is_json else ("", "")
        match answer.status, code:
            case 401, _:
                raise NotAuthenticated(message or answer.text)
            case 403, _:
                raise NotPermitted(message or answer.text)
            case 404, "not_found":
                raise UploadGone
            case 404 | 405 | 501, _:
                raise ProtocolAbsent(answer.server)
            case 409, _:
                raise EntryExists(key, scope="")
        raise Refused(message or f"`{answer.server}` answers {answer.status}: {answer.text}")


class TwirpUpload:
    """A key that is reserved for an archive (`transports.ArchiveUpload` is the contract)."""

    def __init__(self, server: TwirpServer, key: str, version: str, url: str) -> None:
        self._server = server
        self._key = key
        self._version = version
        self._url = url
        self._id = uuid.uuid4()

    def put(self, number: int, offset: int, block: memoryview) -> None:  # noqa: ARG002  -- v1 needs it
        """See `ArchiveUpload.put`."""
        self._server.put(
            self._with("block", blockid=self._block_id(number)), "application/octet-stream", block
        )

    def commit(self, size_bytes: int, block_count: int) -> Committed:
        """See `ArchiveUpload.commit`."""
        ids = [self._block_id(number) for number in range(block_count)]
        self._server.put(
            self._with("blocklist"), "application/xml", azure_blob.block_list_body(ids)
        )
        return self._server.finalize(self._key, self._version, size_bytes)

    def _block_id(self, number: int) -> str:
        # As the official client has it: some servers decode it (protocol §4.2).
        return base64.b64encode(f"{self._id}{number:012}".encode()).decode()

    def _with(self, operation: str, **more: str) -> str:
        added = {"comp": operation, **more}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in added.items())
        return f"{self._url}{'&' if '?' in self._url else '?'}{query}"


def _decoded(kind: type[M], answer: Message) -> M:
    try:
        return kind.decode(Codec.JSON, answer.body)
    except MalformedMessage as exc:
        raise UnexpectedAnswer(answer.server, "answers with something else") from exc


def _refuse(message: str, key: str) -> NoReturn:
    """Raise what an answer with `ok: false` means (protocol §2.4)."""
    if message.startswith(DENIED):
        raise NotPermitted(message)
    if message:
        raise Refused(message)
    raise EntryExists(key, scope="")
