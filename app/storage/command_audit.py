"""The service's own commands on instances, for the audit log: `logs/<task_id>/commands.ndjson`, beside the task's logs.

What concerns no task (a test of a connection) is a line of the service's log.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from app.protocol.audit import SERVICE, AuditLines, told_argv
from app.storage.private_folder import private, private_folders
from app.storage.progress_files import canonical_task_id

COMMANDS = "commands.ndjson"
MAX_OPEN = 256
_log = logging.getLogger(__name__)


class CommandAudits:
    """All tasks'. Any thread; a disk that refuses a line is told in the service's log, and stops nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._lines: dict[str, AuditLines] = {}

    def of(self, task_id: str | None) -> CommandAudit:
        """What notes the commands of one connection."""
        return CommandAudit(self, task_id and canonical_task_id(task_id))

    def read(self, task_id: str) -> bytes:
        """The lines of a task; none where there are none."""
        path = self._path(canonical_task_id(task_id))
        with suppress(OSError), open(path, "rb", opener=private) as file:
            return file.read()
        return b""

    def append(self, task_id: str, make: Callable[[AuditLines], tuple[int | None, bytes | None]]) -> int | None:
        """Writes a line that `make` makes; its command's number."""
        with self._lock:
            try:
                number, line = make(self._lines_of(task_id))
                if line:
                    private_folders(self._path(task_id).parent)
                    with open(self._path(task_id), "ab", buffering=0, opener=private) as file:
                        file.write(line)
            except OSError as exc:
                lost(task_id, exc)
                return None
            return number

    def _lines_of(self, task_id: str) -> AuditLines:
        if task_id not in self._lines:
            if len(self._lines) >= MAX_OPEN:
                self._lines.clear()  # a file's size is a number that no line of it has
            size = 0
            with suppress(FileNotFoundError):
                size = os.stat(self._path(task_id)).st_size
            self._lines[task_id] = AuditLines(task_id, SERVICE, size)
        return self._lines[task_id]

    def _path(self, task_id: str) -> Path:
        return self._folder / task_id / COMMANDS


def lost(task_id: str, why: Exception) -> None:
    """Says in the service's log that a line could not be kept."""
    _log.warning("task %s: a line of the audit log is lost: %s", task_id, why)


class CommandAudit:
    """One connection's; see `app.remote.host`."""

    def __init__(self, audits: CommandAudits, task_id: str | None) -> None:
        self._audits, self._task_id = audits, task_id

    def begin(self, argv: Sequence[str], user: str, why: str) -> Callable[[int | None, str], None]:
        """A command is about to be started; what is returned is called when it has ended."""
        task_id, began = self._task_id, time.monotonic()
        if task_id is None:
            _log.info("on an instance, as %s (%s): %s", user, why, told_argv(argv))
            return lambda _status, _why: None
        number = self._audits.append(
            task_id, lambda lines: lines.begin(argv, at=time.time(), cwd="~", user=user, why=why)
        )
        over = threading.Event()

        def ended(status: int | None, why_not: str) -> None:
            if over.is_set():
                return
            over.set()
            words = why_not or ("by a signal" if status == -1 else "exited")
            seconds = time.monotonic() - began
            known = None if status == -1 else status
            self._audits.append(
                task_id, lambda lines: (number, lines.end(number, ended=words, status=known, seconds=seconds))
            )

        return ended
