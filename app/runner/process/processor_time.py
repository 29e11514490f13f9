"""What a child and everything that it has started take of the processors: whether something works, although it is
silent.

Found are the processes of the child's group and session, their descendants whatever group these have moved to, and
orphans that carry the child's mark. Source of the formats: proc(5).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, List, Mapping, Set, Tuple

from app.runner.process import processes

CHILD_MARK = "NODEFERRY_CHILD"
"""The variable of a child's environment that its descendants inherit."""
_PARENT, _GROUP, _SESSION, _OWN, _CHILDREN_S, _STARTED = 1, 2, 3, slice(11, 13), slice(13, 15), 19
"""Places in /proc/PID/stat from the state on."""


@dataclass(frozen=True)
class Used:
    """What one process had taken, and its reaped children: in clock ticks. `orphan`: no other process of the child's
    counts its time when it is gone."""

    ticks: int
    orphan: bool


Measure = Mapping[Tuple[int, int], Used]
"""By pid and start time, since numbers are used again."""


def measure(child: int, mark: str) -> Measure:
    """What the processes of a child have taken so far; `child`: its pid, `mark`: what its CHILD_MARK holds."""
    stats = _stats()
    found = _members(stats, child, mark)
    return {
        (pid, int(stats[pid][_STARTED])): Used(
            sum(map(int, [*stats[pid][_OWN], *stats[pid][_CHILDREN_S]])), int(stats[pid][_PARENT]) not in found
        )
        for pid in found
    }


def seconds_between(before: Measure, after: Measure) -> float:
    """Processor seconds that were spent between two measures. A process that was reaped meanwhile is in its parent's
    time; an orphan that was reaped is in nobody's, and counts for nothing."""
    spent = sum(used.ticks for used in after.values())
    spent -= sum(used.ticks for key, used in before.items() if key in after or not used.orphan)
    return max(0, spent) / os.sysconf("SC_CLK_TCK")


def members(child: int, mark: str) -> Set[int]:
    """The living processes of a child."""
    stats = _stats()
    return {pid for pid in _members(stats, child, mark) if stats[pid][0] != "Z"}


def _stats() -> Dict[int, List[str]]:
    found = ((pid, processes.stat_fields(pid)) for pid in processes.pids())
    return {pid: fields for pid, fields in found if fields is not None}


def _members(stats: Mapping[int, List[str]], child: int, mark: str) -> Set[int]:
    adopters = {1, os.getpid()}
    children: Dict[int, List[int]] = {}
    found: List[int] = []
    for pid, fields in stats.items():
        parent = int(fields[_PARENT])
        children.setdefault(parent, []).append(pid)
        if child in (pid, int(fields[_GROUP]), int(fields[_SESSION])) or (parent in adopters and has_mark(pid, mark)):
            found.append(pid)
    seen: Set[int] = set()
    while found:
        pid = found.pop()
        if pid not in seen:
            seen.add(pid)
            found += children.get(pid, [])
    return seen - {os.getpid()}


def has_mark(pid: int, mark: str) -> bool:
    """Whether a process descends from the child with this mark, and has kept its environment."""
    return ("%s=%s" % (CHILD_MARK, mark)).encode("ascii") in _environ(pid).split(b"\0")


def is_marked(pid: int) -> bool:
    """Whether it carries any child's mark."""
    return any(line.startswith(CHILD_MARK.encode("ascii")) for line in _environ(pid).split(b"\0"))


def _environ(pid: int) -> bytes:
    try:
        return processes.marks_of(pid)
    except OSError:
        return b""
