"""How much the server bears at once, and how long it waits for whom; what the system lets it open decides the first."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from app.settings import Settings

MOST_FILES = 65_536
"""More are not asked for: some systems say that there is no limit."""
MOST_CONNECTIONS = 4000
LEAST_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one server. The seconds: for the head of a request; for its body; for a client to take the next part of an
    answer; for one that has been answered to ask again; for one that was refused to stop sending. `loopback_counts`:
    whether connections from this machine have a limit `per_address` too."""

    connections: int = 1000
    per_address: int = 100
    head_seconds: float = 20.0
    body_seconds: float = 60.0
    answer_seconds: float = 60.0
    idle_seconds: float = 75.0
    linger_seconds: float = 10.0
    loopback_counts: bool = False


def limits_of(settings: Settings, open_files: int) -> Limits:
    """What follows from the settings, where so many files may be open. Half of them are left to installs and the
    database."""
    seconds = max(1.0, settings.request_seconds)
    connections = min(MOST_CONNECTIONS, max(LEAST_CONNECTIONS, open_files // 2))
    return Limits(
        connections=min(connections, max(1, settings.max_connections or connections)),
        per_address=max(1, settings.max_connections_per_address),
        head_seconds=seconds,
        body_seconds=3 * seconds,
        answer_seconds=3 * seconds,
    )


def raise_open_files() -> tuple[int, int]:
    """How many files this process might open before, and may now: as many as the system grants without asking root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return _counted(soft), _counted(soft)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # macOS grants fewer than it says
        return soft, soft
    return soft, most


def _counted(limit: int) -> int:
    return MOST_FILES if limit == resource.RLIM_INFINITY else min(limit, MOST_FILES)
