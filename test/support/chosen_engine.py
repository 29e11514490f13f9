"""Which engine the services of tests run on: `pytest --engine postgresql` runs them on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from app.standin.postgresql import PostgreSQL
from app.storage import open_database

_MIGRATED = "migrated"
_servers: list[PostgreSQL] = []
_urls: dict[Path, str] = {}


@contextmanager
def on_postgresql(server: PostgreSQL) -> Iterator[None]:
    """Services have databases on this server for the block."""
    open_database(server.create(_MIGRATED)).dispose()
    _servers.append(server)
    yield
    _servers.remove(server)
    _urls.clear()


def database_of(folder: Path) -> dict[str, str]:
    """The setting that gives a data folder its database: the same one again for the same folder. Nothing on SQLite."""
    if not _servers:
        return {}
    if folder not in _urls:
        _urls[folder] = _copy(_servers[-1])
    return {"database_url": _urls[folder]}


def _copy(server: PostgreSQL) -> str:
    """A new database with its schema."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection:
        making = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(making.format(sql.Identifier(name), sql.Identifier(_MIGRATED)))
    return server.url(name)
