"""A real PostgreSQL for tests: one server for each process of a run, an empty database for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine

from app.standin.postgresql import PostgreSQL, programs
from app.storage.database import open_database


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server."""
    if programs() is None:
        pytest.skip("There is no PostgreSQL here; `make test-deps` installs Debian's.")
    with PostgreSQL(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def schema(postgresql: PostgreSQL) -> str:
    """A database with its schema and without a record, to be copied: to migrate one takes three times as long."""
    open_database(postgresql.create("schema")).dispose()
    return "schema"


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, schema: str) -> Iterator[str]:
    """The address of a database without any record, which goes with the test."""
    with _database(postgresql, schema) as url:
        yield url


@pytest.fixture
def empty_postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of one that nobody has opened yet."""
    with _database(postgresql) as url:
        yield url


@contextmanager
def _database(server: PostgreSQL, template: str = "template0") -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    yield server.create(name, template)
    server.drop(name)


@pytest.fixture
def shared_engine(postgresql_url: str) -> Iterator[Engine]:
    """An opened database without any record."""
    engine = open_database(postgresql_url)
    yield engine
    engine.dispose()
