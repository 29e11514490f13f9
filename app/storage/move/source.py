"""The history that is moved: a SQLite file, which stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DatabaseError

from app.storage.database import open_database
from app.storage.errors import StorageError, storage_error
from app.storage.migration import current_revision
from app.storage.schema import REVISIONS

_COPY = "moving.db"


@contextmanager
def opened_source(url: str) -> Iterator[Engine]:
    """The SQLite file of a stopped service, with today's schema. One with an older schema is copied beside itself
    first, and the copy is brought up to date: the release that it is from can still use it. Raises StorageError."""
    path = Path(str(make_url(url).database))
    if not path.is_file():
        hint = "Name the data folder of the service with --data-dir."
        raise StorageError(f"There is no history in {path}.", hint=hint, code="database_unavailable")
    is_old = _revision(url, path) in REVISIONS[:-1]
    copy = path.with_name(_COPY)
    try:
        if is_old:
            _copy(url, path, copy)
        engine = open_database(f"sqlite:///{copy}" if is_old else url)
        try:
            yield engine
        finally:
            engine.dispose()
    finally:
        _remove(copy)


def _revision(url: str, path: Path) -> str | None:
    engine = create_engine(url)
    try:
        return current_revision(engine)
    except DatabaseError as exc:
        raise storage_error(exc, str(path)) from exc
    finally:
        engine.dispose()


def _copy(url: str, path: Path, copy: Path) -> None:
    _remove(copy)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        copy.touch(mode=0o600)
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
    except (DatabaseError, OSError) as exc:
        message = f"The database {path} cannot be copied beside itself, to bring it up to date: {exc}."
        raise StorageError(message, hint="Free as much space there as it takes.", code="database_full") from exc
    finally:
        engine.dispose()


def _remove(copy: Path) -> None:
    for name in (copy.name, f"{copy.name}-wal", f"{copy.name}-shm", f"{copy.name}.lock"):
        with suppress(OSError):
            copy.with_name(name).unlink()
