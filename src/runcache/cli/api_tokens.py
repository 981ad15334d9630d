"""`runcache token api`, `list` and `revoke`: tokens that the catalog keeps, but not their text."""

import asyncio
from datetime import UTC, datetime, timedelta

import click

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.cli.console import Console, example
from runcache.cli.opened import in_catalog
from runcache.cli.options import talking
from runcache.cli.settings import PLACE, TIME_TO_LIVE, with_settings
from runcache.config import Loaded
from runcache.errors import TokenMissing
from runcache.model import ApiToken
from runcache.server.auth import digest_of, new_api_token
from runcache.service import now_ms


@click.command(
    "api", epilog=example("GH_TOKEN=$(runcache token api --repo octo/hello --write --ttl 7d)")
)
@talking
@with_settings(*PLACE)
@click.option("--repo", "repositories", metavar="OWNER/REPO", multiple=True, help="reach this one")
@click.option("--org", "owners", metavar="OWNER", multiple=True, help="reach all of this owner")
@click.option("--admin", "is_admin", is_flag=True, help="reach every repository")
@click.option("--write", "can_write", is_flag=True, help="delete entries, too")
@click.option("--ttl", type=TIME_TO_LIVE, default="30d", show_default=True, help="validity")
def api_command(
    console: Console,
    *,
    loaded: Loaded,
    repositories: tuple[str, ...],
    owners: tuple[str, ...],
    is_admin: bool,
    can_write: bool,
    ttl: timedelta,
) -> None:
    """Print a token for the REST API, gh and the web pages. It is shown only once."""
    if not (repositories or owners or is_admin):
        raise click.UsageError("say what it shall reach: `--repo`, `--org` or `--admin`")
    token, text = new_api_token(
        repositories=repositories,
        owners=owners,
        can_write=can_write,
        is_admin=is_admin,
        ttl=ttl,
        now_ms=now_ms(),
    )

    async def add() -> None:
        async with open_catalog(loaded.settings.catalog) as catalog:
            await catalog.tokens.add(token, digest_of(text))

    asyncio.run(add())
    console.show(text, {"token": text, **_facts(token)})


@click.command("list", epilog=example("runcache token list --data .runcache"))
@talking
@with_settings(*PLACE)
def list_command(console: Console, *, loaded: Loaded) -> None:
    """List the API tokens, also those that no longer count; their text is nowhere.

    Columns: id, state, what it may do, its last day (UTC), what it reaches.
    """
    tokens = in_catalog(loaded.settings, lambda catalog: catalog.tokens.all())
    console.show("\n".join(map(_line, tokens)), list(map(_facts, tokens)))


@click.command("revoke", epilog=example("runcache token revoke 1f0c8a3b5d7e"))
@talking
@with_settings(*PLACE)
@click.argument("token_id", metavar="ID")
def revoke_command(console: Console, *, loaded: Loaded, token_id: str) -> None:
    """Take an API token back: it stops working at once."""

    async def revoke(catalog: Catalog) -> bool:
        if await catalog.tokens.revoke(token_id, now_ms=now_ms()):
            return True
        if all(token.id != token_id for token in await catalog.tokens.all()):
            raise TokenMissing(token_id)
        return False

    is_new = in_catalog(loaded.settings, revoke)
    console.talk(f"revoked `{token_id}`" if is_new else f"`{token_id}` was revoked before")
    console.show("", {"id": token_id, "revoked": is_new})


def _line(token: ApiToken) -> str:
    owned = [f"{owner}/*" for owner in token.owners]
    reach = ["*"] if token.is_admin else [*owned, *token.repositories]
    may = "write" if token.can_write else "read"
    last_day = _instant(token.expires_at)[:10]
    return f"{token.id}  {_state(token):<7}  {may:<5}  {last_day}  {' '.join(reach)}"


def _facts(token: ApiToken) -> dict[str, object]:
    return {
        "id": token.id,
        "state": _state(token),
        "repositories": token.repositories,
        "owners": token.owners,
        "can_write": token.can_write,
        "is_admin": token.is_admin,
        "created_at": _instant(token.created_at),
        "expires_at": _instant(token.expires_at),
    }


def _state(token: ApiToken) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at <= now_ms() else "valid"


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
