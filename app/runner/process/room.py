"""How much room the machine, or the container if that is less, has left for programs. Sources: proc(5) and the kernel's
documents on cgroups, both versions: a container sees its own group at the top of /sys/fs/cgroup."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional

_UNLIMITED = 1 << 60
"""Version 1 of cgroups says that there is no limit by a number near 2**63."""
_MEMORY = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
_TASKS = (
    ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids.current"),
    ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids/pids.current"),
)
_CACHE = re.compile(r"^(?:total_)?inactive_file (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Room:
    """Of something: how much there is in all, and how much of it is left."""

    total: int
    left: int


def memory() -> Optional[Room]:
    """Bytes that programs may have, swap too. What only caches files counts as left: a container's own figures do not
    say so. None where nobody says it."""
    return _least([_of_machine(), *(_of_container(*paths) for paths in _MEMORY)])


def tasks() -> Optional[Room]:
    """Processes and threads of the container; None where it has no limit of its own."""
    found = []
    for limit, used in _TASKS:
        most, now = _number(limit), _number(used)
        if most is not None and now is not None and most < _UNLIMITED:
            found.append(Room(most, max(0, most - now)))
    return _least(found)


def process_numbers() -> int:
    """How many the kernel has for all processes and threads together."""
    return _number("/proc/sys/kernel/pid_max") or 32768


def disks(folders: Iterable[str]) -> Dict[int, Room]:
    """Bytes of the file systems that these folders are on, by their number. What cannot be asked is left out."""
    known = _file_systems(folders)
    return {n: Room(about.f_blocks * about.f_frsize, about.f_bavail * about.f_frsize) for n, about in known.items()}


def files(folders: Iterable[str]) -> Dict[int, Room]:
    """How many files (inodes) these file systems can have; without those that have no such limit."""
    return {n: Room(about.f_files, about.f_favail) for n, about in _file_systems(folders).items() if about.f_files}


def _file_systems(folders: Iterable[str]) -> Dict[int, os.statvfs_result]:
    found: Dict[int, os.statvfs_result] = {}
    for folder in folders:
        try:
            found[os.stat(folder).st_dev] = os.statvfs(folder)
        except OSError:
            continue
    return found


def _least(known: Iterable[Optional[Room]]) -> Optional[Room]:
    rooms = [room for room in known if room is not None]
    return min(rooms, key=lambda room: room.left) if rooms else None


def _of_machine() -> Optional[Room]:
    text = _text("/proc/meminfo")
    values = {name: int(kilobytes) << 10 for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    if "MemAvailable" not in values or "MemTotal" not in values:
        return None
    total = values["MemTotal"] + values.get("SwapTotal", 0)
    return Room(total, values["MemAvailable"] + values.get("SwapFree", 0))


def _of_container(limit: str, used: str, details: str) -> Optional[Room]:
    most, now = _number(limit), _number(used)
    if most is None or now is None or most >= _UNLIMITED:
        return None
    cached: List[str] = _CACHE.findall(_text(details))
    return Room(most, max(0, most - now + max(map(int, cached), default=0)))


def _number(path: str) -> Optional[int]:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
