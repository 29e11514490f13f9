"""Ending what a run left on the machine: by whoever comes after it (its caretaker, a sweep, the next run).

Found are processes that carry the run's mark in their environment, that are in a group which the run recorded, that
hold the file open which every child inherits, and what descends from any of these.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Dict, Set, Tuple

from app.runner.process import processes
from app.runner.process.family import (
    Entry,
    Released,
    become_subreaper,
    descendants,
    living_below,
    process_table,
    read_released,
    share_released,
    shared_released,
)
from app.runner.process.groups import read_groups
from app.runner.process.paths import Task


def end_leftovers(task: Task) -> int:
    """Ends what a run that is over left; how many processes there were. Never what it released."""
    return processes.end_all(lambda: _left_by(task, process_table(), read_released(task.released)))


def end_stale_holders(lock: Path) -> int:
    """Ends the programs that hold a ComfyUI's lock although no run does: runs of earlier versions let them inherit it.
    How many there were. Not while any runner holds it, nor a ComfyUI."""

    def stale() -> Set[int]:
        found = holders(lock)
        return found if found and not any(_is_spared(pid) for pid in found) else set()

    return processes.end_all(stale)


def _is_spared(pid: int) -> bool:
    """A run holds its own lock too; and a ComfyUI is nobody's to end."""
    words = processes.arguments_of(pid)
    if not words or any(os.path.basename(word) == "main.py" or word.endswith(".pyz") for word in words):
        return True
    folder = "/proc/%d/fd" % pid
    try:
        return any(os.path.basename(os.readlink("%s/%s" % (folder, name))) == "lock" for name in os.listdir(folder))
    except OSError:
        return True


def leave_caretaker(task: Task) -> None:
    """Forks. The child returns, and is to be the run. The parent is its caretaker: it adopts what a killed run leaves,
    and ends that."""
    if not become_subreaper():
        return
    share_released()
    runner = os.fork()
    if runner == 0:
        os.setsid()
        return
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):
                os.close(int(name))
    if _was_killed(runner):
        _end_adopted(task)
    os._exit(0)


def _was_killed(runner: int) -> bool:
    while True:
        pid, status = os.wait()
        if pid == runner:
            return os.WIFSIGNALED(status)


def _end_adopted(task: Task) -> None:
    me = os.getpid()
    released = shared_released()

    def left() -> Set[int]:
        table = process_table()
        return living_below(table, me, released) | _left_by(task, table, released)

    processes.end_all(left)


def _left_by(task: Task, table: Dict[int, Entry], released: Released) -> Set[int]:
    found = processes.marked(task.task_id) | _recorded(task) | holders(task.inherited)
    kept_out = released.pids(table) | {os.getpid()}
    below = descendants(table, found - kept_out, kept_out)
    return {pid for pid in below if pid in table and not table[pid].is_zombie}


def _recorded(task: Task) -> Set[int]:
    found: Set[int] = set()
    for boot, groups in read_groups(task.groups).items():
        found |= processes.in_groups(groups, boot)
    return found


def holders(path: Path) -> Set[int]:
    """The processes that have this file open, as far as this user may look; this one left out."""
    try:
        about = os.stat(str(path))
    except OSError:
        return set()
    wanted = (about.st_dev, about.st_ino)
    return {pid for pid in processes.pids() if pid != os.getpid() and _holds(pid, wanted)}


def _holds(pid: int, wanted: Tuple[int, int]) -> bool:
    folder = "/proc/%d/fd" % pid
    try:
        for name in os.listdir(folder):
            about = os.stat("%s/%s" % (folder, name))
            if (about.st_dev, about.st_ino) == wanted:
                return True
    except OSError:
        pass  # it has ended, or is another user's
    return False
