"""`reduce(snapshot, event, now)`: the next snapshot. Pure; the same events always give the same snapshot.

Both sources fold here. A journal event that was folded already (a re-attach sends some again) changes nothing.
An event that
names an unknown pack, or asks for a move which the state table does not have, is its writer's error: ProtocolFault.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Dict, Mapping, Optional

from app.protocol import counts
from app.protocol.events import Event, Kind, ProtocolFault, Source
from app.protocol.snapshot import Node, PhaseRun, Problem, Snapshot, Step
from app.protocol.states import (
    PROCESSED_NODE_STATES,
    TERMINAL_TASK_STATES,
    NodeState,
    Phase,
    StepStatus,
    TaskState,
    advance,
)

MAX_WARNINGS = 50


def reduce(snapshot: Snapshot, event: Event, now: float) -> Snapshot:
    """The snapshot after `event`; `now` is the folder's own wall clock (Unix seconds), used for `finished_at` only."""
    if event.seq <= _seen(snapshot, event.source) or snapshot.state in TERMINAL_TASK_STATES:
        return snapshot
    try:
        after = _FOLDS[event.kind](snapshot, event)
    except (KeyError, TypeError, ValueError) as exc:
        raise ProtocolFault("%s event %d cannot be folded: %r" % (event.kind, event.seq, exc)) from exc
    if after.state in TERMINAL_TASK_STATES:
        after = replace(after, finished_at=now, waiting=None)
    if event.source is Source.JOURNAL:
        after = replace(after, revision=snapshot.revision + 1, journal_seq=event.seq)
    else:
        after = replace(after, revision=snapshot.revision + 1, service_seq=event.seq)
    return replace(after, percent=max(snapshot.percent, counts.percent(after)))


def _seen(snapshot: Snapshot, source: Source) -> int:
    return snapshot.journal_seq if source is Source.JOURNAL else snapshot.service_seq


# -- the service's own events --------------------------------------------------------------------------------------


def _queued(snapshot: Snapshot, event: Event) -> Snapshot:
    return replace(snapshot, waiting=Problem.of(event.get("waiting")))


def _connecting(snapshot: Snapshot, event: Event) -> Snapshot:
    state = snapshot.state
    if state is TaskState.QUEUED:
        state = advance(state, TaskState.RUNNING)
    waiting = snapshot.waiting if event["attempt"] > 1 else None
    return _phase_to(replace(snapshot, state=state, waiting=waiting), Phase.CONNECT, StepStatus.RUNNING, event)


def _waiting_for_instance(snapshot: Snapshot, event: Event) -> Snapshot:
    reason = Problem.of(event["error"])
    text = reason.message if reason else ""
    waiting = Problem("waiting_for_instance", text, reason.hint if reason else "")
    return _until_next_attempt(replace(snapshot, waiting=waiting), event)


def _connect_succeeded(snapshot: Snapshot, event: Event) -> Snapshot:
    after = replace(snapshot, waiting=None)
    if snapshot.state is TaskState.INTERRUPTED:
        after = replace(after, state=advance(snapshot.state, TaskState.RUNNING))
    return _phase_to(after, Phase.CONNECT, StepStatus.SUCCESS, event, str(event["endpoint"]))


def _uploaded(snapshot: Snapshot, event: Event) -> Snapshot:
    return _phase_to(snapshot, Phase.UPLOAD, StepStatus.SUCCESS, event)


def _attached(snapshot: Snapshot, event: Event) -> Snapshot:
    return _uploaded(replace(snapshot, waiting=None), event)


def _interrupted(snapshot: Snapshot, event: Event) -> Snapshot:
    reason = Problem.of(event["error"]) or Problem("connection_lost", "The connection was lost.")
    state = snapshot.state
    if state is TaskState.RUNNING:
        state = advance(state, TaskState.INTERRUPTED)
    waiting = _unreached(reason) if state is TaskState.CANCELLING else replace(reason, code="interrupted")
    return _until_next_attempt(replace(snapshot, state=state, waiting=waiting), event)


def _unreached(reason: Optional[Problem]) -> Problem:
    """A cancel that is known here and not on the instance."""
    text = "The instance could not be reached; the install will be cancelled at the next contact"
    return Problem("cancel_unreached", "%s (%s)" % (text, reason.message) if reason else text)


def _until_next_attempt(snapshot: Snapshot, event: Event) -> Snapshot:
    pause = event.get("next_attempt_in")
    due = None if pause is None else event.wall + float(pause)
    return replace(snapshot, attempt=event.get("attempt"), next_attempt_at=due)


def _cancel_requested(snapshot: Snapshot, _event: Event) -> Snapshot:
    if snapshot.state is TaskState.QUEUED:
        return snapshot
    unreached = _unreached(None) if snapshot.state is TaskState.INTERRUPTED else None
    return replace(snapshot, state=advance(snapshot.state, TaskState.CANCELLING), waiting=unreached)


def _given_up(snapshot: Snapshot, event: Event) -> Snapshot:
    return _end(snapshot, TaskState(event["state"]), Problem.of(event["error"]))


# -- the runner's journal ------------------------------------------------------------------------------------------


def _run_started(snapshot: Snapshot, event: Event) -> Snapshot:
    """Without a service (a run by hand, and the runner's own file) there was no connecting and no upload."""
    state = TaskState.RUNNING if snapshot.state is TaskState.QUEUED else snapshot.state
    after = replace(snapshot, state=state, began_mono=event.mono)
    for phase in (Phase.CONNECT, Phase.UPLOAD):
        if phase not in after.phases:
            after = _phase_to(after, phase, StepStatus.SKIPPED, event)
    return after


def _phase(snapshot: Snapshot, event: Event) -> Snapshot:
    after = replace(snapshot, waiting=None)
    return _phase_to(after, Phase(event["phase"]), StepStatus(event["status"]), event, str(event.get("detail", "")))


def _phase_to(snapshot: Snapshot, phase: Phase, status: StepStatus, event: Event, detail: str = "") -> Snapshot:
    before = snapshot.phases.get(phase, PhaseRun())
    started = before.started_mono if before.started_mono is not None else event.mono
    ended = event.mono if status in counts.ENDED_PHASE else None
    if before.status in counts.ENDED_PHASE:  # a second attach connects again: the phase stays as it first ended
        return snapshot
    run = PhaseRun(status, detail or before.detail, started, ended)
    return replace(snapshot, phases={**snapshot.phases, phase: run})


def _step(snapshot: Snapshot, event: Event) -> Snapshot:
    step = Step(StepStatus(event["status"]), str(event.get("detail", "")), event.get("seconds"))
    return replace(snapshot, waiting=None, steps={**snapshot.steps, str(event["name"]): step})


def _waiting(snapshot: Snapshot, event: Event) -> Snapshot:
    return replace(snapshot, waiting=Problem.of(event.fields))


def _probed(snapshot: Snapshot, event: Event) -> Snapshot:
    return replace(snapshot, waiting=None, probe={**snapshot.probe, **event.fields})


def _manifest(snapshot: Snapshot, event: Event) -> Snapshot:
    nodes = {str(raw["name"]): _listed(raw) for raw in event["nodes"]}
    return replace(snapshot, nodes=nodes, waiting=None)


def _listed(raw: Mapping[str, Any]) -> Node:
    return Node(
        str(raw["name"]),
        str(raw["repo_url"]),
        folder=str(raw.get("folder") or raw["name"]),
        ref=raw.get("ref"),
        requirements_file=raw.get("requirements_file"),
    )


def _node(snapshot: Snapshot, event: Event) -> Snapshot:
    node = snapshot.nodes[event["name"]]
    state = advance(node.state, NodeState(event["state"]))
    changes: Dict[str, Any] = {"state": state, "rate": None, "eta": None}
    if state not in (NodeState.PENDING, NodeState.CLONING, NodeState.FAILED, NodeState.SKIPPED, NodeState.CANCELLED):
        changes["clone_percent"] = 100
    if event.get("error"):
        changes["error"] = Problem.of(event["error"])
    if snapshot.began_mono is not None:
        changes["entered"] = {**node.entered, state.value: round(event.mono - snapshot.began_mono, 2)}
    for name in ("commit", "kept", "bytes_received", "verified", "import_seconds"):
        if name in event.fields:
            changes[name] = event[name]
    return _with_node(snapshot, replace(node, **changes), event)


def _node_progress(snapshot: Snapshot, event: Event) -> Snapshot:
    node = snapshot.nodes[event["name"]]
    if node.state is not NodeState.CLONING:
        return snapshot
    reached = max(node.clone_percent, min(99, int(event["percent"])))
    received = event.get("bytes_received")
    changes = {"clone_percent": reached, "rate": event.get("rate"), "eta": event.get("eta")}
    if received is not None:
        changes["bytes_received"] = max(received, node.bytes_received or 0)
    return _with_node(snapshot, replace(node, **changes), event)


def _requirements(snapshot: Snapshot, event: Event) -> Snapshot:
    return _part_of_node(snapshot, event, "requirements")


def _script(snapshot: Snapshot, event: Event) -> Snapshot:
    return _part_of_node(snapshot, event, "script")


def _part_of_node(snapshot: Snapshot, event: Event, part: str) -> Snapshot:
    node = snapshot.nodes[event["name"]]
    changes: Dict[str, Any] = {part: StepStatus(event["status"])}
    if event.get("error") and node.error is None:
        changes["error"] = Problem.of(event["error"])
    return _with_node(snapshot, replace(node, **changes), event)


def _with_node(snapshot: Snapshot, node: Node, event: Event) -> Snapshot:
    started = node.started_mono if node.started_mono is not None else event.mono
    node = replace(node, started_mono=started, last_mono=event.mono)
    return replace(snapshot, nodes={**snapshot.nodes, node.name: node}, current_node=node.name)


def _plan(snapshot: Snapshot, event: Event) -> Snapshot:
    return replace(snapshot, plan=(snapshot.plan or ()) + tuple(event["changes"]))


def _packages(snapshot: Snapshot, event: Event) -> Snapshot:
    done, total = event.get("bytes_done"), event.get("bytes_total")
    return replace(
        snapshot,
        packages_done=int(event["done"]),
        packages_total=int(event["total"]),
        packages_bytes_done=None if done is None else int(done),
        packages_bytes_total=None if total is None else int(total),
    )


def _lock(snapshot: Snapshot, event: Event) -> Snapshot:
    return replace(snapshot, lock=dict(event["lock"]))


def _warning(snapshot: Snapshot, event: Event) -> Snapshot:
    problem = Problem.of(event.fields)
    kept = (*snapshot.warnings, problem) if problem else snapshot.warnings
    return replace(snapshot, warnings=kept[-MAX_WARNINGS:])


def _run_ended(snapshot: Snapshot, event: Event) -> Snapshot:
    return _end(snapshot, TaskState(event["state"]), Problem.of(event.get("error")))


def _end(snapshot: Snapshot, state: TaskState, error: Optional[Problem]) -> Snapshot:
    """The terminal state. A cut line or a cancel that came too late does not stand in the way of what the
    runner says."""
    current = snapshot.state
    if state is TaskState.CANCELLED and current in (TaskState.RUNNING, TaskState.INTERRUPTED):
        current = TaskState.CANCELLING  # cancelled on the instance itself, not through this service
    if current is TaskState.QUEUED and state is TaskState.COMPLETED:
        current = TaskState.RUNNING
    ended = replace(snapshot, state=advance(current, state), error=error, waiting=None)
    return ended if state is TaskState.COMPLETED else _end_parts(ended, state, error)


def _end_parts(snapshot: Snapshot, state: TaskState, error: Optional[Problem]) -> Snapshot:
    """Nothing stays live in a run that has ended: what was running was cancelled, or is failed with the run's
    reason."""
    status = StepStatus.SKIPPED if state is TaskState.CANCELLED else StepStatus.FAILED
    return replace(
        snapshot,
        nodes={name: _ended_node(node, state, error) for name, node in snapshot.nodes.items()},
        phases={phase: replace(run, status=_ended(run.status, status)) for phase, run in snapshot.phases.items()},
        steps={name: replace(step, status=_ended(step.status, status)) for name, step in snapshot.steps.items()},
    )


def _ended(status: StepStatus, to: StepStatus) -> StepStatus:
    return to if status is StepStatus.RUNNING else status


def _ended_node(node: Node, state: TaskState, error: Optional[Problem]) -> Node:
    if node.state in PROCESSED_NODE_STATES:
        return node
    if state is TaskState.CANCELLED:
        to = NodeState.CANCELLED
    else:
        to = NodeState.SKIPPED if node.state is NodeState.PENDING else NodeState.FAILED
    ended = replace(node, state=advance(node.state, to), error=node.error or error, rate=None, eta=None)
    return replace(
        ended,
        requirements=_ended(node.requirements, StepStatus.FAILED),
        script=_ended(node.script, StepStatus.FAILED),
    )


_FOLDS: Mapping[Kind, Callable[[Snapshot, Event], Snapshot]] = {
    Kind.QUEUED: _queued,
    Kind.CONNECTING: _connecting,
    Kind.WAITING_FOR_INSTANCE: _waiting_for_instance,
    Kind.CONNECTED: _connect_succeeded,
    Kind.UPLOADED: _uploaded,
    Kind.ATTACHED: _attached,
    Kind.INTERRUPTED: _interrupted,
    Kind.CANCEL_REQUESTED: _cancel_requested,
    Kind.GIVEN_UP: _given_up,
    Kind.RUN_STARTED: _run_started,
    Kind.PHASE: _phase,
    Kind.STEP: _step,
    Kind.WAITING: _waiting,
    Kind.PROBED: _probed,
    Kind.MANIFEST: _manifest,
    Kind.NODE: _node,
    Kind.NODE_PROGRESS: _node_progress,
    Kind.REQUIREMENTS: _requirements,
    Kind.SCRIPT: _script,
    Kind.PLAN: _plan,
    Kind.PACKAGES: _packages,
    Kind.WARNING: _warning,
    Kind.LOCK: _lock,
    Kind.RUN_ENDED: _run_ended,
}
