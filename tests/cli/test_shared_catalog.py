"""Commands that act on a catalog in PostgreSQL, which no file says is there."""

import asyncio

import pytest

from runcache.catalog.opening import open_catalog
from runcache.locations import parse_catalog
from tests.catalog.facts import save
from tests.cli.conftest import Runcache
from tests.engines.postgres import PASSWORD


@pytest.fixture
def shared(runcache: Runcache, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Runcache:
    """Return the function that runs a command, where settings name a database."""
    monkeypatch.setenv("RUNCACHE_CATALOG", postgres_url)
    monkeypatch.setenv("RUNCACHE_DATA", "data")
    return runcache


async def save_one(url: str) -> None:
    async with open_catalog(parse_catalog(url)) as catalog:
        await save(catalog, "npm-1")


def test_commands_look_after_a_cache_in_postgresql(shared: Runcache, postgres_url: str) -> None:
    asyncio.run(save_one(postgres_url))
    made = shared("token", "api", "--admin")
    ended = [
        shared(*words.split())
        for words in (
            "token list",
            "stats",
            "list --repo octo/hello",
            "forget --dry-run",
            "prune",
            "check",
        )
    ]

    assert made.code == 0, made.err
    said = [each.out for each in ended]
    assert "valid" in said[0]
    assert [each.code for each in ended[1:5]] == [0] * 4, ended
    # Its bytes were never saved.
    assert ended[5].code != 0
    assert "npm-1" in said[5] + ended[5].err


def test_neither_settings_nor_errors_show_the_password(
    shared: Runcache, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = shared("config", "show")
    monkeypatch.setenv("RUNCACHE_CATALOG", postgres_url.replace("/test", "/absent"))
    failed = shared("stats", "-v")

    assert shown.code == 0
    assert "•••@127.0.0.1" in shown.out
    assert failed.code != 0
    assert "does not exist" in failed.err
    for ended in (shown, failed):
        assert PASSWORD not in ended.out + ended.err
