"""Who holds the ports of this machine. Source of the formats: proc(5), /proc/net/tcp and its siblings."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Dict, Iterable, List, Set

from app.runner.process.processes import parent_of, pids

_LISTENS = "0A"
_MOST_LINES = 20_000


def held() -> Dict[int, Set[str]]:
    """The ports that somebody listens on (TCP) or has bound (UDP), each with the inodes of its sockets."""
    found: Dict[int, Set[str]] = {}
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with suppress(OSError, ValueError), open("/proc/net/%s" % name, encoding="ascii") as table:
            for line in [line for _, line in zip(range(_MOST_LINES), table)][1:]:
                fields = line.split()
                if name.startswith("udp") or fields[3] == _LISTENS:
                    found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def held_by(processes: Iterable[int]) -> Set[int]:
    """The ports that these processes, and those that they started, hold, as far as this user may see."""
    inodes = {inode for pid in with_descendants(processes) for inode in _sockets_of(pid)}
    return {port for port, sockets in held().items() if sockets & inodes}


def holder_of(port: int) -> str:
    """The name of a program that holds the port; empty where none does, or it is not to be seen."""
    wanted = held().get(port, set())
    for pid in pids() if wanted else ():
        if wanted & set(_sockets_of(pid)):
            with suppress(OSError), open("/proc/%d/comm" % pid, encoding="utf-8", errors="replace") as name:
                return "%s, process %d" % (name.read().strip(), pid)
    return ""


def with_descendants(processes: Iterable[int]) -> Set[int]:
    """These processes and all that they started."""
    found = set(processes)
    parents = {pid: parent_of(pid) for pid in pids()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def _sockets_of(pid: int) -> List[str]:
    folder = "/proc/%d/fd" % pid
    found = []
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                target = os.readlink(os.path.join(folder, name))
                if target.startswith("socket:["):
                    found.append(target[8:-1])
    return found
