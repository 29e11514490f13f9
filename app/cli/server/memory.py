"""The process's memory: what the C library gives back, and how often Python looks for objects that nobody can reach.

What instances send comes in large pieces on many threads: left to itself glibc keeps the largest that there ever was,
once for each of its areas. Python's search for unreachable objects stops all threads: with a thousand installs it took
a quarter of the process's time, and a second of it at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

_AREAS, _OWN_PAGES, _TOP = -8, -3, -1
"""glibc's M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD (malloc.h)."""
_SETTINGS = ((_AREAS, 2), (_OWN_PAGES, 256 * 1024), (_TOP, 1024 * 1024))

_SEARCHES = (10_000, 20, 10)
"""So many new objects for a search among them; so many searches for one among older ones, and for one among all."""


def give_back() -> None:
    """For the whole process, before it has threads. Does nothing where the library knows no such settings."""
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        for name, value in _SETTINGS:
            library.mallopt(name, value)


def search_less() -> None:
    """Once all that stays is there: it is never searched, and what comes later only when there is much of it."""
    gc.freeze()
    gc.set_threshold(*_SEARCHES)
