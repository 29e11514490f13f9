"""What can go wrong with the service's own disk and database, said so that a person can act on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.domain.errors import AppError
from app.protocol.snapshot import Problem
from app.storage import postgresql


class StorageError(AppError):
    """The service's database or progress folder cannot be used.

    Codes: database_corrupt, database_newer, database_read_only, database_full, database_locked,
    database_unavailable, progress_unavailable, storage_error.
    """

    code = "storage_error"


class LeaseLost(Exception):
    """Another service has taken the install over. Nothing was written, and the writer is to release it."""


KEEP_HINT = (
    "Move the file to another folder: Nodeferry then creates a new one. If you have a backup, put it in its place."
)

# SQLite's result codes by the beginning of their names: https://www.sqlite.org/rescode.html
_SQLITE: Mapping[str, Problem] = {
    "SQLITE_NOTADB": Problem("database_corrupt", "{where} is not a SQLite database.", KEEP_HINT),
    "SQLITE_CORRUPT": Problem("database_corrupt", "The database {where} is damaged.", KEEP_HINT),
    "SQLITE_READONLY": Problem(
        "database_read_only",
        "The database {where} cannot be written.",
        "Check who owns the file and its folder, and that the disk is not read-only.",
    ),
    "SQLITE_CANTOPEN": Problem(
        "database_unavailable",
        "The database {where} cannot be opened.",
        "Check that its folder exists and can be written, or set NODEFERRY_DATA_DIR to another one.",
    ),
    "SQLITE_FULL": Problem(
        "database_full", "The disk with the database {where} is full.", "Free some space, then try again."
    ),
    "SQLITE_IOERR": Problem(
        "database_unavailable",
        "The disk with the database {where} reports an error.",
        "Check that the disk is healthy, has room, and is not a network folder.",
    ),
    "SQLITE_BUSY": Problem(
        "database_locked",
        "The database {where} is locked by another program.",
        "Close the program that has it open, and try again.",
    ),
}


def storage_error(exc: SQLAlchemyError, where: str) -> StorageError:
    """The StorageError for what the database layer raised; `where` names the database, without its password."""
    if isinstance(exc, PoolTimeout):
        return StorageError(f"The database {where} did not answer in time.", code="database_locked")
    original = exc.orig if isinstance(exc, DBAPIError) else None
    name = getattr(original, "sqlite_errorname", None) or ""
    for prefix, problem in _SQLITE.items():
        if name.startswith(prefix):
            return StorageError(problem.message.format(where=where), hint=problem.hint, code=problem.code)
    told = None if original is None or name else postgresql.problem_of(original)
    if told is not None:
        return StorageError(told.message.format(where=where), hint=told.hint, code=told.code)
    reason = original if isinstance(original, sqlite3.Error) else exc.__class__.__name__
    return StorageError(f"The database {where} reports an error: {reason}.")
