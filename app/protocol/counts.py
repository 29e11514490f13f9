"""Counts, percentages and outcomes: derived from node states and phases, here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional

from app.protocol.snapshot import Node, Snapshot
from app.protocol.states import (
    GOOD_NODE_STATES,
    PROCESSED_NODE_STATES,
    NodeState,
    Outcome,
    Phase,
    StepStatus,
    TaskState,
)

PHASE_WEIGHTS: Mapping[Phase, float] = {
    Phase.CONNECT: 1,
    Phase.UPLOAD: 1,
    Phase.PROBE: 2,
    Phase.CLONE: 46,
    Phase.RESOLVE: 10,
    Phase.INSTALL: 30,
    Phase.SCRIPTS: 5,
    Phase.VERIFY: 5,
    Phase.FINISH: 0,
}
"""Shares of the bar, in percent: about the shares of the time that the real list of 34 packs takes."""

AS_ASKED = frozenset({"plan_only", "rolled_back"})
"""Reasons of skipped packs that are no failure."""
ENDED_PHASE = frozenset({StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.SKIPPED})
_NOT_CLONED = frozenset({NodeState.PENDING, NodeState.CLONING})


@dataclass(frozen=True)
class Counts:
    """How many node packs stand where."""

    total: int
    successful: int
    failed: int
    skipped: int
    cancelled: int
    cloned: int

    @property
    def processed(self) -> int:
        """Packs that came to an end, whichever."""
        return self.successful + self.failed + self.skipped + self.cancelled


def count(snapshot: Snapshot) -> Counts:
    """The counts of a snapshot."""
    states = [node.state for node in snapshot.nodes.values()]
    return Counts(
        total=len(states),
        successful=sum(state in GOOD_NODE_STATES for state in states),
        failed=states.count(NodeState.FAILED),
        skipped=states.count(NodeState.SKIPPED),
        cancelled=states.count(NodeState.CANCELLED),
        cloned=sum(node.commit is not None for node in snapshot.nodes.values()),
    )


def outcome(snapshot: Snapshot) -> Optional[Outcome]:
    """How a completed install ended; None for any other state."""
    if snapshot.state is not TaskState.COMPLETED:
        return None
    nodes = list(snapshot.nodes.values())
    good = [node for node in nodes if node.state in GOOD_NODE_STATES or _as_asked(node)]
    if nodes and not good:
        return Outcome.NONE
    whole = all(node in good and (node.error is None or _as_asked(node)) for node in nodes)
    return Outcome.ALL if whole else Outcome.PARTIAL


def _as_asked(node: Node) -> bool:
    """A pack that is not there because that was asked for."""
    return node.state is NodeState.SKIPPED and node.error is not None and node.error.code in AS_ASKED


def percent(snapshot: Snapshot) -> float:
    """How much of the whole is done, 0 to 100, one decimal; 100 only for a completed install."""
    if snapshot.state is TaskState.COMPLETED:
        return 100.0
    done = sum(weight * _fraction(snapshot, phase) for phase, weight in PHASE_WEIGHTS.items())
    return round(min(done, 99.9), 1)


def _fraction(snapshot: Snapshot, phase: Phase) -> float:
    run = snapshot.phases.get(phase)
    if run is None:
        return 0.0
    if run.status in ENDED_PHASE:
        return 1.0
    nodes = list(snapshot.nodes.values())
    if phase is Phase.CLONE and nodes:
        return sum(_clone_fraction(node) for node in nodes) / len(nodes)
    if phase is Phase.INSTALL and nodes:
        return _install_fraction(snapshot)
    return 0.0


def _clone_fraction(node: Node) -> float:
    return node.clone_percent / 100 if node.state in _NOT_CLONED else 1.0


def _install_fraction(snapshot: Snapshot) -> float:
    by_packs = sum(n.state in PROCESSED_NODE_STATES for n in snapshot.nodes.values()) / len(snapshot.nodes)
    if not snapshot.packages_total or snapshot.packages_done is None:
        return by_packs
    return max(by_packs, min(1.0, snapshot.packages_done / snapshot.packages_total))
