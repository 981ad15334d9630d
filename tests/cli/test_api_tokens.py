import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from runcache.catalog.opening import open_catalog
from runcache.locations import SqliteFile
from runcache.model import ApiToken
from runcache.server.auth import digest_of
from tests.cli.conftest import Runcache


def found_by_text(data: Path, text: str) -> ApiToken | None:
    async def find() -> ApiToken | None:
        async with open_catalog(SqliteFile(data / "catalog.sqlite3")) as catalog:
            return await catalog.tokens.find(digest_of(text))

    return asyncio.run(find())


def test_a_new_token_is_known_to_the_catalog_by_its_digest(
    runcache: Runcache, tmp_path: Path
) -> None:
    reach = ("--repo", "Octo/Hello", "--repo", "octo/other", "--org", "Octo-Org", "--write")

    ended = runcache("token", "api", "--data", "data", *reach, "--ttl", "1d")

    token = found_by_text(tmp_path / "data", ended.out.strip())
    assert ended.code == 0
    assert token is not None
    assert token.repositories == ("octo/hello", "octo/other")
    assert token.owners == ("octo-org",)
    assert (token.can_write, token.is_admin) == (True, False)
    assert token.expires_at - token.created_at == 24 * 3600 * 1000
    assert ended.out.strip().encode() not in (tmp_path / "data" / "catalog.sqlite3").read_bytes()


def test_a_token_lives_for_thirty_days_and_only_reads_unless_told_otherwise(
    runcache: Runcache,
) -> None:
    ended = runcache("token", "api", "--data", "data", "--admin", "--json")

    found = json.loads(ended.out)
    lifetime = datetime.fromisoformat(found["expires_at"]) - datetime.fromisoformat(
        found["created_at"]
    )
    assert found["token"].startswith(f"rc_{found['id']}_")
    assert (found["state"], found["is_admin"], found["can_write"]) == ("valid", True, False)
    assert lifetime.days == 30
    assert abs((datetime.now(UTC) - datetime.fromisoformat(found["created_at"])).days) <= 1


def test_a_token_that_would_reach_nothing_is_not_made(runcache: Runcache, tmp_path: Path) -> None:
    ended = runcache("token", "api", "--data", "data", "--write")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: say what it shall reach: `--repo`, `--org` or `--admin`\n")
    assert not (tmp_path / "data").exists()


def test_tokens_are_listed_without_their_text(runcache: Runcache) -> None:
    first = runcache("token", "api", "--data", "data", "--org", "octo", "--repo", "a/b").out.strip()
    second = runcache("token", "api", "--data", "data", "--admin", "--write").out.strip()

    text = runcache("token", "list", "--data", "data")
    listed = json.loads(runcache("token", "list", "--data", "data", "--json").out)

    rows = [line.split() for line in text.out.splitlines()]
    assert [[row[0], row[1], row[2], *row[4:]] for row in sorted(rows, key=lambda row: row[2])] == [
        [first.split("_")[1], "valid", "read", "octo/*", "a/b"],
        [second.split("_")[1], "valid", "write", "*"],
    ]
    assert {token["id"] for token in listed} == {row[0] for row in rows}
    assert "token" not in listed[0]


def test_a_revoked_token_is_still_listed_and_can_be_revoked_again(runcache: Runcache) -> None:
    token_id = runcache("token", "api", "--data", "data", "--admin").out.split("_")[1]

    first = runcache("token", "revoke", token_id, "--data", "data")
    second = runcache("token", "revoke", token_id, "--data", "data", "--json")

    assert (first.code, first.out, first.err) == (0, "", f"revoked `{token_id}`\n")
    assert json.loads(second.out) == {"id": token_id, "revoked": False}
    assert second.err == f"`{token_id}` was revoked before\n"
    assert " revoked " in runcache("token", "list", "--data", "data").out


def test_revoking_what_never_was_fails(runcache: Runcache) -> None:
    runcache("token", "api", "--data", "data", "--admin")

    ended = runcache("token", "revoke", "0000", "--data", "data")

    assert (ended.code, ended.err) == (1, "error: no API token has the id `0000`\n")


def test_looking_for_tokens_makes_no_cache(runcache: Runcache, tmp_path: Path) -> None:
    for args in (("list",), ("revoke", "x")):
        ended = runcache("token", *args, "--data", "data")

        assert ended.code == 2
        assert ended.err.startswith("error: there is no cache: ")
    assert not (tmp_path / "data").exists()
