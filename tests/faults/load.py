"""Jobs that save and restore without a pause, and know what they must get."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

import aiohttp
from yarl import URL

from tests.faults.native_job import MANIFEST, NativeJob
from tests.faults.raw_job import Answer

# A part of a snapshot, or a whole archive: of which name its content is made, and how long it is.
Content = tuple[str, int]

# The client that waits longest gives a request a minute.
ENDS_WITHIN_SECONDS: Final = 60
# What a client does at least before it tries again.
PAUSE_SECONDS: Final = 0.1
SHARING: Final = 0.7


def bytes_of(content: Content) -> bytes:
    """Return what is saved under a name: always the same bytes."""
    name, size_bytes = content
    return random.Random(name).randbytes(size_bytes)


@dataclass
class Figures:
    """What happened, counted, and how long requests took."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def text(self) -> str:
        """Return everything, a line each."""
        lines = [f"{name}: {number}" for name, number in sorted(self.counts.items())]
        for name, seconds in sorted(self.seconds.items()):
            ordered = sorted(seconds)
            p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
            lines.append(
                f"{name}: {len(ordered)} requests, p50 {p50 * 1000:.0f} ms,"
                f" p99 {p99 * 1000:.0f} ms, longest {ordered[-1]:.1f} s"
            )
        return "\n".join(lines)


class PatientJob(NativeJob):
    """A job that notes how long each of its requests took, whatever became of it."""

    figures: Figures

    async def request(self, method: str, url: str, **arguments: Any) -> Answer:  # noqa: ANN401
        with self._timed("lookup" if url.endswith(("URL", "find")) else "write"):
            return await super().request(method, url, **arguments)

    async def archive_of(self, key: str) -> list[bytes] | str:
        """Return what a restore of exactly `key` gets in a list, or say why it gets nothing."""
        found = await self.find(key)
        if found.status != 200:
            return "refused"
        if not found.body["ok"] or found.body["matched_key"] != key:
            return "missed"
        data = await self._download(found.body["signed_download_url"])
        return "refused" if data is None else [data]

    async def packs_of(self, key: str) -> list[bytes] | str:
        """Return the packs that a restore of exactly `key` gets, or say why it gets nothing."""
        found = await self.lookup(key)
        if found.status != 200:
            return "refused"
        if not found.body["hit"] or found.body["key"] != key:
            return "missed"
        blobs = [await self._download(blob["url"]) for blob in found.body["blobs"]]
        manifest, *packs = blobs
        if None in blobs:
            return "refused"
        # A wrong manifest is told from right packs by their number.
        return [pack for pack in packs if pack is not None] if manifest == MANIFEST else []

    async def _download(self, link: str) -> bytes | None:
        """Return what a link leads to, `None` if it is refused."""
        with self._timed("download"):
            async with self.session.get(URL(link, encoded=True)) as response:
                return await response.read() if response.status == 200 else None

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.figures.seconds[name].append(time.monotonic() - begun)


@dataclass(frozen=True)
class Saved:
    """An entry, and what a restore of it must get; a snapshot has names for its packs."""

    key: str
    contents: tuple[Content, ...]
    entry_id: int = 0
    packs: tuple[str, ...] = ()
    is_snapshot: bool = False


class Load:
    """Jobs that save and restore, and know what was acknowledged to them.

    Attributes:
        acknowledged: what was saved for certain.
        uncertain: what may have been saved: the answer was lost, or no success.
        wrong: what was restored with other bytes than it was saved with.
    """

    def __init__(self, url: str, token: Callable[[], str], chance: random.Random) -> None:
        self.url = url
        self.job_token = token
        self.figures = Figures()
        self.acknowledged: list[Saved] = []
        self.uncertain: list[Saved] = []
        self.wrong: list[str] = []
        self._chance = chance
        self._numbers = count(1)

    def job(self) -> PatientJob:
        """Return a new job."""
        job = PatientJob(self)
        job.figures = self.figures
        return job

    async def run(self, is_over: asyncio.Event) -> None:
        """Save and restore until it is over, whatever happens."""
        actions = (self._save_blocks, self._save_snapshot, self._restore_any)
        async with self.job() as job:
            while not is_over.is_set():
                (action,) = self._chance.choices(actions, (3, 2, 5))
                name = action.__name__.strip("_").replace("_", " ")
                try:
                    async with asyncio.timeout(ENDS_WITHIN_SECONDS):
                        outcome = await action(job)
                except TimeoutError:
                    outcome = "hung"
                    self.figures.counts["hung"] += 1
                except (aiohttp.ClientError, OSError):
                    outcome = "broken off"
                self.figures.counts[f"{name}: {outcome}"] += 1
                if outcome != "done":
                    await asyncio.sleep(PAUSE_SECONDS)

    async def restore(self, job: PatientJob, saved: Saved) -> str:
        """Restore an entry, compare each byte, and say how it went."""
        read = job.packs_of if saved.is_snapshot else job.archive_of
        answer = await read(saved.key)
        if not isinstance(answer, list):
            return answer
        if answer != [bytes_of(content) for content in saved.contents]:
            self.wrong.append(saved.key)
        return "done"

    async def _restore_any(self, job: PatientJob) -> str:
        if not self.acknowledged:
            return "done"
        return await self.restore(job, self._chance.choice(self.acknowledged))

    async def _save_blocks(self, job: PatientJob) -> str:
        key = f"archive-{next(self._numbers)}"
        sizes = [self._size() for _ in range(self._chance.randint(1, 4))]
        data = bytes_of((key, sum(sizes)))
        reserved = await job.reserve(key)
        if reserved.status != 200 or not reserved.body["ok"]:
            return "refused"
        link, start = reserved.body["signed_upload_url"], 0
        for number, size in enumerate(sizes):
            sent = await job.put_block(link, f"{number:03}", data[start : start + size])
            if sent.status != 201:
                return "refused"
            start += size
        listed = await job.put_block_list(link, [f"{number:03}" for number in range(len(sizes))])
        if listed.status != 201:
            return "refused"
        saved = Saved(key, ((key, len(data)),))
        self.uncertain.append(saved)
        answer = await job.finalize(key, len(data))
        if answer.status != 200 or not answer.body["ok"]:
            return "refused"
        self._acknowledge(saved, saved)
        return "done"

    async def _save_snapshot(self, job: PatientJob) -> str:
        key = f"snapshot-{next(self._numbers)}"
        bases = [saved for saved in self.acknowledged[-50:] if saved.is_snapshot]
        base = self._chance.choice(bases) if bases and self._chance.random() < SHARING else None
        own = tuple((f"{key}/{n}", self._size()) for n in range(self._chance.randint(1, 3)))
        shared = base.contents[:2] if base else ()
        saved = Saved(key, (*own, *shared), is_snapshot=True)
        self.uncertain.append(saved)
        answer = await job.save_snapshot(
            key,
            *map(bytes_of, own),
            bases=[base.entry_id] if base else (),
            shared=base.packs[:2] if base else (),
        )
        if answer.status != 200:
            return "refused"
        entry_id = answer.body["entry_id"]
        packs = (*(f"{entry_id}-{n}" for n in range(len(own))), *(base.packs[:2] if base else ()))
        self._acknowledge(saved, replace(saved, entry_id=entry_id, packs=packs))
        return "done"

    def _acknowledge(self, uncertain: Saved, saved: Saved) -> None:
        self.uncertain.remove(uncertain)
        self.acknowledged.append(saved)

    def _size(self) -> int:
        return self._chance.choice((1, 2000, 30_000, 30_000, 300_000))
