"""A mark on the run's processes that survives an empty environment, closed descriptors and a new session: a resource
limit that every process inherits, anybody may read, and no kernel since 2.4.25 looks at (RLIMIT_LOCKS). Sources:
getrlimit(2), proc(5).
"""

from __future__ import annotations

import resource
import uuid
from contextlib import contextmanager
from typing import Iterator

_FILE_LOCKS = 10
_BITS = 60
_LINE = b"\nMax file locks "


@contextmanager
def put_on_children(task_id: str) -> Iterator[None]:
    """What this process starts here carries the run's mark. It is the child's from its first moment, and needs no
    permission, whoever's the child is. For one thread at a time. The hard limit stays, or this could not be ended."""
    try:
        soft, hard = resource.getrlimit(_FILE_LOCKS)
        resource.setrlimit(_FILE_LOCKS, (_number_of(task_id), hard))
    except (OSError, ValueError):  # no such limit on this system, or a lower one: the other marks have to do
        yield
        return
    try:
        yield
    finally:
        resource.setrlimit(_FILE_LOCKS, (soft, hard))


def carries(pid: int, task_id: str) -> bool:
    """Whether a process carries the run's mark."""
    try:
        with open("/proc/%d/limits" % pid, "rb") as file:
            found = file.read().partition(_LINE)[2].split(None, 1)
    except OSError:
        return False
    return bool(found) and found[0] == b"%d" % _number_of(task_id)


def _number_of(task_id: str) -> int:
    try:
        return uuid.UUID(task_id).int % (1 << _BITS) + (1 << _BITS)
    except ValueError:
        return 1 << _BITS  # a test's
