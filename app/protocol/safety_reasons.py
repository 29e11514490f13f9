"""The reason codes of what a run did not do, or found, so that nothing runs or is written unasked: a part of the table
in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason, Retry

SAFETY: Sequence[Reason] = (
    # What a run fetches for itself.
    Reason("uv_refused", "Index serves another uv", About.WARNING, Retry.HELPS),
    Reason("pip_refused", "Index serves another pip", About.WARNING, Retry.HELPS),
)
