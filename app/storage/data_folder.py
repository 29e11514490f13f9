"""What a service keeps beside its records, and where: as files in the data folder of the one process that SQLite
allows, or in PostgreSQL, which any number of processes share. Only here it is decided which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from app.storage.command_audit import CommandAudits
from app.storage.documents import Documents, FolderDocuments
from app.storage.log_files import LogFiles, Logs
from app.storage.token_file import Tokens


def open_documents(data_dir: Path, database_url: str) -> Documents:
    """The documents of a service; nothing is opened before the first is used."""
    if not database_url.startswith("postgresql"):
        return FolderDocuments(data_dir)
    from app.storage.database import open_database
    from app.storage.shared_documents import SharedDocuments

    return SharedDocuments(lambda: open_database(database_url))


@contextmanager
def opened_tokens(data_dir: Path, database_url: str) -> Iterator[Tokens]:
    """The tokens of a service, for the command line."""
    documents = open_documents(data_dir, database_url)
    try:
        yield Tokens(documents)
    finally:
        documents.close()


def logs_of(
    data_dir: Path, engine: Engine, start: Callable[[str, Callable[[], None]], object] | None = None
) -> tuple[Logs, CommandAudits]:
    """The logs of the tasks, and the service's own commands on their instances. `start`: starts a thread by its name;
    without it nothing is written by one."""
    folder = data_dir / "logs"
    if engine.dialect.name != "postgresql":
        return LogFiles(folder), CommandAudits(folder)
    from app.storage.log_table import LogTable, SharedAudits

    return LogTable(engine, start), SharedAudits(engine)
