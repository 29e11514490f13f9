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
from app.storage.data_folder import logs_of, open_documents
from app.storage.documents import Documents
from app.storage.log_files import LogWriter

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


def database_url_in(folder: Path) -> str:
    """The address of a data folder's database, for who opens it beside its service."""
    return database_of(folder).get("database_url", f"sqlite:///{folder / 'nodeferry.db'}")


@contextmanager
def log_writer(folder: Path, task_id: str) -> Iterator[LogWriter]:
    """Writes a task's logs beside the service in this data folder."""
    engine = open_database(database_url_in(folder))
    try:
        with logs_of(folder, engine)[0].writing(task_id) as writer:
            yield writer
    finally:
        engine.dispose()


@contextmanager
def documents_in(folder: Path) -> Iterator[Documents]:
    """The documents of the service in this data folder."""
    documents = open_documents(folder, database_url_in(folder))
    try:
        yield documents
    finally:
        documents.close()


def _copy(server: PostgreSQL) -> str:
    """A new database with its schema."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection:
        making = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(making.format(sql.Identifier(name), sql.Identifier(_MIGRATED)))
    return server.url(name)
