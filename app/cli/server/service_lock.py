"""One service a data folder: a locked file there that also says where the service listens."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from app.cli.errors import CliError
from app.storage.private_folder import make_private, private_folders

FILE_NAME = "service.lock"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunningService:
    """Who holds the data folder. `url` is empty while it is still starting; `is_own`: this user or root."""

    url: str
    pid: int | None
    is_own: bool = True


def close_to_others(data_dir: Path) -> None:
    """Makes the data folder its user's alone, and says so where it was not. Raises StorageError for a folder of another
    user."""
    opened = make_private(data_dir)
    if opened:
        text = (
            "other users of this machine could look into the data folder %s: %d files and folders are now yours alone"
        )
        _log.warning(text, data_dir, opened)


class ServiceLock:
    """Held by a running service while its process lives. Raises CliError on entering when another one holds it."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self._fd = -1

    def __enter__(self) -> ServiceLock:
        try:
            private_folders(self._path.parent)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            hint = "Choose a writable folder with --data-dir or NODEFERRY_DATA_DIR."
            raise CliError(f"The data folder {self._path.parent} cannot be used: {exc.strerror}.", hint=hint) from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._close()
            raise _taken(self._path.parent) from exc
        os.ftruncate(self._fd, 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._fd, 0)
        self._close()

    def write_address(self, url: str) -> None:
        """Write down where the service listens."""
        os.pwrite(self._fd, json.dumps({"url": url, "pid": os.getpid()}).encode("ascii"), 0)

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1


def running_service(data_dir: Path) -> RunningService | None:
    """The service that runs on the data folder, if one does."""
    try:
        fd = os.open(data_dir / FILE_NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            raw = json.loads(os.pread(fd, 4096, 0))
            is_own = os.fstat(fd).st_uid in (os.geteuid(), 0)
            return RunningService(str(raw["url"]), int(raw["pid"]), is_own)
        except (KeyError, TypeError, ValueError):  # it is still starting
            return RunningService("", None)
    finally:
        os.close(fd)
    return None


def _taken(data_dir: Path) -> CliError:
    holder = running_service(data_dir)
    where = f" at {holder.url} (pid {holder.pid})" if holder and holder.url else ""
    return CliError(
        f"Another service already uses the data folder {data_dir}{where}.",
        hint="Use that service, stop it, or choose another folder with --data-dir.",
    )
