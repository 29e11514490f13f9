"""Finding and ending the processes of one stand-in, by what /proc says of them. Linux only.

A runner double-forks into a session of its own, so neither parents nor groups tell whose it is. Its HOME does, which
sshd gave it and every child inherits; a folder below the stand-in as working directory or first word does too.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.standin.errors import StillRunning

PROC = Path("/proc")
_TCP_LISTEN = "0A"
_SCRIPT_WITHIN = 6
"""`python -I -S -u SCRIPT`: among the first words."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `started` (clock ticks since boot) tells it from a later one with the same pid."""

    pid: int
    started: int


def all_processes() -> Iterator[Process]:
    """Every process but zombies, this one and those that it runs under."""
    own: set[int] = set()  # this process and its ancestors
    pid = os.getpid()
    while pid > 0 and pid not in own:
        own.add(pid)
        stat = _stat(pid)
        pid = int(stat[1]) if stat else 0
    for name in os.listdir(PROC):
        if name.isdigit() and int(name) not in own:
            stat = _stat(int(name))
            if stat is not None and stat[0] not in ("Z", "X"):
                yield Process(int(name), int(stat[19]))


def processes_below(root: Path) -> set[Process]:
    """Processes whose HOME, working directory, program or script lies below `root`."""
    below = os.fsencode(root) + b"/"
    return {process for process in all_processes() if _lives(process.pid, below)}


def processes_at_port(port: int, *, listening: bool) -> set[Process]:
    """Processes that hold a TCP socket with this local IPv4 port: the listening one, or the connections."""
    sockets = set()
    for line in (PROC / "net" / "tcp").read_text("ascii").splitlines()[1:]:
        words = line.split()
        if int(words[1].rpartition(":")[2], 16) == port and (words[3] == _TCP_LISTEN) == listening:
            sockets.add(f"socket:[{words[9]}]")
    sockets.discard("socket:[0]")
    return {process for process in all_processes() if sockets and sockets & _open_files(process.pid)}


def command_line(process: Process) -> str:
    """The command line, for messages; empty when the process is gone."""
    return _read(process.pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()


def kill(process: Process, signal_number: int = signal.SIGKILL) -> None:
    """Send a signal, unless the process has ended, or its pid is another's by now."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        stat = _stat(process.pid)
        if stat is not None and int(stat[19]) == process.started:
            signal.pidfd_send_signal(descriptor, signal_number)
            select.select([descriptor], [], [], 0.5)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def end_all(find: Callable[[], set[Process]], *, timeout: float = 10.0) -> None:
    """Kill what `find` finds until it has twice found nothing (a process may fork while it is looked for).

    Raises StillRunning after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    empty_rounds = 0
    while empty_rounds < 2:
        found = find()
        if found and time.monotonic() > deadline:
            raise StillRunning("Still running: " + "; ".join(sorted(map(command_line, found))))
        for process in found:
            kill(process)
        empty_rounds = 0 if found else empty_rounds + 1


def _lives(pid: int, below: bytes) -> bool:
    if any(variable.startswith(b"HOME=" + below) for variable in _read(pid, "environ").split(b"\0")):
        return True
    program, *words = _read(pid, "cmdline").split(b"\0")[:_SCRIPT_WITHIN]
    scripts = [word for word in words if word.endswith((b".py", b".pyz"))]  # not: a key that a client was given
    if any(word.startswith(below) for word in (program, *scripts)):
        return True
    try:
        return os.fsencode(os.readlink(PROC / str(pid) / "cwd") + "/").startswith(below)
    except OSError:
        return False


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before them may hold anything."""
    text = _read(pid, "stat").decode("utf-8", "replace")
    return text.rpartition(")")[2].split() or None


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:  # gone, or somebody else's
        return b""


def _open_files(pid: int) -> set[str]:
    folder = PROC / str(pid) / "fd"
    found = set()
    try:
        for name in os.listdir(folder):
            found.add(os.readlink(folder / name))
    except OSError:
        pass
    return found
