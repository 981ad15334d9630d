"""Lookups as jobs make them, so that there is something to count."""

from datetime import timedelta

from runcache.access import scopes_for
from runcache.matching import keys_of
from runcache.model import Grant
from runcache.service import Records
from runcache.service.observer import Lookup
from tests.in_process import VERSION, Cache, Clock


async def look_up(cache: Cache, clock: Clock, *keys: str, day: int, ref: str) -> None:
    """Let jobs look for each of `keys`, more often each day, and for one that nobody has saved."""
    records = Records(cache.catalog, now=clock)
    scopes = scopes_for(ref=ref, base_ref="main" if "/pull/" in ref else None)
    grant = Grant("octo/hello", scopes, job="", event="push", run=str(9000 + day))
    for number, key in enumerate((*keys, f"Linux-npm-{day:016x}", "Windows-nuget-3f2a9c1e")):
        clock.advance(timedelta(seconds=40))
        restore_keys = (key.rpartition("-")[0] + "-",)
        hit = await cache.service.find_blobs(grant, key, restore_keys, [VERSION], peek=True)
        lookup = Lookup(grant, keys_of(key, restore_keys), [VERSION])
        for _ in range((day + 1) * (number + 2)):
            if hit is None:
                records.missed(lookup)
            else:
                records.found(lookup, hit)
                records.restored(hit.blob)
    await records.write()
