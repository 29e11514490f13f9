"""Bringing the schema up to date. One that is up to date is recognised without importing Alembic, which is slow."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, Engine, func, inspect, select, text

from app.storage.errors import StorageError
from app.storage.schema import REVISIONS
from app.storage.transactions import NO_BEGIN, place_of, reading

MIGRATIONS = Path(__file__).with_name("migrations")

_NEWER = "Use that newer version, or set NODEFERRY_DATA_DIR to another folder."
_NEWER_SHARED = "Install that newer version on this host too, or name another database in NODEFERRY_DATABASE_URL."
_MIGRATING = 0x4E46_0003
"""Names PostgreSQL's advisory lock of whoever migrates."""
_MIGRATE_SECONDS = 120
"""How long a process waits for another one that migrates."""

# Alembic keeps what it is migrating in a global of the process: two threads would write into one database.
_ALEMBIC = threading.Lock()


def migrate(engine: Engine) -> bool:
    """Run the migrations that are missing, all in one transaction; whether there were any.

    On SQLite the caller holds the lock on the database's file. Raises StorageError (`database_newer`) for a schema
    that this version does not know.
    """
    found = current_revision(engine)
    if found == REVISIONS[-1]:
        return False
    if found is not None and found not in REVISIONS:
        raise StorageError(
            f"The database {place_of(engine)} was made by a newer Nodeferry "
            f"(schema {found}; this one knows up to {REVISIONS[-1]}).",
            hint=_NEWER_SHARED if engine.dialect.name == "postgresql" else _NEWER,
            code="database_newer",
        )
    _upgrade(engine)
    return True


def current_revision(engine: Engine) -> str | None:
    """The schema's revision; None for a database without one."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def _upgrade(engine: Engine) -> None:
    with engine.execution_options(**{NO_BEGIN: True}).connect() as connection:
        connection.detach()  # closed afterwards, not put back: it has its foreign keys off
        if engine.dialect.name == "sqlite":
            # A migration may rebuild a table: with foreign keys on, dropping the old one deletes what refers to it.
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif engine.dialect.name == "postgresql":
            # Of processes that open it at once one migrates, and the others then find nothing left to do.
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MIGRATE_SECONDS}s'")
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        _run_alembic(connection)
        connection.commit()


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()  # no ini file, and env.py never calls fileConfig: logging stays as the service set it up
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _ALEMBIC:
        command.upgrade(config, "head")
