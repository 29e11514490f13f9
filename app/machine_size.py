"""How many installs at once fit this machine, where nobody has said it."""

from __future__ import annotations

import os
import resource
from functools import lru_cache
from pathlib import Path

from app.protocol.amounts import size

LEAST, MOST = 32, 1000
OF_A_PROCESSOR = 250
"""Each at an event a second. Measured on two: with 500 installs answers are quick, with 1,000 Python is busy to the
last."""
BYTES_EACH = 1_500_000
"""Measured: 0.4 MB with 34 node packs. Large lists and long runs take more."""
FILES_EACH = 8
"""Its connection, its logs, and what is opened for a moment."""
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@lru_cache(1)
def installs_at_once() -> int:
    """One for so much of half of the memory, for so many files that may be open, and so many for each processor."""
    most = min(MOST, OF_A_PROCESSOR * processors(), memory_bytes() // 2 // BYTES_EACH, _open_files() // FILES_EACH)
    return max(LEAST, most)


def described() -> str:
    """What that follows from."""
    return f"fits this machine: processors {processors()}, memory {size(memory_bytes())}"


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """The machine's memory, or less where a container may have less."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *map(_limit_in, _LIMITS)]
    return min(each for each in found if each)


def _limit_in(file: Path) -> int:
    """0 where there is none."""
    try:
        text = file.read_text("ascii").strip()
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdecimal() else 0


def _open_files() -> int:
    """As many as the system grants: `serve` asks for all of them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST * FILES_EACH if hard == resource.RLIM_INFINITY else hard
