"""API tokens in the catalog: everything but their text."""

import pytest
from msgspec.structs import replace

from runcache.catalog.catalog import Catalog
from runcache.catalog.connections import Duplicate
from runcache.model import ApiToken
from tests.catalog.facts import NOW

TOKEN = ApiToken(
    "one",
    ("octo/hello",),
    ("octo", "acme"),
    can_write=True,
    is_admin=False,
    created_at=NOW,
    expires_at=NOW + 1000,
)


async def test_a_token_is_found_by_its_digest_alone(catalog: Catalog) -> None:
    await catalog.tokens.add(TOKEN, "digest")

    assert await catalog.tokens.find("digest") == TOKEN
    assert await catalog.tokens.find("one") is None


async def test_tokens_are_listed_in_the_order_of_their_making(catalog: Catalog) -> None:
    older = replace(TOKEN, id="two", created_at=NOW - 1)
    await catalog.tokens.add(TOKEN, "digest one")
    await catalog.tokens.add(older, "digest two")

    assert await catalog.tokens.all() == [older, TOKEN]


async def test_a_token_is_taken_back_once(catalog: Catalog) -> None:
    await catalog.tokens.add(TOKEN, "digest")

    assert await catalog.tokens.revoke("one", now_ms=NOW + 5)
    assert not await catalog.tokens.revoke("one", now_ms=NOW + 6)
    assert not await catalog.tokens.revoke("two", now_ms=NOW)

    assert await catalog.tokens.find("digest") == replace(TOKEN, revoked_at=NOW + 5)


async def test_no_two_tokens_have_the_same_digest(catalog: Catalog) -> None:
    await catalog.tokens.add(TOKEN, "digest")

    with pytest.raises(Duplicate):
        await catalog.tokens.add(replace(TOKEN, id="two"), "digest")
