"""Brings the schema up to date, on any engine."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect

from runcache.errors import CatalogUnavailable

HEAD: Final = "0006"
"""The newest revision among the migrations."""

# Any number that nothing else locks.
_MIGRATING: Final = 7310577365314

SCRIPTS: Final = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in one transaction; harmless when several processes do.

    Raises:
        CatalogUnavailable: the schema is of a newer runcache.
    """
    with connection.begin():
        if connection.dialect.name == "postgresql":
            # SQLite's writers wait for each other by themselves.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        present = _revision(connection)
        if present != HEAD:
            _migrate(connection, present)


def is_current(connection: Connection) -> bool:
    """Say whether no migration is missing."""
    return _revision(connection) == HEAD


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _migrate(connection: Connection, present: str | None) -> None:
    # To import these takes longer than all that an embedded store does for a lookup.
    from alembic import command  # noqa: PLC0415  -- see above
    from alembic.config import Config  # noqa: PLC0415  -- see above
    from alembic.util import CommandError  # noqa: PLC0415  -- see above

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        message = (
            f"the catalog has schema `{present}`, which this version of runcache does not know:"
            " upgrade runcache, or name another catalog"
        )
        raise CatalogUnavailable(message) from exc
