"""The reason codes of what a run did not do, or found, so that nothing runs or is written unasked: a part of the table
in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason, Retry

SAFETY: Sequence[Reason] = (
    # -- what packs' code uses of the machine, and leaves running ------------------------------------------------------
    Reason("process_limit", "Too many processes started", About.NODE),
    Reason("memory_limit", "Nearly all memory used", About.NODE, Retry.HELPS),
    Reason("disk_limit", "Disk nearly full", About.NODE, Retry.HELPS),
    Reason("left_running", "Programs left running", About.WARNING),
)
