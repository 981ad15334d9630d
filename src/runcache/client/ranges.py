"""Blobs behind signed links: ranges that resume, and links that are renewed."""

import re
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, NoReturn, Self
from urllib.parse import urljoin, urlsplit

from runcache.client.connections import Answer, origin_of
from runcache.client.transfer import PASSING, Attempts, Requests, message_in
from runcache.client.transports import Reader
from runcache.errors import (
    BlobMissing,
    BrokenEntry,
    LinkRefused,
    ServerFailed,
    ServerUnreachable,
    UnexpectedAnswer,
)

PIECE_BYTES: Final = 8 * 1024 * 1024
MAX_REDIRECTS: Final = 5

# Asks, with `no`, for the bytes themselves instead of a way to them.
DIRECT_HEADER: Final = "X-Runcache-Direct"

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)
_REDIRECTED: Final = frozenset({301, 302, 303, 307, 308})
_REFUSED: Final = frozenset({401, 403})
_SKIP_BYTES: Final = 256 * 1024


class Links:
    """The signed links of one entry by the names of its blobs. Any thread may use them.

    `renew` asks for new ones; it raises `BlobMissing` when the entry is gone.

    Attributes:
        lead: whether they may lead elsewhere, until nobody was found there.
        leads: where they lead, as far as that is known without asking.
        has_led: whether one of them did.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        renew: Callable[[], Mapping[str, str]],
        *,
        leads: Mapping[str, str] | None = None,
    ) -> None:
        self.lead = True
        self.leads = leads or {}
        self.has_led = bool(leads)
        self._urls = dict(urls)
        self._renew = renew
        self._lock = Lock()

    def of(self, name: str) -> str:
        """Return the link of a blob."""
        return self._urls[name]

    def renewed(self, name: str, refused: str) -> str:
        """Return another link than the `refused` one; of threads that ask at once, one renews.

        Raises:
            LinkRefused: there is none.
        """
        with self._lock:
            if self._urls.get(name) == refused:
                self._urls.update(self._renew())
            link = self._urls[name]
        if link == refused:
            raise LinkRefused
        return link


class LinkedBlob:
    """A blob behind a link (`transports.RemoteBlob` is the contract)."""

    def __init__(
        self, requests: Requests, links: Links, name: str, *, size_bytes: int | None
    ) -> None:
        self.requests = requests
        self.links = links
        self.name = name
        self.size_bytes = size_bytes
        self._etags: dict[str, str | None] = {}
        lead = links.leads.get(name)
        self._led = None if lead is None else (links.of(name), lead)
        self.asking = Lock()

    def check_etag(self, origin: str, etag: str | None) -> None:
        """Hear of the `ETag` of an answer; a server and its store need not agree on them.

        Raises:
            BrokenEntry: an earlier answer from there had another one.
        """
        known = self._etags.setdefault(origin, etag)
        if known is None:
            self._etags[origin] = etag
        elif etag != known:
            raise BrokenEntry(f"`{self.name}` changed while it was read")

    def note_lead(self, link: str, url: str) -> None:
        """Hear that `link` leads to `url`, which need not be asked again."""
        self._led = (link, url)
        self.links.has_led = True

    def where(self, link: str) -> str:
        """Return where to ask for what is behind `link`."""
        if self._led is None or self._led[0] != link or not self.links.lead:
            return link
        return self._led[1]

    def read(self, start: int, end: int) -> "RangeReader":
        """See `RemoteBlob.read`."""
        return RangeReader(self, start, end)

    def stream(self) -> Reader:
        """See `RemoteBlob.stream`."""
        first = self.read(0, min(PIECE_BYTES, self.size_bytes or PIECE_BYTES))
        total_bytes, has_ranges = first.begin_whole()
        if self.size_bytes not in (None, total_bytes):
            first.close()
            raise BrokenEntry(f"`{self.name}` has {total_bytes} bytes, not {self.size_bytes}")
        if not has_ranges or total_bytes is None or total_bytes <= PIECE_BYTES:
            return first
        from runcache.client.parallel import ParallelReader  # noqa: PLC0415  -- a miss needs none

        return ParallelReader(self, first, total_bytes)


class RangeReader:
    """The bytes `start` to `end` of a blob (`transports.Reader` is the contract)."""

    def __init__(self, blob: LinkedBlob, start: int, end: int) -> None:
        self._blob = blob
        self._position = start
        self._end: int | None = end
        self._attempts = Attempts(blob.requests.patience)
        self._answer: Answer | None = None
        self._total_bytes: int | None = None
        self._has_ranges = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_whole(self) -> tuple[int | None, bool]:
        """Ask for the first bytes of a blob of unknown size, or for all where there are no ranges.

        Return the size of the whole blob, if the host tells, and whether it has ranges.
        """
        self._begin()
        if not self._has_ranges:
            self._end = self._total_bytes
        elif self._total_bytes is not None and self._end is not None:
            self._end = min(self._end, self._total_bytes)
        return self._total_bytes, self._has_ranges

    def readinto(self, buffer: memoryview) -> int:
        """See `Reader.readinto`."""
        while buffer.nbytes and self._position != self._end:
            answer = self._answer or self._begin()
            wanted = buffer if self._end is None else buffer[: self._end - self._position]
            try:
                count = answer.readinto(wanted)
            except ServerUnreachable as exc:
                self.close()
                self._attempts.failed(exc)
                continue
            if count:
                self._position += count
                self._attempts.moved(count)
                return count
            self.close()
            if self._end is not None:
                raise BrokenEntry(f"`{self._blob.name}` ends at byte {self._position}")
            self._end = self._position
        return 0

    def close(self) -> None:
        """See `Reader.close`."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def _begin(self) -> Answer:
        while True:
            try:
                self._answer = self._opened()
            except (ServerUnreachable, ServerFailed) as exc:
                self._attempts.failed(exc)
            else:
                return self._answer

    def _opened(self) -> Answer:
        """Return the answer that has the bytes; a link that is refused is renewed once."""
        blob = self._blob
        link = blob.links.of(blob.name)
        url, answer = self._begun(link)
        redirects, is_renewed = 0, False
        while True:
            answer = answer or self._asked(link, url)
            if answer is None:
                url = link
            elif answer.status in _REDIRECTED and redirects < MAX_REDIRECTS:
                url, redirects = _redirected(url, answer), redirects + 1
                blob.note_lead(link, url)
            elif answer.status in _REFUSED and url != link and not redirects:
                # Where it led some time ago.
                answer.close()
                url = link
            elif answer.status in _REFUSED and not is_renewed:
                answer.close()
                link = url = blob.links.renewed(blob.name, link)
                is_renewed = True
            else:
                self._check(answer)
                return answer
            answer = None

    def _begun(self, link: str) -> tuple[str, Answer | None]:
        """Return where to ask for what is behind a link; with the answer, if it was asked already.

        Where links lead elsewhere, one of the threads that read a blob asks for all of them.
        """
        blob = self._blob
        if not blob.links.has_led:
            return link, None
        with blob.asking:
            url = blob.where(link)
            if url != link:
                return url, None
            answer = self._asked(link, link)
            if answer is None or answer.status not in _REDIRECTED:
                return link, answer
            url = _redirected(link, answer)
            blob.note_lead(link, url)
            return url, None

    def _asked(self, link: str, url: str) -> Answer | None:
        """Return the answer; `None` if nobody is there, and the server itself shall be asked."""
        last = "" if self._end is None else self._end - 1
        headers = {"Range": f"bytes={self._position}-{last}"}
        is_led = origin_of(url) != origin_of(link)
        if not is_led and not self._blob.links.lead:
            headers[DIRECT_HEADER] = "no"
        try:
            return self._blob.requests.connections.send("GET", url, headers)
        except ServerUnreachable:
            if not is_led:
                raise
            self._blob.links.lead = False
            return None

    def _check(self, answer: Answer) -> None:
        """Raise what an answer means, if it does not have the bytes."""
        try:
            match answer.status:
                case 206:
                    self._check_part(answer)
                case 200:
                    self._total_bytes, self._has_ranges = answer.size_bytes, False
                    self._skip(answer)
                case _:
                    self._refuse(answer)
            self._blob.check_etag(answer.origin, answer.header("ETag"))
        except BaseException:
            answer.close()
            raise

    def _check_part(self, answer: Answer) -> None:
        found = _CONTENT_RANGE.fullmatch(answer.header("Content-Range") or "")
        if found is None or int(found[1]) != self._position:
            raise UnexpectedAnswer(
                answer.origin, "answers with another range than it was asked for"
            )
        self._total_bytes = int(found[3])

    def _skip(self, answer: Answer) -> None:
        """Read past what is before the position, for a host that knows no ranges."""
        buffer = memoryview(bytearray(min(_SKIP_BYTES, self._position)))
        left_bytes = self._position
        while left_bytes:
            count = answer.readinto(buffer[:left_bytes])
            if not count:
                raise BrokenEntry(f"`{self._blob.name}` ends before byte {self._position}")
            left_bytes -= count

    def _refuse(self, answer: Answer) -> NoReturn:
        match answer.status:
            case 401 | 403:
                raise LinkRefused
            case 404 | 410:
                raise BlobMissing(self._blob.name)
            case 416:
                raise BrokenEntry(f"`{self._blob.name}` ends before byte {self._position}")
        message = message_in(answer)
        if message.status in PASSING:
            raise message.failure
        raise UnexpectedAnswer(message.server, f"answers {message.status} to a download")


def _redirected(url: str, answer: Answer) -> str:
    target = urljoin(url, answer.header("Location") or "")
    answer.close()
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise UnexpectedAnswer(answer.origin, "leads from `https` to another scheme")
    return target
