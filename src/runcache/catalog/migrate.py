"""Brings the schema up to date, on any engine."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from runcache.errors import CatalogUnavailable

SCRIPTS: Final = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in one transaction; harmless when several processes do.

    Raises:
        CatalogUnavailable: the schema is of a newer runcache.
    """
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    with connection.begin():
        present = MigrationContext.configure(connection).get_current_revision()
        if present == ScriptDirectory.from_config(config).get_current_head():
            return
        try:
            command.upgrade(config, "head")
        except CommandError as exc:
            message = (
                f"the catalog has schema `{present}`, which this version of runcache does not know:"
                " upgrade runcache, or name another data folder"
            )
            raise CatalogUnavailable(message) from exc
