"""A database as the service opens it: what the stores promise holds on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.storage import InstallStore, open_database
from test.support.database import put_database


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that has an `engine` runs on both, unless its mark says that it is about one."""
    if "on" in metafunc.fixturenames:
        both = ["sqlite", "postgresql"]
        only = [each for each in both if metafunc.definition.get_closest_marker(each)]
        metafunc.parametrize("on", only or both)


@pytest.fixture
def on() -> str:
    """Where a test asks for an `engine` while it runs."""
    return "sqlite"


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return tmp_path / "home of it" / "nodeferry.db"


@pytest.fixture
def database_url(database_file: Path) -> str:
    return f"sqlite:///{database_file}"


@pytest.fixture
def engine(on: str, request: pytest.FixtureRequest, database_file: Path) -> Iterator[Engine]:
    if on == "sqlite":
        put_database(database_file.parent)
    opened = open_database(request.getfixturevalue("database_url" if on == "sqlite" else "postgresql_url"))
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: Engine) -> InstallStore:
    return InstallStore(engine)
