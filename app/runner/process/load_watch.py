"""What packs' code uses of the machine besides time, and what of it still runs when it has ended.

The limits are relative to the machine: an honest build uses every core and tens of gigabytes. RLIMIT_NPROC does not
hold for root, and RLIMIT_AS breaks CUDA, so this looks a few times a second. Whoever is quicker meets the kernel's OOM
killer, which is asked to prefer packs' code.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from app.runner.process import processes, room
from app.runner.process.family import Entry, Family, descendants, process_table
from app.runner.process.processor_time import has_mark, is_marked

_LOOK_SECONDS, _BUILDS_LOOK_SECONDS = 0.3, 1.0
_KILLED_SOONER, _KILLED_FIRST = 500, 1000
"""Of 1000: as if it used half the machine's memory besides its own."""
_OPEN_FILES = 1 << 16
"""Containers often have a million: a few processes could then use up what the machine has."""
_LEAST_PROCESSES, _PROCESSES_A_CORE = 1000, 100
_THREADS_A_PROCESS = 16
"""On average: the kernel's numbers are for threads too."""
_NAMES = 5
_HELPERS = frozenset({"git", "ssh", "gpg-agent", "dirmngr", "keyboxd", "scdaemon", "sccache"})
"""Programs that stay for a while to make their next call faster: nobody who calls them knows. They are ended too."""


@dataclass(frozen=True)
class Load:
    """What packs' code may use. `processes`: how many it may have at a time. `memory`: bytes that it may have in all.
    `disk`: bytes that must stay free. None: what this machine can bear. `builds`: a build's compilers, whose memory is
    the kernel's matter (the build is then tried again with fewer of them) and whose disk is the installer's."""

    processes: Optional[int] = None
    memory: Optional[int] = None
    disk: Optional[int] = None
    builds: bool = False


class LoadWatch:
    """The processes of one child that runs packs' code. For one thread."""

    def __init__(self, child: int, mark: str, family: Family, load: Load, folders: Iterable[str]) -> None:
        self._child, self._mark, self._family, self._load = child, mark, family, load
        self._began = processes.start_time(child) or processes.ticks_since_boot()
        self._seen: Set[Tuple[int, int]] = set()
        self._groups: Set[int] = {child}
        self._next = 0.0
        self._folders = list(folders)
        self._disks = {} if load.builds else _limits_of(room.disks(self._folders), load.disk)
        self._files = {} if load.builds else _limits_of_files(room.files(self._folders))
        self.on_group: Callable[[int], None] = lambda _group: None
        """Gets each process group that the run's processes make, as soon as that is seen."""

    def restrain(self) -> None:
        """The kernel ends it first where memory runs out; it may open many files, but not all that there are."""
        with (
            suppress(OSError, ValueError),
            open("/proc/%d/oom_score_adj" % self._child, "r+", encoding="ascii") as file,
        ):
            given = int(file.read())  # Kubernetes gives all programs of a pod one
            file.seek(0)
            file.write(str(min(_KILLED_FIRST, max(0, given) + _KILLED_SOONER)))
        with suppress(OSError, ValueError, AttributeError):
            soft, hard = resource.prlimit(self._child, resource.RLIMIT_NOFILE)
            most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
            resource.prlimit(self._child, resource.RLIMIT_NOFILE, (min(soft, most) if soft >= 0 else most, most))

    def over(self, now: float) -> Optional[str]:
        """`processes`, `memory` or `disk` once it uses more than it may."""
        if now < self._next:
            return None
        self._next = now + (_BUILDS_LOOK_SECONDS if self._load.builds else _LOOK_SECONDS)
        table = process_table()
        mine = self._members(table)
        for group in {table[pid].group for pid in mine | self._family.members(table)} - self._groups:
            self._groups.add(group)
            self.on_group(group)
        if self._has_too_many([table[pid] for pid in mine], len(table)):
            return "processes"
        if not self._load.builds and self._has_too_much([table[pid] for pid in mine]):
            return "memory"
        return "disk" if self._fills_a_disk() else None

    def left(self) -> Set[int]:
        """What of it runs. A script's are also the run's orphans that carry no mark at all, and are younger."""
        table = process_table()
        found = self._members(table)
        if not self._load.builds:
            me = os.getpid()
            family = self._family.members(table)
            orphans = {pid for pid in family if table[pid].parent == me and not self._family.is_own(pid)}
            unmarked = {pid for pid in orphans if table[pid].started >= self._began and not is_marked(pid)}
            found |= descendants(table, unmarked)
        return {pid for pid in found if pid in table and not table[pid].is_zombie}

    def _members(self, table: Mapping[int, Entry]) -> Set[int]:
        adopters, child = {1, os.getpid()}, self._child
        roots = {pid for pid, started in self._seen if pid in table and table[pid].started == started}
        for pid, entry in table.items():
            if child in (pid, entry.group, entry.session) or (entry.parent in adopters and has_mark(pid, self._mark)):
                roots.add(pid)
        found = {pid for pid in descendants(table, roots) - {os.getpid()} if pid in table}
        self._seen = {(pid, table[pid].started) for pid in found if not table[pid].is_zombie}
        return found

    def _has_too_many(self, mine: List[Entry], all_processes: int) -> bool:
        most = self._load.processes
        if most is None:
            most = max(_LEAST_PROCESSES, _PROCESSES_A_CORE * (os.cpu_count() or 1))
            most = min(most, room.process_numbers() // 4)
        threads = sum(entry.threads for entry in mine)
        tasks = room.tasks()
        is_full = tasks is not None and tasks.left < max(16, tasks.total // 20) and len(mine) > all_processes // 2
        most_threads = min(most * _THREADS_A_PROCESS, room.process_numbers() // 2)
        return len(mine) > most or threads > most_threads or is_full

    def _has_too_much(self, mine: List[Entry]) -> bool:
        used = sum(entry.pages for entry in mine) * os.sysconf("SC_PAGE_SIZE")
        if self._load.memory is not None:
            return used > self._load.memory
        memory = room.memory()
        if memory is None:
            return False
        least = min(512 << 20, memory.total // 50)
        return memory.left < least and used > least

    def _fills_a_disk(self) -> bool:
        for limits, ask in ((self._disks, room.disks), (self._files, room.files)):
            now = ask(self._folders) if limits else {}
            if any(number in now and now[number].left < least for number, least in limits.items()):
                return True
        return False


def _limits_of(disks: Mapping[int, room.Room], asked: Optional[int]) -> Dict[int, int]:
    """How much must stay free, by file system. One that was nearly full before is nobody's doing."""
    found = {number: min(256 << 20, disk.total // 100) if asked is None else asked for number, disk in disks.items()}
    return {number: least for number, least in found.items() if disks[number].left > 2 * least}


def _limits_of_files(disks: Mapping[int, room.Room]) -> Dict[int, int]:
    """How many more files must find room, by file system."""
    return {number: disk.total // 100 for number, disk in disks.items() if disk.left > disk.total // 50}


def names_of(found: Iterable[int]) -> List[str]:
    """What these programs are, in words: `sleep 600 (process 17)`. Some of them, if they are many; no helpers."""
    pids = [pid for pid in sorted(found) if not _is_helper(pid)]
    words = ["%.60s (process %d)" % (" ".join(processes.arguments_of(pid)) or "?", pid) for pid in pids[:_NAMES]]
    return [*words, "%d more" % (len(pids) - _NAMES)] if len(pids) > _NAMES else words


def _is_helper(pid: int) -> bool:
    try:
        program = os.readlink("/proc/%d/exe" % pid)
    except OSError:  # another user's
        program = next(iter(processes.arguments_of(pid)), "").partition(":")[0]
    name = os.path.basename(program)
    return name in _HELPERS or name.startswith("git-")
