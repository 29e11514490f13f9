"""The snapshot: what is known of an install after the events so far. Plain frozen values; `reducer` makes the next one.

`to_stored` and `from_stored` are the form that the service keeps on disk, so that a restarted service goes on from it;
what users see is `progress_json.progress`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, Optional, Tuple

from app.protocol.json_fields import read_record
from app.protocol.states import NodeState, Phase, StepStatus, TaskState

FORMAT = 1


@dataclass(frozen=True)
class Problem:
    """Why something failed: a reason code, one sentence, and what to do."""

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, raw: Optional[Mapping[str, Any]]) -> Optional[Problem]:
        """The problem of a stored JSON object; None for none."""
        if not raw:
            return None
        return cls(str(raw.get("code", "unknown")), str(raw.get("message", "")), str(raw.get("hint", "")))

    def to_json(self) -> Dict[str, str]:
        """As progress and events show it."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


@dataclass(frozen=True)
class PlannedChange:
    """One package that a plan adds, changes or removes.

    `old` is None for a new package, `new` for one that goes. `bytes` is the size of the file to download, None where it
    is not known. `stage` is the stage of the install that the plan belongs to."""

    package: str
    old: Optional[str] = None
    new: Optional[str] = None
    change: str = ""
    downgrade: bool = False
    wanted_by: Tuple[str, ...] = ()
    bytes: Optional[int] = None
    stage: str = field(default="", metadata={"wire": "lane"})

    def to_json(self) -> Dict[str, Any]:
        """As the API and the journal show it."""
        values = {**vars(self), "wanted_by": list(self.wanted_by), "lane": self.stage}
        del values["stage"]
        return values


@dataclass(frozen=True)
class Node:
    """One node pack. `rate` is bytes a second; `*_mono` are seconds of the runner's monotonic clock."""

    name: str
    repo_url: str
    state: NodeState = NodeState.PENDING
    folder: str = ""
    ref: Optional[str] = None
    requirements_file: Optional[str] = None
    clone_percent: int = 0
    bytes_received: Optional[int] = None
    rate: Optional[float] = None
    eta: Optional[float] = None
    requirements: StepStatus = StepStatus.NONE
    script: StepStatus = StepStatus.NONE
    commit: Optional[str] = None
    verified: Optional[bool] = None
    import_seconds: Optional[float] = None
    kept: bool = False
    started_mono: Optional[float] = None
    last_mono: Optional[float] = None
    entered: Mapping[str, float] = field(default_factory=dict)
    """When it came into each state (by its wire word), in seconds after the run began; the last time of several."""
    error: Optional[Problem] = None


@dataclass(frozen=True)
class Step:
    """A line of the task list that is neither a phase nor a node pack."""

    status: StepStatus = StepStatus.PENDING
    detail: str = ""
    seconds: Optional[float] = None


@dataclass(frozen=True)
class PhaseRun:
    """How a phase stands; seconds of its source's monotonic clock."""

    status: StepStatus = StepStatus.PENDING
    detail: str = ""
    started_mono: Optional[float] = None
    ended_mono: Optional[float] = None


@dataclass(frozen=True)
class Snapshot:
    """Everything that is known of one task. `created_at` and `finished_at` are Unix seconds of the clock of
    whoever folds."""

    task_id: str
    created_at: float
    revision: int = 0
    state: TaskState = TaskState.QUEUED
    waiting: Optional[Problem] = None
    """Why nothing moves right now (queue, instance not up, another install), if so."""
    phases: Mapping[Phase, PhaseRun] = field(default_factory=dict)
    steps: Mapping[str, Step] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """By name, in the manifest's order; empty until the manifest was read."""
    current_node: Optional[str] = None
    percent: float = 0.0
    packages_done: Optional[int] = None
    packages_total: Optional[int] = None
    packages_bytes_done: Optional[int] = None
    packages_bytes_total: Optional[int] = None
    plan: Optional[Tuple[PlannedChange, ...]] = None
    probe: Mapping[str, Any] = field(default_factory=dict)
    lock: Optional[Mapping[str, Any]] = None
    """What was installed, to install exactly that again; None until the run told it."""
    warnings: Tuple[Problem, ...] = ()
    error: Optional[Problem] = None
    finished_at: Optional[float] = None
    began_mono: Optional[float] = None
    """When the run began on the instance, by the runner's monotonic clock."""
    last_mono: Optional[float] = None
    """When the newest event of the journal happened, by the same clock."""
    last_at: Optional[float] = None
    """When that event was folded, in Unix seconds of the clock of whoever folds."""
    verify: Optional[bool] = None
    """Whether the run was asked to check imports; None until it says so; older runners never do."""
    attempt: Optional[int] = None
    """Which try to reach the instance comes next, counted from the last time it was heard; no meaning while it is."""
    next_attempt_at: Optional[float] = None
    """When that try is due, in Unix seconds of the clock of whoever folds."""
    journal_seq: int = 0
    service_seq: int = 0


def to_stored(snapshot: Snapshot) -> Dict[str, Any]:
    """The snapshot as JSON values, nothing left out."""
    stored = dataclasses.asdict(replace(snapshot, plan=None))
    if snapshot.plan is not None:
        stored["plan"] = [change.to_json() for change in snapshot.plan]
    stored["format"] = FORMAT
    return stored


def from_stored(stored: Mapping[str, Any]) -> Snapshot:
    """The snapshot that `to_stored` of this or an earlier version gave. Raises ValueError for anything else."""
    try:
        values = dict(stored)
        if values.pop("format", None) != FORMAT:
            raise ValueError("a snapshot of another format")
        values["state"] = TaskState(values["state"])
        values["phases"] = {
            Phase(name): PhaseRun(**{**raw, "status": StepStatus(raw["status"])})
            for name, raw in values["phases"].items()
        }
        values["steps"] = {
            name: Step(**{**raw, "status": StepStatus(raw["status"])}) for name, raw in values["steps"].items()
        }
        values["nodes"] = {
            name: Node(
                **{
                    **raw,
                    "state": NodeState(raw["state"]),
                    "requirements": StepStatus(raw["requirements"]),
                    "script": StepStatus(raw["script"]),
                    "error": Problem.of(raw["error"]),
                }
            )
            for name, raw in values["nodes"].items()
        }
        values["warnings"] = tuple(Problem(**raw) for raw in values["warnings"])
        if values["plan"] is not None:
            values["plan"] = tuple(read_record(PlannedChange, raw) for raw in values["plan"])
        values["error"], values["waiting"] = Problem.of(values["error"]), Problem.of(values["waiting"])
        return Snapshot(**values)
    except (AttributeError, KeyError, TypeError) as exc:
        raise ValueError("a snapshot that cannot be read: %r" % exc) from exc
