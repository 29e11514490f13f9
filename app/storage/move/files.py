"""The files of a data folder: documents, logs, and the service's own commands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from app.protocol.task_id import is_task_id
from app.storage.command_audit import COMMANDS
from app.storage.errors import StorageError
from app.storage.log_files import BLOCK_BYTES, Kept, is_open, kept_logs
from app.storage.move.sums import Progress, Sum
from app.storage.private_file import read_private
from app.storage.shared_tables import documents, log_files, log_pieces, task_logs

_NAMES = ("tokens.json", "sessions.json", "status-links.json", "workflow-answers.json", "notifications.json")
_PLACE = "{task_id}/{name}/{at}"
_FOLDERS = (("workflow-files", ".json.z"), ("proofs", ".json"), ("proofs", ".graph.z"))


def move_documents(data_dir: Path, target: Connection, progress: Progress) -> Sum:
    """Copies every document; what was read."""
    found = Sum()
    names = list(_document_names(data_dir))
    for name in names:
        content = read_private(data_dir / name)
        if content is not None:
            written_at = (data_dir / name).stat().st_mtime
            target.execute(insert(documents), {"name": name, "content": content, "written_at": written_at})
            found.add_bytes(name.encode(), content)
        progress("documents", found.rows, len(names))
    return found


def sum_of_documents(connection: Connection) -> Sum:
    """What the documents there are."""
    found = Sum()
    query = select(documents.c.name, documents.c.content).execution_options(stream_results=True, yield_per=1)
    for name, content in connection.execute(query):
        found.add_bytes(name.encode(), bytes(content))
    return found


def move_logs(data_dir: Path, target: Connection, progress: Progress) -> Sum:
    """Copies the logs of every task, and what the service itself has run for it; what was read."""
    found, folder = Sum(), data_dir / "logs"
    tasks = sorted(path.name for path in folder.iterdir() if is_task_id(path.name)) if folder.is_dir() else []
    for number, task_id in enumerate(tasks, 1):
        target.execute(insert(task_logs), {"task_id": task_id, "is_open": is_open(folder / task_id)})
        for log in _logs_of(folder / task_id):
            for piece in log.pieces():
                target.execute(insert(log_pieces), piece)
                found.add_bytes(_PLACE.format(**piece).encode(), piece["content"])
            target.execute(insert(log_files), log.row())
        progress("logs", number, len(tasks))
    return found


def sum_of_logs(connection: Connection) -> Sum:
    """What the logs there are."""
    found = Sum()
    query = select(log_pieces.c.task_id, log_pieces.c.name, log_pieces.c.at, log_pieces.c.content)
    for row in connection.execute(query.execution_options(stream_results=True, yield_per=4)).mappings():
        found.add_bytes(_PLACE.format(**row).encode(), bytes(row["content"]))
    ends = select(func.coalesce(func.sum(log_files.c.size), 0))
    if connection.execute(ends).scalar_one() != connection.execute(_LENGTHS).scalar_one():
        raise StorageError("The logs that arrived are not as long as they should be.")
    return found


@dataclass(frozen=True, slots=True)
class _Log:
    """One log of a task's folder."""

    folder: Path
    name: str
    kept: Kept

    def pieces(self) -> Iterator[dict[str, Any]]:
        """Its bytes, as rows; as many as it had when it was looked at."""
        with open(self.folder / self.name, "rb", opener=_no_link) as file:
            for at in range(0, self.kept.size, BLOCK_BYTES):
                content = file.read(min(BLOCK_BYTES, self.kept.size - at))
                yield {"task_id": self.folder.name, "name": self.name, "at": at, "content": content}

    def row(self) -> dict[str, Any]:
        """How it is kept."""
        size, base, full = self.kept
        return {"task_id": self.folder.name, "name": self.name, "size": size, "base": base, "is_full": full}


def _logs_of(folder: Path) -> Iterator[_Log]:
    for name, kept in kept_logs(folder).items():
        yield _Log(folder, name, kept)
    if (folder / COMMANDS).is_file():
        yield _Log(folder, COMMANDS, Kept((folder / COMMANDS).stat().st_size))


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _document_names(data_dir: Path) -> Iterator[str]:
    yield from (name for name in _NAMES if (data_dir / name).exists())
    for folder, ending in _FOLDERS:
        yield from sorted(f"{folder}/{path.name}" for path in (data_dir / folder).glob(f"*{ending}"))


_LENGTHS = select(func.coalesce(func.sum(func.length(log_pieces.c.content)), 0))
