"""Figures that add up over a run's events: the time that was spent on one pack, and bytes that are fetched."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from app.protocol.snapshot import Node
from app.protocol.states import NodeState, StepStatus


def with_work(node: Node, mono: float) -> Node:
    """The pack with the time in which something was done for it alone, up to an event at `mono` (seconds)."""
    works = node.state is NodeState.CLONING or node.script is StepStatus.RUNNING
    since = node.working_since
    if works:
        return replace(node, working_since=mono if since is None else since)
    return (
        node
        if since is None
        else replace(node, working_since=None, worked=(node.worked or 0.0) + max(0.0, mono - since))
    )


def at_most(done: Optional[int], total: Optional[int]) -> Optional[int]:
    """A file that is fetched twice counts once."""
    return done if done is None or total is None else min(done, total)
