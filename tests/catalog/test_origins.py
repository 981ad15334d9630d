"""Who saved what, as far as it was said."""

from runcache.catalog.catalog import Catalog
from runcache.catalog.reserving import NewUpload
from runcache.locations import CatalogLocation
from runcache.model import Inputs
from runcache.store import layout
from tests.catalog.facts import (
    FOREVER,
    MAIN,
    NOW,
    REPOSITORY,
    VERSION,
    new_job,
    part,
    query,
    reserve,
    save_snapshot,
)


async def reserved(catalog: Catalog, **known: object) -> int:
    upload = await catalog.uploads.reserve(
        NewUpload(
            repository=REPOSITORY,
            scope=MAIN,
            key="key",
            version=VERSION,
            job=new_job(),
            blob=layout.new_blob_name(),
            created_at=NOW,
            expires_at=FOREVER,
            **known,  # type: ignore[arg-type]
        )
    )
    await catalog.uploads.set_whole(upload.blob, part(10), limit_bytes=None, now_ms=NOW)
    await catalog.uploads.commit(upload, size_bytes=10, now_ms=NOW)
    return upload.id


async def test_the_origin_of_an_entry_is_what_was_said_when_its_key_was_reserved(
    catalog: Catalog,
) -> None:
    inputs = Inputs(paths=("a", "!b"), compression="gzip", system="Linux", cross_os=True)
    entry_id = await reserved(catalog, event="push", run="17", inputs=inputs)

    origin = await catalog.origins.get(entry_id)

    assert origin is not None
    assert (origin.ref, origin.event, origin.run) == (MAIN, "push", "17")
    assert (origin.paths, origin.compression) == (("a", "!b"), "gzip")
    assert (origin.system, origin.cross_os, origin.format) == ("Linux", True, "archive")
    (event,) = await catalog.events.newest(None, limit=10)
    assert event.by == f"job {MAIN}, push, run 17"


async def test_nothing_needs_to_be_known(catalog: Catalog) -> None:
    entry_id = await reserved(catalog)
    snapshot = await save_snapshot(catalog, "snapshot", 20)

    origins = [await catalog.origins.get(number) for number in (entry_id, snapshot.id, 99)]

    assert [origin and (origin.paths, origin.format) for origin in origins] == [
        (None, "archive"),
        (None, "snapshot"),
        None,
    ]


async def test_the_origin_goes_with_the_entry_or_the_upload(
    catalog: Catalog, location: CatalogLocation
) -> None:
    entry_id = await reserved(catalog)
    upload = await reserve(catalog, "other")

    await catalog.entries.forget([entry_id], now_ms=NOW, link_ms=0)
    await catalog.uploads.void(upload, now_ms=NOW)

    assert await catalog.origins.get(entry_id) is None
    assert query(location, "SELECT count(*) FROM origins") == [(0,)]
