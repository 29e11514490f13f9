"""The run's audit log: which command ran, when, where, as whom, why, and how it ended.

One file in the run's folder, for the whole process: whoever starts a program calls `begin`, and `end` of what it gets.
"""

from __future__ import annotations

import os
import pwd
import threading
import time
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence, TypeVar, cast

from app.protocol.audit import RUNNER, AuditLines
from app.protocol.log_names import NODES_FOLDER
from app.runner.process.errors import RunCancelled
from app.runner.process.private_files import private, remove_file
from app.runner.process.user import User

_UV = {
    "install": "install packages",
    "uninstall": "remove packages",
    "compile": "look at a plan",
    "cache": "look at uv",
}
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_reason = threading.local()
_Run = TypeVar("_Run", bound=Callable[..., Any])


class _Log:
    def __init__(self, path: Path, task_id: str) -> None:
        self._lines = AuditLines(task_id, RUNNER)
        self._lock = threading.Lock()
        self._path = path
        self._written = b""
        self._seen: object = None
        self._changed = False
        self._file: Optional[int] = None
        with suppress(OSError):  # a full disk: the run meets it too, and tells
            self._file = private(str(path), _FLAGS)
            self._seen = self._about()

    def begin(self, argv: Sequence[str], cwd: str, user: str, why: str) -> Optional[int]:
        with self._lock:
            number, line = self._lines.begin(argv, at=time.time(), cwd=cwd, user=user, why=why)
            self._write(line)
            return number

    def end(self, number: Optional[int], ended: str, status: Optional[int], seconds: float) -> None:
        with self._lock:
            self._write(self._lines.end(number, ended=ended, status=status, seconds=seconds))

    def close(self) -> None:
        with self._lock:
            self._write(self._lines.last())
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def was_changed(self) -> bool:
        """Whether anybody else has written into the file since this was asked last; it is put back then."""
        with self._lock:
            with suppress(OSError):
                self._check()
            changed, self._changed = self._changed, False
            return changed

    def _write(self, line: Optional[bytes]) -> None:
        if line and self._file is not None:
            with suppress(OSError):
                self._check()
                os.write(self._file, line)
                self._written += line
                self._seen = self._about()

    def _check(self) -> None:
        """Packs' own code may be this user, and write here: the file gets the run's lines again, and no others."""
        if self._file is None or self._about() == self._seen:
            return
        if self._is_intact():
            self._seen = self._about()
            return
        self._changed = True
        remove_file(self._path)
        fd = private(str(self._path), _FLAGS | os.O_EXCL)
        os.write(fd, self._written)
        os.close(self._file)
        self._file, self._seen = fd, self._about()

    def _about(self) -> object:
        try:
            about = os.lstat(str(self._path))
        except OSError:
            return None
        return about.st_ino, about.st_size, about.st_ctime_ns, about.st_mode

    def _is_intact(self) -> bool:
        try:
            with open(str(self._path), "rb", opener=_no_link) as file:
                return file.read(len(self._written) + 1) == self._written
        except OSError:
            return False


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


class Entry:
    """One command. Its end is noted once; what comes later changes nothing."""

    def __init__(self, log: Optional[_Log], number: Optional[int]) -> None:
        self._log, self._number = log, number
        self._began = time.monotonic()

    def end(self, status: Optional[int] = None, how: str = "") -> None:
        """It has ended: with its status (negative: by that signal), or as `how` says."""
        log, self._log = self._log, None
        if log is not None:
            signalled = status is not None and status < 0
            ended = how or ("signal %d" % -(status or 0) if signalled else "exited")
            log.end(self._number, ended, None if how or signalled else status, time.monotonic() - self._began)


_open: Optional[_Log] = None


def open_log(path: Path, task_id: str) -> None:
    """From now on this process's commands are noted there."""
    global _open  # noqa: PLW0603 - the process has one run
    _open = _Log(path, task_id)


def was_changed() -> bool:
    """Whether anybody else has written into the log since this was asked last; it is put back then."""
    return _open is not None and _open.was_changed()


def close_log() -> None:
    """The run is over."""
    global _open
    log, _open = _open, None
    if log is not None:
        log.close()


@contextmanager
def because(why: str) -> Iterator[None]:
    """What this thread starts in the block is for that, in a few words."""
    before = getattr(_reason, "why", "")
    _reason.why = why
    try:
        yield
    finally:
        _reason.why = before


def begin(
    argv: Sequence[str], cwd: object = "/", *, user: Optional[User] = None, log: Optional[Path] = None, why: str = ""
) -> Entry:
    """A command is about to be started. `log`: its output's, which names the pack that it is for; `why`: instead of
    what `because` says. Outside of a run nothing is noted."""
    if _open is None:
        return Entry(None, None)
    why = why or getattr(_reason, "why", "") or why_of(argv)
    if log is not None and log.parent.name == NODES_FOLDER:
        why = "%s, for %s" % (why, log.name[: -len(".log")])
    return Entry(_open, _open.begin(argv, str(cwd), _name_of(user), why))


def noted(run: _Run) -> _Run:
    """Of a method that runs a command to its end: notes both."""

    @wraps(run)
    def noting(self: Any, argv: Sequence[str], **how: Any) -> Any:
        entry = begin(argv, how["cwd"], user=how.get("user"), log=how.get("log"))
        try:
            finished = run(self, argv, **how)
        except RunCancelled:
            entry.end(how="cancelled")
            raise
        except OSError as exc:
            entry.end(how="did not run: %s" % (exc.strerror or type(exc).__name__))
            raise
        stopped = finished.stopped and "ended: its limit (%s) was over" % finished.stopped
        entry.end(finished.code, stopped or ("ended: it had shown enough" if finished.enough else ""))
        return finished

    return cast("_Run", noting)


def why_of(argv: Sequence[str]) -> str:
    """What a program is asked to do."""
    words = [part for part in argv if part not in ("/usr/bin/nice", "-n", "10")]
    program = os.path.basename(words[0]) if words else ""
    if program == "git":
        return "git %s" % _command_of(words[1:])
    if program.startswith("uv"):
        asked = next((part for part in words[1:] if part in _UV), "")
        return "resolve packages" if "--dry-run" in words else _UV.get(asked, "look at uv")
    if words[-1:] == ["install.py"]:
        return "install script"
    return "start ComfyUI" if "main.py" in words else "run %s" % program


def _command_of(words: Sequence[str]) -> str:
    """git's own command, past its options."""
    skip = False
    for word in words:
        if skip or word in ("-c", "-C"):
            skip = not skip
        elif not word.startswith("-"):
            return word
    return ""


def _name_of(user: Optional[User]) -> str:
    if user is not None:
        return user.name or str(user.uid)
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
