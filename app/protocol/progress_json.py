"""The progress JSON that users poll: the snapshot in the words and fields of docs/api.md."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from app.protocol import builds, counts, questions, task_list
from app.protocol.amounts import clock
from app.protocol.eta import remaining_seconds
from app.protocol.reasons import for_people
from app.protocol.repairs import RepairState
from app.protocol.snapshot import Node, PhaseRun, Question, Snapshot, Step
from app.protocol.states import (
    ENDED_PHASE,
    NODE_STATUS,
    RETURN_CODES,
    TERMINAL_TASK_STATES,
    BuildState,
    Outcome,
    Phase,
    StepStatus,
    TaskState,
)

TRIED_AGAIN = frozenset({"waiting_for_instance", "interrupted", "cancel_unreached"})
"""Why a task waits whose instance is tried again and again."""
EtaOf = Callable[[Snapshot, float], Optional[float]]
"""As `remaining_seconds`."""
_TO_COME = PhaseRun()
_OF_THE_SERVICE = frozenset({Phase.CONNECT, Phase.UPLOAD})
"""Phases before the run on the instance."""
_MOVING = ("elapsed_seconds", "run_seconds", "eta_seconds", "elapsed_time", "last_event_seconds_ago")


def initial(task_id: str, now: float, *, auto_installer: bool) -> Snapshot:
    """The snapshot of a task that was just accepted at `now` (Unix seconds)."""
    names = [task_list.CLONE_AUTO_INSTALLER] if auto_installer else []
    return Snapshot(task_id, now, steps={name: Step() for name in [*names, task_list.CONFIGURE_VENV]})


class Tables(NamedTuple):
    """What of `progress` is made of many rows: its counts, `node_rows` and the `phase_line` of each phase."""

    numbers: counts.Counts
    nodes: List[Dict[str, Any]]
    phases: List[Dict[str, Any]]


def tables_of(snapshot: Snapshot) -> Tables:
    """The tables of a snapshot."""
    return Tables(counts.count(snapshot), node_rows(snapshot), [phase_line(snapshot, phase) for phase in Phase])


def progress(
    snapshot: Snapshot,
    now: float,
    *,
    heard_at: Optional[float] = None,
    require: str = "any",
    queue: Optional[Mapping[str, Any]] = None,
    retry: Optional[Mapping[str, Any]] = None,
    tables: Optional[Tables] = None,
    eta_of: EtaOf = remaining_seconds,
) -> Dict[str, Any]:
    """The progress at `now` (Unix seconds, the snapshot's clock). `heard_at`: when the runner was last heard;
    `require`: whether `any` or `all` packs make a success; `queue`: its place among those that wait; `retry`: what it
    repeats, what repeats it; `tables`, `eta_of`: its tables and estimates, where known."""
    numbers, nodes, phases = tables or tables_of(snapshot)
    result = counts.outcome(snapshot)
    ended = snapshot.state in TERMINAL_TASK_STATES
    fields: Dict[str, Any] = {
        "success": not ended or result is Outcome.ALL or (result is Outcome.PARTIAL and require != "all"),
        "task_id": snapshot.task_id,
        "state": snapshot.state.value,
        "in_progress": not ended,
        "completed": ended,
        "revision": snapshot.revision,
        "phase": phase_of(snapshot).value,
        "message": message(snapshot, numbers),
        "message_code": message_code(snapshot),
        "queue": queue,
        "retry": retry,
        **_next_attempt(snapshot),
        "percent": snapshot.percent,
        **_times(snapshot, now, eta_of),
        **numbers.to_json(),
        "packages_done": snapshot.packages_done,
        "packages_total": snapshot.packages_total,
        "packages_bytes_done": snapshot.packages_bytes_done,
        "packages_bytes_total": snapshot.packages_bytes_total,
        **_current(snapshot, now),
        "phases": phases,
        "steps": steps(snapshot, numbers),
        "nodes": nodes,
        "builds": builds.rows(snapshot, now),
        "questions": question_rows(snapshot),
        "repair": snapshot.repair.to_json() if snapshot.repair else None,
        "warnings": [for_people(each.to_json()) for each in snapshot.warnings],
        "last_event_seconds_ago": seconds_ago(heard_at, now),
        "error": for_people(snapshot.error.to_json()) if snapshot.error else None,
    }
    return {**fields, **_finished(snapshot, result)} if ended else fields


def moving_names(snapshot: Snapshot) -> Tuple[str, ...]:
    """The fields of `progress` that change while the snapshot stays the same, but for `queue` and `retry`."""
    building = any(build.state is BuildState.RUNNING for build in snapshot.builds.values())
    return (*_MOVING, "builds") if building else _MOVING


def moving(
    snapshot: Snapshot, now: float, *, heard_at: Optional[float] = None, eta_of: EtaOf = remaining_seconds
) -> Dict[str, Any]:
    """Those fields at `now`, as `progress` has them."""
    fields = {
        **_times(snapshot, now, eta_of),
        "elapsed_time": clock(_elapsed(snapshot, now)),
        "last_event_seconds_ago": seconds_ago(heard_at, now),
    }
    return {**fields, "builds": builds.rows(snapshot, now)} if len(moving_names(snapshot)) > len(_MOVING) else fields


def seconds_ago(heard_at: Optional[float], now: float) -> Optional[float]:
    """How long ago the runner was last heard; None for never."""
    return None if heard_at is None else round(max(0.0, now - heard_at), 1)


def phase_of(snapshot: Snapshot) -> Phase:
    """The earliest phase that is not finished; of a run that could not finish, the one where it ended."""
    if snapshot.state is TaskState.COMPLETED:
        return Phase.FINISH
    for phase in Phase:
        status = snapshot.phases.get(phase, _TO_COME).status
        failed_here = status is StepStatus.FAILED and snapshot.state is TaskState.FAILED
        if status not in ENDED_PHASE or failed_here:
            return phase
    return Phase.FINISH


def node_rows(snapshot: Snapshot) -> List[Dict[str, Any]]:
    """All node packs as progress shows them."""
    built = builds.seconds_by_pack(snapshot)
    return [node_row(snapshot, node, built.get(node.name, 0.0)) for node in snapshot.nodes.values()]


def node_row(snapshot: Snapshot, node: Node, build_seconds: float) -> Dict[str, Any]:
    """One node pack. `build_seconds`: of the builds that it needs."""
    seconds, waited = _work_and_wait(node, build_seconds)
    standing = counts.standing(snapshot, node).value
    return {
        "name": node.name,
        "repo_url": node.repo_url,
        "folder": node.folder,
        "status": NODE_STATUS[node.state].value,
        "state": node.state.value,
        "standing": standing,
        "counts_as": standing,  # its name before there were runs
        "kept": node.kept,
        "clone_progress": node.clone_percent,
        "bytes_received": node.bytes_received,
        "bytes_per_second": node.rate,
        "eta_seconds": node.eta,
        "requirements_status": node.requirements.value,
        "script_status": node.script.value,
        "commit": node.commit,
        "registry_id": node.registry_id or None,
        "version": node.version or None,
        "verified": node.verified,
        "import_seconds": node.import_seconds,
        "seconds": seconds,
        "wait_seconds": waited,
        "timeline": dict(node.entered),
        "heard_at": _heard_at(snapshot, node),
        "error": for_people(node.error.to_json()) if node.error else None,
    }


def _heard_at(snapshot: Snapshot, node: Node) -> Optional[float]:
    """When the run last said something of a pack, in seconds after it began."""
    if node.last_mono is None or snapshot.began_mono is None:
        return None
    return round(max(0.0, node.last_mono - snapshot.began_mono), 1)


def _times(snapshot: Snapshot, now: float, eta_of: EtaOf) -> Dict[str, Any]:
    return {
        "elapsed_seconds": _elapsed(snapshot, now),
        "run_seconds": _run_seconds(snapshot, now),
        "eta_seconds": eta_of(snapshot, now),
    }


def _run_seconds(snapshot: Snapshot, now: float) -> Optional[float]:
    """How long ago the run began, on the clock of `heard_at`; at its end, how long it took."""
    if snapshot.began_mono is None or snapshot.last_mono is None or snapshot.last_at is None:
        return None
    since = 0.0 if snapshot.state in TERMINAL_TASK_STATES else max(0.0, now - snapshot.last_at)
    return round(max(0.0, snapshot.last_mono - snapshot.began_mono) + since, 1)


def _work_and_wait(node: Node, build_seconds: float) -> Tuple[Optional[float], Optional[float]]:
    """The seconds in which something was done for this pack alone (its clone, its install.py, builds that it needs, its
    import), and those in which it waited for others or shared what was done; None as long as nothing has begun."""
    if node.started_mono is None or node.last_mono is None:
        return None, None
    if node.worked is None and node.working_since is None:
        return round(node.last_mono - node.started_mono, 1), None
    work = (node.worked or 0.0) + (node.import_seconds or 0.0) + build_seconds
    if node.working_since is not None:
        work += max(0.0, node.last_mono - node.working_since)
    return round(work, 1), round(max(0.0, node.last_mono - node.started_mono - work), 1)


def steps(snapshot: Snapshot, numbers: counts.Counts) -> List[Dict[str, Any]]:
    """The lines of the task list, in the order of the original API."""
    rows = [_phase_row(task_list.CONNECT, snapshot, Phase.CONNECT)]
    rows += [_row(name, step.status, step.detail, step.seconds) for name, step in snapshot.steps.items()]
    rows.append(
        _row(
            task_list.CUSTOM_NODES, _nodes_status(snapshot, numbers), numbers.in_words() if numbers.total else "", None
        )
    )
    rows.append(_phase_row(task_list.VERIFY, snapshot, Phase.VERIFY))
    return rows


def question_row(snapshot: Snapshot, question: Question) -> Dict[str, Any]:
    """A question of the run as progress shows it."""
    row = questions.row(snapshot, question)
    return {**row, "expires_at": None if row["expires_at"] is None else iso(row["expires_at"])}


def question_rows(snapshot: Snapshot) -> List[Dict[str, Any]]:
    """The questions that the run waits with."""
    return [question_row(snapshot, each) for each in questions.standing(snapshot)]


def message_code(snapshot: Snapshot) -> Optional[str]:
    """Why nothing moves right now, if so."""
    waiting = snapshot.waiting or questions.wait_of(snapshot)
    return waiting.code if waiting else None


def message(snapshot: Snapshot, numbers: Optional[counts.Counts] = None) -> str:
    """One sentence: what is happening. `numbers`: its counts, where known."""
    numbers = numbers or counts.count(snapshot)
    if snapshot.state in TERMINAL_TASK_STATES:
        return _last_message(snapshot, numbers)
    waiting = snapshot.waiting or questions.wait_of(snapshot)
    if waiting:
        return waiting.message
    if snapshot.state is TaskState.CANCELLING:
        return "Stopping the install on the machine"
    phase = phase_of(snapshot)
    said = [_phase_message(snapshot, phase, numbers), builds.in_words(snapshot)]
    return "; ".join(filter(None, said))


def _phase_message(snapshot: Snapshot, phase: Phase, numbers: counts.Counts) -> str:
    if phase is Phase.CLONE and numbers.total:
        return "Downloading node packs: %d of %d done" % (numbers.cloned, numbers.total)
    if phase is Phase.VERIFY and snapshot.repair and snapshot.repair.state is RepairState.SEARCHING:
        return "Looking for versions with which more packs load"
    if phase is Phase.INSTALL and snapshot.packages_total:
        return "Installing Python packages: %d of %d" % (snapshot.packages_done or 0, snapshot.packages_total)
    return _PHASE_MESSAGES[phase]


_PHASE_MESSAGES = {
    Phase.CONNECT: "Connecting to the instance",
    Phase.UPLOAD: "Starting the runner on the instance",
    Phase.PROBE: "Looking for ComfyUI and its Python on the instance",
    Phase.CLONE: "Downloading node packs",
    Phase.RESOLVE: "Working out which Python packages are needed",
    Phase.INSTALL: "Installing Python packages",
    Phase.SCRIPTS: "Running the packs' install scripts",
    Phase.VERIFY: "Checking whether ComfyUI loads the packs",
    Phase.FINISH: "Finishing",
}


def _last_message(snapshot: Snapshot, numbers: counts.Counts) -> str:
    installed = "%d of %d node packs are installed" % (numbers.successful, numbers.total)
    installed += ", %d of them with a problem" % numbers.problem if numbers.problem else ""
    unknown = counts.unknown_loads(snapshot)
    installed += ", of %d it is not known whether they load" % unknown if unknown else ""
    if snapshot.state is TaskState.COMPLETED:
        restarted = snapshot.steps.get(task_list.RESTART, Step()).status is StepStatus.SUCCESS
        return installed + ("; restart ComfyUI to load them" if numbers.successful and not restarted else "")
    if snapshot.state is TaskState.CANCELLED:
        left = sum(counts.is_left_behind(node) for node in snapshot.nodes.values())
        words = "%d were downloaded without their packages: a retry goes on, putting back removes them" % left
        words = (
            "1 was downloaded without its packages: a retry goes on, putting back removes it" if left == 1 else words
        )
        return "Stopped; %s" % "; ".join([installed, *([words] if left else [])])
    return snapshot.error.message if snapshot.error else "The install could not finish"


def _elapsed(snapshot: Snapshot, now: float) -> float:
    """Seconds since the task was accepted, with the time in the queue."""
    end = now if snapshot.finished_at is None else snapshot.finished_at
    return round(max(0.0, end - snapshot.created_at), 1)


def _next_attempt(snapshot: Snapshot) -> Dict[str, Any]:
    """Of an instance that is not reached: which try comes next, and when. A time that has passed: it is tried now."""
    if snapshot.waiting is None or snapshot.waiting.code not in TRIED_AGAIN:
        return {"attempt": None, "next_attempt_at": None}
    due = snapshot.next_attempt_at
    return {"attempt": snapshot.attempt, "next_attempt_at": None if due is None else iso(due)}


def _current(snapshot: Snapshot, now: float) -> Dict[str, Any]:
    """The original API's fields about "the" current pack: the one with the newest event."""
    node = snapshot.nodes.get(snapshot.current_node or "")
    eta = node.eta if node else None
    elapsed = clock(_elapsed(snapshot, now))
    fields = {
        "current_node": node.name if node else None,
        "current_status": NODE_STATUS[node.state].value if node else None,
        "has_requirements": bool(node and node.requirements is not StepStatus.NONE),
        "requirements_status": node.requirements.value if node else None,
        "clone_progress": node.clone_percent if node else None,
        "data_received": _size(node.bytes_received) if node else None,
        "download_rate": _size(node.rate, "/s") if node else None,
        "total_size": None,
    }
    return {**fields, "elapsed_time": elapsed, "eta": None if eta is None else clock(eta)}


def _finished(snapshot: Snapshot, result: Optional[Outcome]) -> Dict[str, Any]:
    """What only an install that has ended has."""
    nodes = list(snapshot.nodes.values())
    requirements = [node.requirements for node in nodes]
    word = result.value if result else snapshot.state.value
    return {
        "outcome": result.value if result else None,
        "successful_clones": sum(node.commit is not None for node in nodes),
        "failed_clones": sum(node.commit is None for node in nodes),
        "successful_requirements": requirements.count(StepStatus.SUCCESS),
        "failed_requirements": requirements.count(StepStatus.FAILED),
        "return_code": RETURN_CODES[word],
        "finished_at": None if snapshot.finished_at is None else iso(snapshot.finished_at),
    }


def _nodes_status(snapshot: Snapshot, numbers: counts.Counts) -> StepStatus:
    if snapshot.state is TaskState.COMPLETED:
        return StepStatus.SUCCESS if numbers.successful or not numbers.total else StepStatus.FAILED
    if snapshot.state in TERMINAL_TASK_STATES:
        started = Phase.CLONE in snapshot.phases
        return StepStatus.FAILED if started else StepStatus.SKIPPED
    return StepStatus.RUNNING if numbers.total else StepStatus.PENDING


def _phase_row(name: str, snapshot: Snapshot, phase: Phase) -> Dict[str, Any]:
    run = snapshot.phases.get(phase, _TO_COME)
    seconds = None
    if run.started_mono is not None and run.ended_mono is not None:
        seconds = round(run.ended_mono - run.started_mono, 1)
    return _row(name, run.status, run.detail, seconds)


def phase_line(snapshot: Snapshot, phase: Phase) -> Dict[str, Any]:
    """One phase; `began` in seconds after the run's begin, None for what the service did before it."""
    run = snapshot.phases.get(phase, _TO_COME)
    began = None
    if phase not in _OF_THE_SERVICE and run.started_mono is not None and snapshot.began_mono is not None:
        began = round(run.started_mono - snapshot.began_mono, 2)
    return {**_phase_row(phase.value, snapshot, phase), "began": began}


def _row(name: str, status: StepStatus, detail: str, seconds: Optional[float]) -> Dict[str, Any]:
    return {"name": name, "status": status.value, "detail": detail or None, "seconds": seconds}


def _size(count: Optional[float], suffix: str = "") -> Optional[str]:
    """A count of bytes as the first API told it, `2.5 MiB`: for programs that read that text. For people:
    `amounts.size`."""
    if count is None:
        return None
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return "%.*f %s%s" % (0 if unit == "B" else 1, count, unit, suffix)
        count /= 1024
    return "%.1f GiB%s" % (count, suffix)


def iso(wall: float) -> str:
    """Unix seconds as UTC ISO 8601."""
    return datetime.fromtimestamp(wall, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
