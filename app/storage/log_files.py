"""The logs of runs as they came from their instances: `logs/<task_id>/run.log`, `…/nodes/NAME.log`.

What was written is never changed, so that a byte's offset stays good for readers. How much of the instance's file is
here is the file's size; for the few that were cut off or begun anew a file beside it says more.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from app.protocol.log_names import NODES_FOLDER, is_log_name
from app.protocol.task_id import is_task_id
from app.storage.errors import StorageError
from app.storage.private_folder import private, private_folders
from app.storage.progress_files import canonical_task_id

FILE_BYTES = 4 * 1024 * 1024
TASK_BYTES = 64 * 1024 * 1024
MAX_FILES = 2000
"""What is kept of one log, of all logs of a task, and how many logs."""
BLOCK_BYTES = 256 * 1024
NO_MORE = -1
_CUT = b"\n[the log is cut off here; the rest is on the instance]\n"
ANEW = b"\n[the log begins anew here]\n"
REST_IS_THERE = b"\n[not all of this task's logs came here before the line was cut; they are whole on the instance]\n"
_OPEN = "open"
"""A file in the task's folder from when its logs begin to be kept until the follower has said that this was all."""


class Kept(NamedTuple):
    """One log: its size here, the size here when it was begun anew, and whether nothing more is taken."""

    size: int
    base: int = 0
    full: bool = False

    @property
    def source(self) -> int:
        """How much of the instance's file is here."""
        return NO_MORE if self.full else self.size - self.base


class LogWriter(ABC):
    """Keeps the logs of one task. For one thread; one at a time a task. Raises StorageError."""

    def __init__(self, kept: dict[str, Kept]) -> None:
        """`kept`: what is here already, by the logs' names."""
        self._kept = kept
        self.is_cut = False
        """Whether nothing more is kept: all logs together are too large."""

    def sizes(self) -> dict[str, int]:
        """How much of each log of the instance is here; -1 for one of which no more is taken."""
        return {name: kept.source for name, kept in self._kept.items()}

    @abstractmethod
    def all_came(self) -> None:
        """The follower has said that this was all."""

    def leave(self) -> None:  # noqa: B027  # files know it by their thread
        """Nothing more comes from this writer."""

    @abstractmethod
    def mark_incomplete(self) -> None:
        """The run has ended, and the rest does not come."""

    def append(self, name: str, at: int, content: bytes, *, anew: bool = False) -> int:
        """Keeps what stands at byte `at` of the instance's log, if that is where the log ends here; how much of it is
        here then, as `sizes` says. `anew`: the instance has another file now, which begins with this."""
        kept = self._kept.get(name, Kept(0))
        if kept.full or not is_log_name(name) or (name not in self._kept and len(self._kept) >= MAX_FILES):
            return NO_MORE
        if anew and at == 0 and kept.source > 0:
            size = kept.size + len(ANEW)
            kept = self._put(name, ANEW, Kept(size, base=size))
        if at != kept.source:
            return kept.source
        others = sum(other.size for key, other in self._kept.items() if key != name)
        room = 0 if self.is_cut else max(0, min(FILE_BYTES, TASK_BYTES - others) - kept.size)
        full = len(content) > room
        content = content[:room] + _CUT if full else content
        return self._put(name, content, kept._replace(size=kept.size + len(content), full=full)).source

    @abstractmethod
    def _put(self, name: str, content: bytes, kept: Kept) -> Kept:
        """Appends `content` to a log, which is `kept` then; what is kept of it in truth."""


class FolderWriter(LogWriter):
    """In a folder of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            private_folders(folder)
            (folder / _OPEN).touch(mode=0o600)
            super().__init__(kept_logs(folder))
        except OSError as exc:
            raise _unavailable(folder, exc) from exc

    def all_came(self) -> None:
        """See `LogWriter`."""
        (self._folder / _OPEN).unlink(missing_ok=True)

    def mark_incomplete(self) -> None:
        """See `LogWriter`."""
        _close(self._folder)

    def _put(self, name: str, content: bytes, kept: Kept) -> Kept:
        path = self._folder / name
        try:
            _append(path, content)
            if kept.full or kept.base:
                with open(_mark(path), "w", encoding="ascii", opener=private) as file:
                    file.write(json.dumps({"base": kept.base, "full": kept.full}))
        except OSError as exc:
            raise _unavailable(path, exc) from exc
        self._kept[name] = kept
        return kept


class Logs(ABC):
    """The logs of every task. Any thread; raises StorageError. A task_id that is no UUID is refused with
    InvalidRequest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: dict[str, LogWriter | None] = {}

    @contextmanager
    def writing(self, task_id: str) -> Iterator[LogWriter]:
        """What keeps a task's logs, for the thread that follows its run."""
        canonical_task_id(task_id)
        with self._lock:
            self._written[task_id] = None
        try:
            writer = self._writer(task_id)
            with self._lock:
                self._written[task_id] = writer
            try:
                yield writer
            finally:
                writer.leave()
        finally:
            with self._lock:
                self._written.pop(task_id, None)

    def cut_written(self) -> None:
        """Nothing more is kept of the logs that are written now; each says so at its end."""
        with self._lock:
            for writer in filter(None, self._written.values()):
                writer.is_cut = True

    def is_written(self, task_id: str) -> bool:
        """Whether more may come right now."""
        with self._lock:
            return task_id in self._written

    def blocks(self, task_id: str, name: str) -> Iterator[bytes]:
        """A log from its beginning, in blocks that end where a line ends, if it ends within a block's size."""
        offset, size = 0, 1
        while offset < size:
            raw, size = self.read(task_id, name, offset, BLOCK_BYTES)
            if offset + len(raw) < size:
                raw = raw[: raw.rfind(b"\n") + 1] or raw
            if not raw:
                return
            yield raw
            offset += len(raw)

    def totals(self) -> dict[str, int]:
        """The bytes of each task's logs, for every task that logs are here of."""
        return {task_id: sum(self.sizes(task_id).values()) for task_id in self.tasks()}

    @abstractmethod
    def _writer(self, task_id: str) -> LogWriter: ...

    @abstractmethod
    def sizes(self, task_id: str) -> dict[str, int]:
        """The logs of a task that are here, and their sizes in bytes."""

    @abstractmethod
    def read(self, task_id: str, name: str, offset: int, limit: int) -> tuple[bytes, int]:
        """At most `limit` bytes of a log from byte `offset` on, and its size; nothing and 0 for one that is not here.
        `name` is one of `app.protocol.log_names`."""

    @abstractmethod
    def close(self, task_id: str) -> None:
        """Nothing more comes of a task that has ended. Where not all came, its run's log says so."""

    @abstractmethod
    def tasks(self) -> list[str]:
        """The tasks that logs are here of."""

    @abstractmethod
    def remove(self, task_id: str) -> None:
        """Removes the logs of a task, if there are any."""


class LogFiles(Logs):
    """In one folder (0700, made when missing)."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def _writer(self, task_id: str) -> LogWriter:
        return FolderWriter(self._of(task_id))

    def sizes(self, task_id: str) -> dict[str, int]:
        """See `Logs`."""
        folder = self._of(task_id)
        try:
            return {name: (folder / name).stat().st_size for name in _names(folder)}
        except OSError as exc:
            raise _unavailable(folder, exc) from exc

    def read(self, task_id: str, name: str, offset: int, limit: int) -> tuple[bytes, int]:
        """See `Logs`."""
        path = self._of(task_id) / name
        if not is_log_name(name):
            return b"", 0
        try:
            with open(path, "rb", opener=_no_link) as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(offset)
                return file.read(min(limit, max(0, size - offset))), size
        except FileNotFoundError:
            return b"", 0
        except OSError as exc:
            raise _unavailable(path, exc) from exc

    def close(self, task_id: str) -> None:
        """See `Logs`."""
        folder = self._of(task_id)
        if not self.is_written(task_id):
            _close(folder)

    def tasks(self) -> list[str]:
        """See `Logs`."""
        try:
            return sorted(name for name in os.listdir(self._folder) if is_task_id(name))
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise _unavailable(self._folder, exc) from exc

    def remove(self, task_id: str) -> None:
        """See `Logs`."""
        folder = self._of(task_id)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise _unavailable(folder, exc) from exc

    def _of(self, task_id: str) -> Path:
        return self._folder / canonical_task_id(task_id)


def kept_logs(folder: Path) -> dict[str, Kept]:
    """The logs in a task's folder, and how each is kept. Raises OSError."""
    return {name: _read_kept(folder, name) for name in _names(folder)}


def is_open(folder: Path) -> bool:
    """Whether not all logs of a task's folder have come."""
    return (folder / _OPEN).exists()


def _append(path: Path, content: bytes) -> None:
    """Appends all of `content`, or nothing: what a full disk has taken of it goes again. Raises OSError.

    Hundreds of runs write pieces all the time, and each call of the system is one more wait for Python's lock."""
    file, written = _opened(path), 0
    try:
        while written < len(content):
            written += os.write(file, content[written:] if written else content)
    except OSError:
        if written:
            os.ftruncate(file, os.fstat(file).st_size - written)
        raise
    finally:
        os.close(file)


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        return private(str(path), flags)
    except FileNotFoundError:  # its folder
        private_folders(path.parent)
        return private(str(path), flags)


def _close(folder: Path) -> None:
    """Says in the run's log that not all came, if so."""
    try:
        if is_open(folder):
            with open(folder / "run.log", "ab", buffering=0, opener=private) as file:
                file.write(REST_IS_THERE)
            (folder / _OPEN).unlink(missing_ok=True)
    except OSError as exc:
        raise _unavailable(folder, exc) from exc


def _names(folder: Path) -> list[str]:
    """The logs below a task's folder."""
    found = []
    for part in ("", NODES_FOLDER):
        try:
            with os.scandir(folder / part) as entries:
                names = [f"{part}/{entry.name}" if part else entry.name for entry in entries]
        except FileNotFoundError:
            continue
        found += [name for name in names if is_log_name(name)]
    return sorted(found)


def _read_kept(folder: Path, name: str) -> Kept:
    path = folder / name
    size = path.stat().st_size
    try:
        mark = json.loads(_mark(path).read_bytes())
        return Kept(size, min(int(mark["base"]), size), bool(mark["full"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Kept(size)


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.kept")


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _unavailable(path: Path, exc: OSError) -> StorageError:
    hint = "Check that the disk has free space and that NODEFERRY_DATA_DIR can be written."
    return StorageError(f"The log {path} cannot be used: {exc.strerror or exc}.", hint=hint, code="logs_unavailable")
