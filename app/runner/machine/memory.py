"""How much memory programs may still take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional

_UNLIMITED = 1 << 60
"""Version 1 of cgroups says that there is no limit by a number near 2**63."""
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free_memory() -> Optional[int]:
    """Bytes: what the machine has left, or the container if that is less; None where neither says it. See proc(5) and
    the kernel's documents on cgroups."""
    known = [_of_machine(), *(_of_container(*paths) for paths in _CGROUPS)]
    return min((each for each in known if each is not None), default=None)


def _of_machine() -> Optional[int]:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text("/proc/meminfo"), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _of_container(limit: str, used: str) -> Optional[int]:
    most, now = _text(limit).strip(), _text(used).strip()
    if not most.isdigit() or not now.isdigit() or int(most) >= _UNLIMITED:
        return None
    return max(0, int(most) - int(now))


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:
        return ""
