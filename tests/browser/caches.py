"""Caches as they are found on a server after some days, and tokens to look at them with."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from runcache.access import scopes_for
from runcache.model import ApiToken, Entry, Grant
from runcache.server.auth import digest_of, new_api_token
from runcache.service import now_ms
from tests.browser.lookups import look_up
from tests.in_process import Cache, Clock, open_cache

REPO_LIMIT: Final = "16MB"
REPOSITORY: Final = "octo/hello"
BULK: Final = "octo/bulk"
DOOMED: Final = "octo/doomed"
OTHER: Final = "other/private"
SPARE: Final = "spare/room"
MARKUP: Final = "<img src=x onerror=alert(1)>'\"&amp;-<b>key</b>"
LONG: Final = "Linux-x64-gradle-wrapper-" + "9f86d081884c7d659a2feaa0c55ad015" * 4

_FEATURE: Final = "refs/heads/feature/much-faster-start"


@dataclass(frozen=True, slots=True)
class Known:
    """An API token and its text."""

    token: ApiToken
    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """One for everything, one that only looks, one of one repository, one to be revoked."""

    admin: Known
    reader: Known
    narrow: Known
    doomed: Known

    @classmethod
    def new(cls) -> Self:
        ttl, now = timedelta(days=1), now_ms()
        return cls(
            Known(*new_api_token(is_admin=True, can_write=True, ttl=ttl, now_ms=now)),
            Known(*new_api_token(owners=["octo"], ttl=ttl, now_ms=now)),
            Known(*new_api_token(repositories=[OTHER], can_write=True, ttl=ttl, now_ms=now)),
            Known(*new_api_token(is_admin=True, ttl=ttl, now_ms=now)),
        )

    def all(self) -> tuple[Known, ...]:
        return (self.admin, self.reader, self.narrow, self.doomed)


async def fill(folder: Path, tokens: Tokens) -> None:
    """Save what jobs of five days have left behind, and let the tokens be known."""
    clock = Clock(now_ms())
    clock.advance(-timedelta(days=5))
    async with open_cache(folder, clock=clock) as cache:
        for known in tokens.all():
            await cache.catalog.tokens.add(known.token, digest_of(known.text))
        saver = _Saver(cache, clock)
        for day in range(5):
            await saver.save("refs/heads/main", f"Linux-npm-{_hash(day)}", 700_000)
            await saver.save("refs/heads/main", f"Linux-pip-3.13-{_hash(day + 10)}", 450_000)
            await saver.save("refs/heads/main", f"macOS-npm-{_hash(day)}", 600_000)
            await saver.save(f"refs/pull/{day + 7}/merge", f"Linux-npm-{_hash(day + 20)}", 720_000)
            await saver.save(_FEATURE, f"Linux-cargo-{_hash(day + 30)}", 300_000)
            keys = (f"Linux-npm-{_hash(day)}", f"Linux-pip-3.13-{_hash(day + 10)}")
            await look_up(cache, clock, *keys, day=day, ref=f"refs/pull/{day + 7}/merge")
            clock.advance(timedelta(hours=22))
        await saver.save("refs/heads/main", LONG, 1_200_000)
        await saver.save("refs/tags/v1.0", "Linux-go-1.25-" + _hash(50), 90_000)
        await saver.save(_FEATURE, MARKUP, 1234)
        for number in range(60):
            await saver.save("refs/heads/main", f"bulk-{number:03}", 1000 + number, repository=BULK)
        for number in range(6):
            for ref in ("refs/heads/main", "refs/heads/old"):
                await saver.save(ref, f"old-{number}", 2000, repository=DOOMED)
        await saver.save("refs/heads/main", "secret-key", 4096, repository=OTHER)
        for number in range(6):
            await saver.save("refs/heads/main", f"room-{number}", 100_000, repository=SPARE)


@dataclass(frozen=True, slots=True)
class _Saver:
    cache: Cache
    clock: Clock

    async def save(
        self, ref: str, key: str, size_bytes: int, *, repository: str = REPOSITORY
    ) -> Entry:
        scopes = scopes_for(ref=ref, base_ref="main" if "/pull/" in ref else None)
        grant = Grant(repository, scopes, job=f"{ref} {key}")
        self.clock.advance(timedelta(minutes=3))
        return await self.cache.save(key, bytes(size_bytes), grant=grant)


def _hash(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 + 0xABCDEF0123456789:032x}"[-32:] * 2
