"""Running git, uv and the packs' scripts: each in a session of its own, with deadlines, and gone when the run is.

Every child inherits the descriptor of the ui_home's lock, so that a new run never races what a killed one left, and
carries the run's mark in its environment.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Callable, Dict, List, Mapping, Optional, Sequence, Set

from app.runner import processes
from app.runner.faults import RunCancelled

_TAIL_BYTES = 16 * 1024
_LOOK_SECONDS = 0.2
_AFTER_EXIT_SECONDS = 0.5


@dataclass(frozen=True)
class Limits:
    """Seconds that a child may be silent, and may take in all."""

    idle: float = 120.0
    total: float = 1800.0


@dataclass(frozen=True)
class Finished:
    """How a child ended. `stopped` is None, or why it was ended: `idle` or `total`."""

    code: int
    output: str
    """The end of what it wrote, stdout and stderr together."""
    stopped: Optional[str] = None

    @property
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.code == 0 and self.stopped is None

    def last_lines(self, count: int = 3) -> str:
        """Its last lines that are not empty, joined by ` | `."""
        lines = [line.strip() for line in self.output.replace("\r", "\n").split("\n") if line.strip()]
        return " | ".join(lines[-count:])


class Children:
    """The children of one run."""

    def __init__(self, task_id: str, groups_file: Path, cancelled: threading.Event) -> None:
        self._environ = {**_base_environ(), processes.MARK: task_id}
        self._groups_file = groups_file
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._live: Set[int] = set()
        self.inherited_fd: Optional[int] = None
        """The ui_home's lock, once it is held."""

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        environ: Optional[Mapping[str, str]] = None,
        limits: Limits = Limits(),
        on_output: Optional[Callable[[bytes], None]] = None,
        log: Optional[Path] = None,
        keep_bytes: int = _TAIL_BYTES,
    ) -> Finished:
        """Runs `argv` to its end or its limits. `on_output` gets each piece of stdout and stderr as it comes;
        the last `keep_bytes` of them are the result's output.
        Raises RunCancelled when the run is asked to stop, after the child is gone; OSError when it cannot be
        started."""
        if self._cancelled.is_set():
            raise RunCancelled
        fds = () if self.inherited_fd is None else (self.inherited_fd,)
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=str(cwd),
            env={**self._environ, **(environ or {})},
            start_new_session=True,
            pass_fds=fds,
        )
        self._started(child.pid)
        try:
            return self._follow(child, limits, _Sinks(on_output, log), keep_bytes)
        finally:
            processes.end_groups({child.pid})
            child.wait()
            if child.stdout:
                child.stdout.close()
            self._ended(child.pid)

    def _follow(self, child: subprocess.Popen[bytes], limits: Limits, sinks: _Sinks, keep_bytes: int) -> Finished:
        started = heard = time.monotonic()
        tail = bytearray()
        stopped = None
        with sinks:
            while stopped is None:
                piece = _read(child)
                now = time.monotonic()
                if piece:
                    heard = now
                    tail = (tail + piece)[-keep_bytes:]
                    sinks.take(piece)
                elif child.poll() is not None and (piece == b"" or now - heard > _AFTER_EXIT_SECONDS):
                    break  # it has ended; what it started may still hold its output open
                if self._cancelled.is_set():
                    raise RunCancelled
                stopped = _over(limits, now - started, now - heard)
        code = -1 if stopped else int(child.returncode)
        return Finished(code, tail.decode("utf-8", "replace"), stopped)

    def _started(self, pid: int) -> None:
        line = "%d %s %s\n" % (pid, processes.start_time(pid) or 0, processes.boot_id())
        fd = os.open(str(self._groups_file), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode("ascii"))
        finally:
            os.close(fd)
        with self._lock:
            self._live.add(pid)

    def _ended(self, pid: int) -> None:
        with self._lock:
            self._live.discard(pid)


class _Sinks:
    """Where a child's output goes besides its tail."""

    def __init__(self, on_output: Optional[Callable[[bytes], None]], log: Optional[Path]) -> None:
        self._on_output = on_output
        self._log = log
        self._file: Optional[BinaryIO] = None

    def __enter__(self) -> _Sinks:
        if self._log is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = open(str(self._log), "ab", buffering=0)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file:
            self._file.close()

    def take(self, piece: bytes) -> None:
        """One piece of output."""
        if self._file:
            self._file.write(piece)
        if self._on_output:
            self._on_output(piece)


def _read(child: subprocess.Popen[bytes]) -> Optional[bytes]:
    """A piece of output; empty at its end; None when there is nothing yet."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], _LOOK_SECONDS)
    piece = os.read(child.stdout.fileno(), 65536) if ready else None
    if piece == b"":
        select.select([], [], [], 0.02)  # closed, yet perhaps not ended: do not spin
    return piece


def _over(limits: Limits, total: float, idle: float) -> Optional[str]:
    if total > limits.total:
        return "total"
    return "idle" if idle > limits.idle else None


def read_groups(path: Path) -> Dict[str, Dict[int, int]]:
    """The recorded groups by boot id: {boot: {group: start time}}."""
    groups: Dict[str, Dict[int, int]] = {}
    try:
        lines: List[str] = path.read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return groups
    for line in lines:
        parts = line.split()
        if len(parts) == 3 and parts[0].isdigit() and parts[1].isdigit():
            groups.setdefault(parts[2], {})[int(parts[0])] = int(parts[1])
    return groups


def _base_environ() -> Dict[str, str]:
    """The login's environment, with a locale that programs can print in and nothing that would ask questions."""
    fixed = {
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "DEBIAN_FRONTEND": "noninteractive",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GCM_INTERACTIVE": "never",
    }
    kept = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
    }
    path = kept.get("PATH", "")
    extra = [folder for folder in ("/usr/local/bin", "/usr/bin", "/bin") if folder not in path.split(":")]
    return {**kept, "PATH": ":".join([part for part in [path, *extra] if part]), **fixed}
