"""Lookups that nobody can answer are misses, where the service is told how long they may take."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from runcache.errors import CatalogUnavailable, InvalidKey, StoreUnavailable
from runcache.model import Part
from runcache.service import CacheService, Lookup, Observer, UploadLimits
from runcache.store.blobs import BlobStore
from runcache.store.local import LocalStore
from tests.in_process import MAIN, SNAPSHOT, VERSION, Cache, job, open_cache

SECONDS: Final = 1.0


class Sick(LocalStore):
    """A store whose looks fail, or never end, as the test wants it."""

    error: Exception | None = None
    is_silent = False

    async def first_incomplete(self, blobs: Mapping[str, Sequence[Part]]) -> str | None:
        if self.error is not None:
            raise self.error
        if self.is_silent:
            await asyncio.Event().wait()
        return await super().first_incomplete(blobs)


class Ears(Observer):
    def __init__(self) -> None:
        self.gave_up_for: list[type[Exception]] = []
        self.missed_keys: list[str] = []

    def gave_up(self, lookup: Lookup, reason: Exception) -> None:
        assert [key.text for key in lookup.keys] == ["npm-1"]
        self.gave_up_for.append(type(reason))

    def missed(self, lookup: Lookup) -> None:
        self.missed_keys.append(lookup.keys[0].text)


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    stores: list[Sick] = []

    def sick(_local: BlobStore) -> BlobStore:
        stores.append(Sick(tmp_path / "blobs"))
        return stores[0]

    async with open_cache(tmp_path, wrapped_store=sick) as cache:
        await cache.save("npm-1")
        yield cache
    stores[0].close()


@pytest.fixture
def store(cache: Cache) -> Sick:
    assert isinstance(cache.store, Sick)
    return cache.store


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def service(cache: Cache, ears: Ears) -> CacheService:
    return CacheService(
        cache.catalog,
        cache.store,
        UploadLimits(min_free_bytes=0),
        observers=(ears,),
        now=cache.clock,
        lookup_seconds=SECONDS,
    )


@pytest.mark.parametrize("error", [StoreUnavailable("it burns"), CatalogUnavailable("locked")])
async def test_what_cannot_be_looked_up_is_a_miss_that_is_told_of(
    error: Exception, service: CacheService, store: Sick, ears: Ears
) -> None:
    store.error = error

    assert await service.find(job(MAIN), "npm-1", (), VERSION) is None
    assert await service.find_blobs(job(MAIN), "npm-1", (), [SNAPSHOT, VERSION]) is None
    assert ears.gave_up_for == [type(error)] * 2
    assert ears.missed_keys == []


async def test_what_takes_too_long_is_a_miss(
    service: CacheService, store: Sick, ears: Ears
) -> None:
    store.is_silent = True

    async with asyncio.timeout(30 * SECONDS):
        assert await service.find(job(MAIN), "npm-1", (), VERSION) is None
    assert ears.gave_up_for == [TimeoutError]

    store.is_silent = False
    assert await service.find(job(MAIN), "npm-1", (), VERSION) is not None


async def test_whoever_only_asks_hears_what_is_wrong(service: CacheService, store: Sick) -> None:
    store.error = StoreUnavailable("it burns")

    with pytest.raises(StoreUnavailable, match="it burns"):
        await service.find_blobs(job(MAIN), "npm-1", (), [VERSION], peek=True)


async def test_a_lookup_that_is_wrong_is_refused_all_the_same(service: CacheService) -> None:
    with pytest.raises(InvalidKey):
        await service.find(job(MAIN), "a,b", (), VERSION)


async def test_readiness_says_which_part_does_not_work(service: CacheService, store: Sick) -> None:
    assert set((await service.readiness()).values()) == {None}
    store.error = StoreUnavailable("it burns")

    assert await service.readiness() == {"catalog": None, "store": "it burns", "uploads": None}
