"""The reason codes of what a run did not do, or found, so that nothing runs or is written unasked: a part of the table
in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason

SAFETY: Sequence[Reason] = (
    # -- plans without builds ----------------------------------------------------------------------------------------
    Reason("plan_incomplete", "Plan not complete", About.NODE),
    Reason("plan_unavailable", "No plan without builds", About.RUN),
)
