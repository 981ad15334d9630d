"""The one statement of a lookup, against a model of a few lines."""

import asyncio
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import Answer
from runcache.catalog.lookup import NEWEST_FIRST, prefix_end, written_out
from runcache.catalog.opening import open_catalog
from runcache.locations import CatalogLocation
from runcache.matching import keys_of, walk
from runcache.model import Entry
from tests.catalog.facts import MAIN, NOW, VERSION, query, save

FEATURE: Final = "refs/heads/feature"
VERSIONS: Final = ["v1", "v2"]

_names = (f"octo/{number}" for number in itertools.count())


@dataclass
class Running:
    """A catalog in a loop that stands still between two calls."""

    runner: asyncio.Runner
    catalog: Catalog

    def find(
        self, repository: str, scopes: Sequence[str], keys: Sequence[str], *versions: str
    ) -> Answer | None:
        steps = walk(scopes, keys_of(keys[0], keys[1:]))
        wanted = versions or [VERSION]
        return self.runner.run(self.catalog.entries.find(repository, wanted, steps))

    def save(
        self,
        key: str,
        repository: str,
        *,
        scope: str = MAIN,
        version: str = VERSION,
        now_ms: int = NOW,
    ) -> Entry:
        saving = save(
            self.catalog, key, repository=repository, scope=scope, version=version, now_ms=now_ms
        )
        entry, _ = self.runner.run(saving)
        return entry


@pytest.fixture(scope="module")
def running(shared_location: CatalogLocation) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Running(runner, runner.run(stack.enter_async_context(open_catalog(shared_location))))
        runner.run(stack.aclose())


def expected(
    entries: Sequence[Entry], scopes: Sequence[str], keys: Sequence[str], versions: Sequence[str]
) -> Entry | None:
    """Return what the documents say, read aloud; of equal rank is what has the first version."""
    for scope, key, is_exact, version in itertools.product(scopes, keys, (True, False), versions):
        matching = [
            entry
            for entry in entries
            if (entry.scope, entry.version) == (scope, version)
            and (entry.key == key if is_exact else entry.key.startswith(key))
        ]
        if matching:
            return max(matching, key=lambda entry: (entry.created_at, entry.id))
    return None


# What patterns would take for more than itself, and what lies at the edges of the order of bytes.
keys = st.text(
    st.sampled_from("aA%_*?[é\u007f\u0080\ud7ff\ue000\uffff\U00010000\U0010ffff"),
    min_size=1,
    max_size=3,
)
scopes = st.sampled_from([FEATURE, MAIN, "refs/heads/Main"])
versions = st.sampled_from(["v1", "v2"])


def test_a_lookup_finds_what_the_documents_say(running: Running, examples: settings) -> None:
    @examples
    @given(
        saved=st.lists(
            st.tuples(scopes, versions, keys, st.integers(0, 3)),
            max_size=10,
            unique_by=lambda row: row[:3],
        ),
        searched=st.lists(scopes, min_size=1, unique=True),
        asked=st.lists(keys, min_size=1, max_size=4),
        wanted=st.lists(versions, min_size=1, unique=True),
    )
    def check(
        saved: list[tuple[str, str, str, int]],
        searched: list[str],
        asked: list[str],
        wanted: list[str],
    ) -> None:
        repository = next(_names)
        entries = [
            running.save(key, repository, scope=scope, version=of, now_ms=NOW + age)
            for scope, of, key, age in saved
        ]

        found = running.find(repository, searched, asked, *wanted)

        assert (found.entry if found else None) == expected(entries, searched, asked, wanted)

    check()


@given(prefix=keys, text=keys)
@example(prefix="\U0010ffff", text="\U0010ffff\U0010ffff")
@example(prefix="a\U0010ffff", text="b")
@example(prefix="\ud7ff", text="\ue000")
def test_a_prefix_is_a_range_of_bytes(prefix: str, text: str) -> None:
    end = prefix_end(prefix)

    is_in_range = prefix.encode() <= text.encode() and (end is None or text < end)

    assert is_in_range == text.startswith(prefix)
    assert end is None or prefix.encode() < end.encode()


def test_only_the_greatest_text_has_no_end() -> None:
    assert prefix_end(chr(sys.maxunicode) * 3) is None
    assert prefix_end("a" + chr(sys.maxunicode)) == "b"
    assert prefix_end("\ud7ff") == "\ue000"


def test_a_repository_that_never_saved_anything_has_nothing(running: Running) -> None:
    assert running.find("octo/unheard-of", [MAIN], ["key"]) is None


def test_another_repository_is_never_searched(running: Running) -> None:
    mine, other = next(_names), next(_names)
    running.save("key-1", other)

    assert running.find(mine, [MAIN], ["key-1", "key-"]) is None
    assert running.find(other, [MAIN], ["key-"]) is not None


def test_the_blob_comes_with_the_entry(running: Running) -> None:
    _, blob = running.runner.run(save(running.catalog, "key", repository="octo/blob"))

    found = running.find("octo/blob", [MAIN], ["key"])

    assert found is not None
    assert [found_blob.name for found_blob in found.blobs] == [blob]


@pytest.mark.parametrize("matches", [1, 3, 80])
def test_a_prefix_finds_its_newest_also_behind_many_newer_others(
    running: Running, matches: int
) -> None:
    repository = next(_names)
    entries = [
        running.save(f"old-{number}", repository, now_ms=NOW + number % 50)
        for number in range(matches)
    ]
    for number in range(NEWEST_FIRST + 10):
        running.save(f"new-{number}", repository, now_ms=NOW + 1000 + number)

    found = running.find(repository, [MAIN], ["old-"])

    assert found is not None
    assert found.entry == expected(entries, [MAIN], ["old-"], [VERSION])


def test_of_two_saved_in_the_same_millisecond_the_later_is_newer(running: Running) -> None:
    repository = next(_names)
    running.save("key-b", repository)
    later = running.save("key-a", repository)

    found = running.find(repository, [MAIN], ["key-"])

    assert found is not None
    assert found.entry == later


def test_ten_keys_in_eight_scopes_are_one_statement(running: Running) -> None:
    repository = next(_names)
    scopes = [f"refs/heads/{number}" for number in range(8)]
    last = running.save("key-9-x", repository, scope=scopes[-1])

    found = running.find(repository, scopes, [f"key-{number}-" for number in range(10)])

    assert found is not None
    assert found.entry == last


def test_keys_of_the_greatest_length_are_found(running: Running) -> None:
    repository = next(_names)
    key = "\U0001f980" * 256
    entry = running.save(key, repository)

    for asked in (key, key[:-1], key[0]):
        found = running.find(repository, [MAIN], [asked])
        assert found is not None
        assert found.entry == entry


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)
async def test_a_lookup_reads_no_table_but_through_an_index(
    catalog: Catalog, location: CatalogLocation
) -> None:
    await save(catalog, "key-1")
    statement, parameters = written_out(walk([FEATURE, MAIN], keys_of("key-", ["k"])), VERSIONS)
    bound = statement.statement.params(**parameters, repository=1)
    compiled = bound.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})

    plan = [str(row[3]) for row in query(location, f"EXPLAIN QUERY PLAN {compiled}")]

    # The newest of a scope, a few dozen, are a table without a name.
    assert not [step for step in plan if re.match(r"SCAN (?!anon)", step)]
    assert any("ix_entries_newest" in step for step in plan)
