"""Statements about API tokens."""

from typing import Any

import msgspec
from sqlalchemy import Row, insert, select, update

from runcache.catalog.connections import Connections
from runcache.catalog.tables import API_TOKENS
from runcache.model import ApiToken


class Tokens:
    """API tokens. Only the digest of their text is kept."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add(self, token: ApiToken, digest: str) -> None:
        """Record a new token."""
        statement = insert(API_TOKENS).values(
            id=token.id,
            digest=digest,
            repositories=msgspec.json.encode(token.repositories).decode(),
            owners=msgspec.json.encode(token.owners).decode(),
            can_write=token.can_write,
            is_admin=token.is_admin,
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
        await self._connections.write(lambda c: c.execute(statement))

    async def find(self, digest: str) -> ApiToken | None:
        """Return the token with this digest, be it expired or revoked."""
        statement = select(API_TOKENS).where(API_TOKENS.c.digest == digest)
        row = await self._connections.look_up(lambda c: c.execute(statement).one_or_none())
        return None if row is None else _token_of(row)

    async def all(self) -> list[ApiToken]:
        """Return every token, the oldest first."""
        statement = select(API_TOKENS).order_by(API_TOKENS.c.created_at, API_TOKENS.c.id)
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [_token_of(row) for row in rows]

    async def revoke(self, token_id: str, *, now_ms: int) -> bool:
        """Take a token back; say whether there was one with this id that was still valid."""
        statement = (
            update(API_TOKENS)
            .where(API_TOKENS.c.id == token_id, API_TOKENS.c.revoked_at.is_(None))
            .values(revoked_at=now_ms)
        )
        return await self._connections.write(lambda c: c.execute(statement).rowcount == 1)


def _token_of(row: Row[Any]) -> ApiToken:
    return ApiToken(
        row.id,
        tuple(msgspec.json.decode(row.repositories)),
        tuple(msgspec.json.decode(row.owners)),
        row.can_write,
        row.is_admin,
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )
