"""What the end of a run makes of its snapshot: nothing stays live. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Optional, Tuple

from app.protocol import builds
from app.protocol.repairs import RepairState
from app.protocol.snapshot import Node, Problem, Snapshot
from app.protocol.states import PROCESSED_NODE_STATES, NodeState, StepStatus, TaskState, advance

PUT_BACK = "Everything was put back."
"""How the reason of a run ends that has put back all that it had done."""
_LOADED = re.compile(r"(\d+) of (\d+) packs are loaded")
_LEFT_BEHIND = Problem(
    "cancelled",
    "The run was stopped before its Python packages and its install.py were done.",
    "A retry goes on with it; putting the run back removes it.",
)


def ended(snapshot: Snapshot, state: TaskState, error: Optional[Problem]) -> Snapshot:
    """The terminal state. A lost connection or a cancel that came too late does not stand in the way of what the runner
    says. Nothing stays live: what was running was cancelled, or is failed with the run's reason."""
    current = snapshot.state
    if state is TaskState.CANCELLED and current in (TaskState.RUNNING, TaskState.INTERRUPTED):
        current = TaskState.CANCELLING  # cancelled on the instance itself, not through this service
    if current is TaskState.QUEUED and state is TaskState.COMPLETED:
        current = TaskState.RUNNING
    left, repair = builds.with_run_ended(snapshot), snapshot.repair
    if repair is not None and repair.state is RepairState.SEARCHING:
        repair = replace(repair, state=RepairState.UNFINISHED)
    over = replace(snapshot, state=advance(current, state), error=error, waiting=None, builds=left, repair=repair)
    if state is TaskState.COMPLETED:
        return over
    status = StepStatus.SKIPPED if state is TaskState.CANCELLED else StepStatus.FAILED
    return replace(
        over,
        nodes={name: _ended_node(node, state, error) for name, node in over.nodes.items()},
        phases={phase: replace(run, status=_ended_status(run.status, status)) for phase, run in over.phases.items()},
        steps={name: replace(step, status=_ended_status(step.status, status)) for name, step in over.steps.items()},
    )


def loaded_in_words(loaded: int, expected: int) -> str:
    """How the check after a restart ended, as its phase says it."""
    return "%d of %d packs are loaded" % (loaded, expected)


def loaded_of(detail: str) -> Optional[Tuple[int, int]]:
    """What `loaded_in_words` said: how many packs are loaded, and how many were expected; None for anything else."""
    found = _LOADED.fullmatch(detail)
    return (int(found.group(1)), int(found.group(2))) if found else None


def _ended_node(node: Node, state: TaskState, error: Optional[Problem]) -> Node:
    if node.state in PROCESSED_NODE_STATES:
        return node
    if state is TaskState.CANCELLED:
        to = NodeState.CANCELLED
    else:
        to = NodeState.SKIPPED if node.state is NodeState.PENDING else NodeState.FAILED
    return replace(
        node,
        state=advance(node.state, to),
        error=node.error or (_LEFT_BEHIND if state is TaskState.CANCELLED and _is_left(node) else error),
        rate=None,
        eta=None,
        requirements=_ended_status(node.requirements, StepStatus.FAILED),
        script=_ended_status(node.script, StepStatus.FAILED),
    )


def _is_left(node: Node) -> bool:
    """Whether the run has cloned it, and ended before it was done."""
    return node.commit is not None and not node.kept


def _ended_status(status: StepStatus, to: StepStatus) -> StepStatus:
    return to if status is StepStatus.RUNNING else status
