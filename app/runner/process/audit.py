"""The run's audit log: which command ran, when, where, as whom, why, and how it ended.

One file in the run's folder, for the whole process: whoever starts a program calls `begin`, and `end` of what it gets.
"""

from __future__ import annotations

import os
import pwd
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, Optional, Sequence

from app.protocol.audit import RUNNER, AuditLines
from app.runner.process.private_files import private
from app.runner.process.user import User

_UV = {
    "install": "install packages",
    "uninstall": "remove packages",
    "compile": "look at a plan",
    "cache": "look at uv",
}


class _Log:
    def __init__(self, path: Path, task_id: str) -> None:
        self._lines = AuditLines(task_id, RUNNER)
        self._lock = threading.Lock()
        self._file: Optional[int] = None
        with suppress(OSError):  # a full disk: the run meets it too, and tells
            self._file = private(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)

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

    def _write(self, line: Optional[bytes]) -> None:
        if line and self._file is not None:
            with suppress(OSError):
                os.write(self._file, line)


class Entry:
    """One command. Its end is noted once; what comes later changes nothing."""

    def __init__(self, log: Optional[_Log], number: Optional[int]) -> None:
        self._log, self._number = log, number
        self._began = time.monotonic()
        self._stopped: Optional[str] = None
        self._heard = False

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Around its start: what cannot be started has ended by that."""
        try:
            yield
        except OSError as exc:
            self._stopped = "not started: %s" % (exc.strerror or type(exc).__name__)
            self.end()
            raise

    def heard(self, stopped: Optional[str], *, enough: bool = False) -> None:
        """It came to its end, or was ended for a limit, or since it had shown all that was wanted."""
        self._heard = True
        self._stopped = "ended: it had shown enough" if enough else stopped and "ended: its %s time was over" % stopped

    def goes_on(self) -> None:
        """It outlives the run, which does not wait for it."""
        self._stopped = "goes on by itself"
        self.end()

    def end(self, status: Optional[int] = None, *, cancelled: bool = False) -> None:
        """It has ended: with its status (negative: by that signal). `cancelled`: the run was asked to stop."""
        log, self._log = self._log, None
        if log is None:
            return
        signalled = status is not None and status < 0
        ended = self._stopped or ("signal %d" % -(status or 0) if signalled else "exited")
        if cancelled and not self._heard:
            ended = "cancelled"
        log.end(self._number, ended, None if signalled else status, time.monotonic() - self._began)


_open: Optional[_Log] = None


def open_log(path: Path, task_id: str) -> None:
    """From now on this process's commands are noted there."""
    global _open  # noqa: PLW0603 - the process has one run
    _open = _Log(path, task_id)


def close_log() -> None:
    """The run is over."""
    global _open
    log, _open = _open, None
    if log is not None:
        log.close()


def begin(
    argv: Sequence[str], cwd: object = "/", *, user: Optional[User] = None, why: str = "", log: Optional[Path] = None
) -> Entry:
    """A command is about to be started. `why`: a few words, by default what the program is asked to do; `log`: its
    output's, which names the pack that it is for. Outside of a run nothing is noted."""
    if _open is None:
        return Entry(None, None)
    words = why or why_of(argv)
    if log is not None and log.parent.name == "nodes":
        words = "%s, for %s" % (words, log.name[: -len(".log")])
    return Entry(_open, _open.begin(argv, str(cwd), _name_of(user), words))


def why_of(argv: Sequence[str]) -> str:
    """What a program is asked to do."""
    words = [part for part in argv if part not in ("/usr/bin/nice", "-n", "10")]
    program = os.path.basename(words[0]) if words else ""
    if program == "git":
        return "git %s" % _command_of(words[1:])
    if program.startswith("uv"):
        asked = next((part for part in words[1:] if part in _UV), "")
        return "resolve packages" if "--dry-run" in words else _UV.get(asked, "look at uv")
    return "run %s" % program


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
