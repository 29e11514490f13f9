"""A database in a real file, opened as the service opens it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.storage import InstallStore, open_database


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return tmp_path / "home of it" / "nodeferry.db"


@pytest.fixture
def database_url(database_file: Path) -> str:
    return f"sqlite:///{database_file}"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with its schema: migrating takes a hundred times as long as copying."""
    path = tmp_path_factory.mktemp("migrated") / "nodeferry.db"
    open_database(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def engine(migrated_file: Path, database_file: Path, database_url: str) -> Iterator[Engine]:
    database_file.parent.mkdir(mode=0o700)
    shutil.copy(migrated_file, database_file)
    opened = open_database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: Engine) -> InstallStore:
    return InstallStore(engine)
