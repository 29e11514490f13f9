"""Counts, percentages and outcomes: derived from node states and phases, here and nowhere else.

Whoever shows how many packs are ready or failed (progress, pages, command line, lists) takes the numbers from here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence

from app.protocol.snapshot import Node, PhaseRun, Snapshot
from app.protocol.states import (
    ENDED_PHASE,
    GOOD_NODE_STATES,
    PROCESSED_NODE_STATES,
    TERMINAL_TASK_STATES,
    NodeState,
    Outcome,
    Phase,
    StepStatus,
    TaskState,
    Word,
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

PUT_ASIDE = "put_aside_disabled"
"""Of a pack that the list has disabled, and that is where ComfyUI-Manager has those."""
AS_ASKED = frozenset({"plan_only", "plan_incomplete", "rolled_back", "same_repository", PUT_ASIDE})
"""Reasons of skipped packs that are not failures."""
_ONLY_SAID = frozenset({"older_version_wanted"})
"""Reasons that are no problem of a pack that ComfyUI loads."""
_NOT_CLONED = frozenset({NodeState.PENDING, NodeState.CLONING})


class Standing(Word):
    """How a node pack counts. Each pack has exactly one standing, so the counts add up to their total."""

    READY = "ready"
    PROBLEM = "problem"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    WORKING = "working"
    WAITING = "waiting"


_STANDINGS: Mapping[Standing, str] = {each: each.value for each in Standing}
_BY_STATE: Mapping[NodeState, Standing] = {
    NodeState.PENDING: Standing.WAITING,
    NodeState.CLONING: Standing.WORKING,
    NodeState.CLONED: Standing.WORKING,
    NodeState.INSTALLING: Standing.WORKING,
    NodeState.FAILED: Standing.FAILED,
    NodeState.SKIPPED: Standing.SKIPPED,
    NodeState.CANCELLED: Standing.CANCELLED,
}
"""Without the good states: what these count as depends on the import check."""


@dataclass(frozen=True)
class Counts:
    """How many node packs stand where. `unchecked` are those among `working` that are installed already and whose
    import will still be checked; `cloned` counts packs with a commit, whatever became of them."""

    total: int = 0
    ready: int = 0
    problem: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    working: int = 0
    waiting: int = 0
    unchecked: int = 0
    cloned: int = 0

    @property
    def successful(self) -> int:
        """Packs in a good state. Once the run has ended that is `ready` + `problem`."""
        return self.ready + self.problem + self.unchecked

    @property
    def processed(self) -> int:
        """Packs that came to an end, whichever."""
        return self.successful + self.failed + self.skipped + self.cancelled

    def in_words(self) -> str:
        """The counts that people want to know: `30 of 34 ready, 3 failed, 1 with a problem`."""
        parts = [
            (self.failed, "failed"),
            (self.problem, "with a problem"),
            (self.skipped, "skipped"),
            (self.cancelled, "stopped"),
            (self.unchecked, "to be checked"),
        ]
        ready = "%d of %d ready" % (self.ready, self.total)
        return ", ".join([ready, *("%d %s" % part for part in parts if part[0])])

    def to_json(self) -> Dict[str, Any]:
        """The fields in which progress and fleets show them: `counts`, and the older ones."""
        return {
            "counts": {"total": self.total, **{each.value: getattr(self, each.value) for each in Standing}},
            "total_nodes": self.total,
            "processed": self.processed,
            "successful": self.successful,
            "failed": self.failed,
            "skipped": self.skipped,
            "cancelled": self.cancelled,
        }

    def __add__(self, other: Counts) -> Counts:
        """The counts of two runs together."""
        return Counts.sum([self, other])

    @classmethod
    def sum(cls, several: Sequence[Counts]) -> Counts:
        """The counts of several runs together."""
        return cls(**{name: sum([getattr(each, name) for each in several]) for name in _NAMES})


_NAMES = tuple(field.name for field in dataclasses.fields(Counts))


def count(snapshot: Snapshot) -> Counts:
    """The counts of a snapshot."""
    found = dict.fromkeys(_STANDINGS, 0)
    good = cloned = 0
    for node in snapshot.nodes.values():
        found[standing(snapshot, node)] += 1
        good += node.state in GOOD_NODE_STATES
        cloned += node.commit is not None
    ended = found[Standing.READY] + found[Standing.PROBLEM]
    by_name = {_STANDINGS[each]: number for each, number in found.items()}
    return Counts(total=len(snapshot.nodes), unchecked=good - ended, cloned=cloned, **by_name)


def unknown_loads(snapshot: Snapshot) -> int:
    """How many packs are installed, and nobody knows whether they load, although that was to be checked."""
    if not _asked_to_verify(snapshot):
        return 0
    good = [node for node in snapshot.nodes.values() if node.state in GOOD_NODE_STATES and "/" not in node.folder]
    return sum(node.verified is None for node in good)


def is_left_behind(node: Node) -> bool:
    """Whether a cancelled run has cloned it and nothing more."""
    return node.state is NodeState.CANCELLED and node.commit is not None and not node.kept


def standing(snapshot: Snapshot, node: Node) -> Standing:
    """How one pack counts.

    A good pack whose import was not looked at is not called `ready`, and not a `problem` either, as long as the check
    is still to come: it is `working`. After the check, or the end of the run, unknown is a `problem`, unless nobody
    asked for the check. ComfyUI imports the folders in custom_nodes and no deeper ones, so a nested pack is never
    checked itself: the verdict on the pack around it counts."""
    if node.state not in GOOD_NODE_STATES:
        return _BY_STATE[node.state]
    outer, nested, _ = node.folder.partition("/")
    checked = next((other for other in snapshot.nodes.values() if other.folder == outer), None) if nested else node
    if has_problem(node) or (checked is not None and checked.verified is False):
        return Standing.PROBLEM
    if checked is None or checked.verified or not _asked_to_verify(snapshot):
        return Standing.READY
    ended = snapshot.state in TERMINAL_TASK_STATES or _status(snapshot, Phase.VERIFY) in ENDED_PHASE
    return Standing.PROBLEM if ended else Standing.WORKING


def has_problem(node: Node) -> bool:
    """Whether a part of a pack that is there failed. One that loads without what it would have liked has none."""
    return node.error is not None and not (node.verified and node.error.code in _ONLY_SAID)


def _asked_to_verify(snapshot: Snapshot) -> bool:
    """An older runner does not say so: then what became of the verify phase tells."""
    if snapshot.verify is not None:
        return snapshot.verify
    status = _status(snapshot, Phase.VERIFY)
    to_come = status is StepStatus.PENDING and snapshot.state not in TERMINAL_TASK_STATES
    return to_come or status in (StepStatus.RUNNING, StepStatus.SUCCESS, StepStatus.FAILED)


def _status(snapshot: Snapshot, phase: Phase) -> StepStatus:
    return snapshot.phases.get(phase, PhaseRun()).status


def outcome(snapshot: Snapshot) -> Optional[Outcome]:
    """How a completed install ended; None for any other state."""
    if snapshot.state is not TaskState.COMPLETED:
        return None
    nodes = list(snapshot.nodes.values())
    good = [node for node in nodes if node.state in GOOD_NODE_STATES or is_as_asked(node)]
    if nodes and not good:
        return Outcome.NONE
    whole = all(node in good and (not has_problem(node) or is_as_asked(node)) for node in nodes)
    return Outcome.ALL if whole else Outcome.PARTIAL


def is_as_asked(node: Node) -> bool:
    """A pack that is not there because that was asked for."""
    return node.state is NodeState.SKIPPED and node.error is not None and node.error.code in AS_ASKED


def percent(snapshot: Snapshot) -> float:
    """How much of the whole is done, 0 to 100, one decimal; 100 only for a completed install. The reducer keeps its
    maximum: what users see never falls."""
    if snapshot.state is TaskState.COMPLETED:
        return 100.0
    done = sum(weight * _fraction(snapshot, phase) for phase, weight in PHASE_WEIGHTS.items())
    return round(min(done, 99.9), 1)


def _fraction(snapshot: Snapshot, phase: Phase) -> float:
    """How much of one phase is done, 0 to 1."""
    if phase not in snapshot.phases:
        return 0.0
    if _status(snapshot, phase) in ENDED_PHASE:
        return 1.0
    nodes = list(snapshot.nodes.values())
    if phase is Phase.CLONE and nodes:
        return sum(node.clone_percent / 100 if node.state in _NOT_CLONED else 1.0 for node in nodes) / len(nodes)
    if phase is Phase.INSTALL and nodes:
        by_packs = sum(node.state in PROCESSED_NODE_STATES for node in nodes) / len(nodes)
        done, total = snapshot.packages_done, snapshot.packages_total
        return max(by_packs, min(1.0, done / total)) if total and done is not None else by_packs
    return 0.0
