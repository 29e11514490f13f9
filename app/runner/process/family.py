"""Which processes descend from the run, whatever they did to their environment, session and descriptors.

The runner is a subreaper: every orphan among its descendants becomes its own child, so none leaves the tree. What the
run starts to outlive it (ComfyUI again) is released first: it, its descendants, and unmarked orphans that are younger
are nobody's to end. Sources: proc(5), prctl(2).
"""

from __future__ import annotations

import mmap
import os
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Set, Tuple

from app.runner.process import processes
from app.runner.process.private_files import private

_PARENT, _GROUP, _SESSION, _STARTED, _PAGES, _THREADS = 1, 2, 3, 19, 21, 17
"""Places in /proc/PID/stat from the state on."""
_STARTING = "starting"
_SHARED_BYTES = 1 << 16
_shared: Optional[mmap.mmap] = None
"""What was released, for the caretaker: a file could be written by packs' code too."""


@dataclass(frozen=True)
class Entry:
    """One line of the process table. `started`: ticks since boot; `pages`: what of its memory is in use."""

    pid: int
    is_zombie: bool
    parent: int
    group: int
    session: int
    started: int
    pages: int
    threads: int


def process_table() -> Dict[int, Entry]:
    """Every process that can be seen, zombies too."""
    found: Dict[int, Entry] = {}
    for pid in processes.pids():
        fields = processes.stat_fields(pid)
        if fields and len(fields) > _PAGES:
            numbers = [int(fields[at]) for at in (_PARENT, _GROUP, _SESSION, _STARTED, _PAGES, _THREADS)]
            found[pid] = Entry(pid, fields[0] == "Z", *numbers)
    return found


def descendants(table: Mapping[int, Entry], roots: Iterable[int], without: Iterable[int] = ()) -> Set[int]:
    """The roots and everything below them; `without`: neither these nor what is below them."""
    children: Dict[int, List[int]] = {}
    for entry in table.values():
        children.setdefault(entry.parent, []).append(entry.pid)
    found, left = set(), list(roots)
    kept_out = set(without)
    while left:
        pid = left.pop()
        if pid not in found and pid not in kept_out:
            found.add(pid)
            left += children.get(pid, ())
    return found


def become_subreaper() -> bool:
    """Orphans among this process's descendants become its own children from now on; false where there is no such
    call. See prctl(2)."""
    return _prctl(36, 1)


def hide_memory() -> None:
    """No other program of this user may read this process's memory from now on, nor its descriptors and environment:
    root neither, where it has no CAP_SYS_PTRACE, as in most containers. What it starts is not hidden. See prctl(2)."""
    _prctl(4, 0)


def _prctl(option: int, value: int) -> bool:
    try:
        import ctypes

        return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


@dataclass(frozen=True)
class Released:
    """What outlives the run: (pid, start time) of each, and from when on (ticks) unmarked orphans may be theirs; None
    while nothing was released."""

    known: FrozenSet[Tuple[int, int]] = frozenset()
    since: Optional[int] = None

    def pids(self, table: Mapping[int, Entry]) -> Set[int]:
        """Those that still are who they were."""
        return {pid for pid, started in self.known if pid in table and table[pid].started == started}


def read_released(path: Path) -> Released:
    """What a run noted, for who ends its processes after it. One that was killed while it started something counts as
    having released it."""
    try:
        return _released(path.read_text("ascii", "replace"))
    except OSError:
        return Released()


def share_released() -> None:
    """What this process forks from now on learns by `shared_released` what the other has released."""
    global _shared  # noqa: PLW0603 - the process has one run
    _shared = mmap.mmap(-1, _SHARED_BYTES)


def shared_released() -> Released:
    """As `read_released`, of the process that this one has forked."""
    return _released(bytes(_shared or b"").rstrip(b"\0").decode("ascii"))


def _released(text: str) -> Released:
    lines = [line.split() for line in text.splitlines()]
    boot = processes.boot_id()
    same = [line for line in lines if len(line) == 3 and line[1].isdigit() and line[2] == boot]
    known = frozenset((int(line[0]), int(line[1])) for line in same if line[0].isdigit())
    began = [int(line[1]) for line in same if line[0] == _STARTING]
    return Released(known, min(began, default=None))


class Family:
    """The processes of this run. Every method may be called from any thread."""

    def __init__(self, released_file: Path) -> None:
        self._released_file = released_file
        self._released = Released()
        self._lock = threading.Lock()
        self._own: Set[int] = set()
        """Whom somebody in this process waits for."""
        me = os.getpid()
        self._before = frozenset((pid, entry.started) for pid, entry in process_table().items() if entry.parent == me)

    def start(self, begin: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Starts a child that the caller waits for. Raises what `begin` raises."""
        with self._lock:
            child = begin()
            self._own.add(child.pid)
        return child

    def is_own(self, pid: int) -> bool:
        """Whether somebody in this process waits for it."""
        return pid in self._own

    def waited_for(self, pid: int) -> None:
        """It was: its number may be another's from now on."""
        with self._lock:
            self._own.discard(pid)

    def release(self, begin: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """As `start`, for a child that outlives the run. Raises OSError also where that cannot be noted."""
        now = processes.ticks_since_boot()
        self._note(_STARTING, now)
        with self._lock:
            since = now if self._released.since is None else self._released.since
            self._released = Released(self._released.known, since)
            child = begin()
            self._own.add(child.pid)
            started = processes.start_time(child.pid)
            if started is not None:
                self._released = Released(self._released.known | {(child.pid, started)}, since)
        if started is not None:
            with suppress(OSError):
                self._note(str(child.pid), started)
        return child

    def members(self, table: Optional[Mapping[int, Entry]] = None) -> Set[int]:
        """The living processes that descend from the run's children, but for what was released. Programs in the
        runner's own session are its own helpers."""
        table = process_table() if table is None else table
        return living_below(table, os.getpid(), self._released, self._before)

    def reap(self) -> None:
        """Waits for the dead among the adopted: each would keep its number, and a machine has only so many."""
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return
        except ChildProcessError:
            return
        me, session = os.getpid(), os.getsid(0)
        with self._lock:
            dead = [entry for entry in process_table().values() if entry.is_zombie and entry.parent == me]
            for entry in dead:
                if entry.session != session and entry.pid not in self._own:
                    with suppress(ChildProcessError):
                        os.waitpid(entry.pid, os.WNOHANG)

    def _note(self, word: str, started: int) -> None:
        line = "%s %d %s\n" % (word, started, processes.boot_id())
        if _shared is not None and _shared.tell() + len(line) <= _SHARED_BYTES:
            _shared.write(line.encode("ascii"))
        with open(str(self._released_file), "a", encoding="ascii", opener=private) as file:
            file.write(line)


def living_below(
    table: Mapping[int, Entry], root: int, released: Released, before: Iterable[Tuple[int, int]] = ()
) -> Set[int]:
    """What runs below `root` in other sessions than its own, but for what was released and what was there before."""
    kept_out = released.pids(table) | Released(frozenset(before)).pids(table)
    session = table[root].session if root in table else 0
    found = descendants(table, [root], kept_out) - {root}
    return {pid for pid in found if pid in table and _is_ours(table[pid], session, released)}


def _is_ours(entry: Entry, session: int, released: Released) -> bool:
    is_younger = released.since is not None and entry.started >= released.since
    return not (entry.is_zombie or entry.session == session or is_younger)
