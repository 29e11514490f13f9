"""The allocator of the system's C library, told to give memory back. What instances send comes in large pieces on many
threads: left to itself glibc keeps the largest that there ever was, once for each of its areas."""

from __future__ import annotations

import contextlib
import ctypes

_AREAS, _OWN_PAGES, _TOP = -8, -3, -1
"""glibc's M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD (malloc.h)."""
_SETTINGS = ((_AREAS, 2), (_OWN_PAGES, 256 * 1024), (_TOP, 1024 * 1024))


def give_back() -> None:
    """For the whole process, before it has threads. Does nothing where the library knows no such settings."""
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        for name, value in _SETTINGS:
            library.mallopt(name, value)
