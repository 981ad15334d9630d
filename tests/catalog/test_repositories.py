"""What repositories use, counted as it changes and right at any moment."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.locations import CatalogLocation
from runcache.model import Usage
from tests.catalog.facts import NOW, query, save

_numbers = itertools.count()


async def test_a_repository_that_never_saved_anything_uses_nothing(catalog: Catalog) -> None:
    assert await catalog.repositories.usage("octo/new") == Usage("octo/new", 0, 0)
    assert await catalog.repositories.total_bytes() == 0


async def test_a_repository_whose_making_was_rolled_back_is_made_anew(catalog: Catalog) -> None:
    def fail(connection: Connection) -> None:
        catalog.repositories.ensure(connection, "octo/new")
        catalog.repositories.ensure(connection, "octo/new")
        raise KeyError

    with pytest.raises(KeyError):
        await catalog._connections.write(fail)  # noqa: SLF001  -- no method of its own fails so

    await save(catalog, "one", repository="octo/new")
    assert (await catalog.repositories.usage("octo/new")).entry_count == 1


async def test_repositories_over_a_limit_are_named(catalog: Catalog) -> None:
    await save(catalog, "one", size_bytes=60, repository="octo/big")
    await save(catalog, "two", size_bytes=50, repository="octo/big")
    await save(catalog, "one", size_bytes=100, repository="octo/small")

    assert await catalog.repositories.over(100) == [Usage("octo/big", 2, 110)]
    assert await catalog.repositories.over(110) == []
    assert await catalog.repositories.total_bytes() == 210


async def test_wrong_counts_are_named_and_corrected(
    catalog: Catalog, location: CatalogLocation
) -> None:
    await save(catalog, "one", repository="octo/right")
    await save(catalog, "one", repository="octo/wrong")
    await save(catalog, "two", repository="octo/wrong")
    query(location, "UPDATE repositories SET entry_count = 7 WHERE name = 'octo/wrong'")

    assert await catalog.repositories.miscounted(repair=False) == ["octo/wrong"]
    assert await catalog.repositories.miscounted(repair=True) == ["octo/wrong"]
    assert await catalog.repositories.miscounted(repair=False) == []
    assert await catalog.repositories.usage("octo/wrong") == Usage("octo/wrong", 2, 20)


async def test_another_process_may_have_made_the_repository(
    catalog: Catalog, location: CatalogLocation
) -> None:
    async with open_catalog(location) as other:
        await asyncio.gather(
            *(
                save((catalog, other)[number % 2], f"key-{number}", repository="octo/shared")
                for number in range(10)
            )
        )

    assert await catalog.repositories.usage("octo/shared") == Usage("octo/shared", 10, 100)


@pytest.fixture(scope="module")
def running(shared_location: CatalogLocation) -> Iterator[tuple[asyncio.Runner, Catalog]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner, runner.run(stack.enter_async_context(open_catalog(shared_location)))
        runner.run(stack.aclose())


def test_counts_are_right_whatever_was_saved_and_forgotten(
    running: tuple[asyncio.Runner, Catalog], examples: settings
) -> None:
    @examples
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 50)), max_size=12))
    def check(acts: list[tuple[bool, int, int]]) -> None:
        runner, catalog = running
        repository = f"octo/{next(_numbers)}"
        sizes: dict[int, int] = {}

        async def act() -> None:
            for is_saving, number, size_bytes in acts:
                if is_saving:
                    entry, _ = await save(
                        catalog, f"{next(_numbers)}", size_bytes=size_bytes, repository=repository
                    )
                    sizes[entry.id] = size_bytes
                else:
                    chosen = list(sizes)[: number + 1]
                    await catalog.entries.forget(chosen, now_ms=NOW, link_ms=0)
                    for entry_id in chosen:
                        del sizes[entry_id]

        runner.run(act())

        usage = runner.run(catalog.repositories.usage(repository))
        assert usage == Usage(repository, len(sizes), sum(sizes.values()))
        assert runner.run(catalog.repositories.miscounted(repair=False)) == []

    check()
