"""A database in a real file, opened as the service opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.storage import InstallStore, open_database
from test.support.database import put_database


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return tmp_path / "home of it" / "nodeferry.db"


@pytest.fixture
def database_url(database_file: Path) -> str:
    return f"sqlite:///{database_file}"


@pytest.fixture
def engine(database_file: Path, database_url: str) -> Iterator[Engine]:
    put_database(database_file.parent)
    opened = open_database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: Engine) -> InstallStore:
    return InstallStore(engine)
