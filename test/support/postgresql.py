"""A real PostgreSQL for tests: one server for each process of a run, an empty database for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

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


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of an empty database, which goes with the test."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgresql.create(name)
    postgresql.drop(name)


@pytest.fixture
def shared_engine(postgresql_url: str) -> Iterator[Engine]:
    """An opened database without any record."""
    engine = open_database(postgresql_url)
    yield engine
    engine.dispose()
