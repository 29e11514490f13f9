"""`reduce(snapshot, event, now)`: the next snapshot. Pure; the same events always give the same snapshot.

The events of both sources are folded here. A journal event that was folded already changes nothing: a re-attach sends
some again. An event that names an unknown pack, or asks for a move which the state table does not have, is its writer's
error: ProtocolFault.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Dict, Optional, Type, TypeVar, Union

from app.protocol import budgets, builds, counts, questions
from app.protocol.event_body import Body
from app.protocol.events import (
    AnswerRequested,
    Attached,
    BuildChanged,
    CancelRequested,
    Connected,
    Connecting,
    Event,
    GivenUp,
    Interrupted,
    LockMade,
    ManifestRead,
    NodeChanged,
    NodeProgress,
    PackagesPlanned,
    PackagesProgress,
    PhaseChanged,
    Probed,
    QuestionAnswered,
    QuestionAsked,
    Queued,
    RepairChanged,
    RequirementsChanged,
    RunEnded,
    RunStarted,
    ScriptChanged,
    SkipRequested,
    Source,
    StepChanged,
    Unknown,
    Uploaded,
    Waiting,
    WaitingForInstance,
    Warned,
)
from app.protocol.json_fields import ProtocolFault
from app.protocol.run_end import ended
from app.protocol.snapshot import WORKER_GONE, Build, Node, PhaseRun, PlannedChange, Problem, Snapshot, Step
from app.protocol.states import (
    ENDED_PHASE,
    TERMINAL_TASK_STATES,
    NodeState,
    Phase,
    StepStatus,
    TaskState,
    advance,
)
from app.protocol.sums import at_most, with_work

_NOT_CLONED = frozenset(
    {NodeState.PENDING, NodeState.CLONING, NodeState.FAILED, NodeState.SKIPPED, NodeState.CANCELLED}
)
_B = TypeVar("_B", bound=Body)
_Fold = Callable[[Snapshot, _B, Event], Snapshot]
_FOLDS: Dict[Type[Body], _Fold[Any]] = {}


def reduce(snapshot: Snapshot, event: Event, now: float) -> Snapshot:
    """The snapshot after `event`; `now` is the reader's own wall clock (Unix seconds)."""
    from_journal = event.source is Source.JOURNAL
    seen = snapshot.journal_seq if from_journal else snapshot.service_seq
    if event.seq <= seen or snapshot.state in TERMINAL_TASK_STATES:
        return snapshot
    try:
        after = _FOLDS[type(event.body)](snapshot, event.body, event)
    except (ArithmeticError, KeyError, ValueError) as exc:
        raise ProtocolFault("%s event %d cannot be folded: %r" % (event.body.kind, event.seq, exc)) from exc
    if after.state in TERMINAL_TASK_STATES:
        after = replace(after, finished_at=now, waiting=None)
    revision, percent = snapshot.revision + 1, max(snapshot.percent, counts.percent(after))
    if not from_journal:
        return replace(after, revision=revision, percent=percent, service_seq=event.seq)
    return replace(after, revision=revision, percent=percent, journal_seq=event.seq, last_mono=event.mono, last_at=now)


def _folds(kind: Type[_B]) -> Callable[[_Fold[_B]], _Fold[_B]]:
    """Registers the function that folds this kind of event."""

    def register(fold: _Fold[_B]) -> _Fold[_B]:
        _FOLDS[kind] = fold
        return fold

    return register


# -- the service's own events ------------------------------------------------------------------------------------------


@_folds(Queued)
def _queued(snapshot: Snapshot, body: Queued, _event: Event) -> Snapshot:
    return replace(snapshot, waiting=body.waiting)


@_folds(Connecting)
def _connecting(snapshot: Snapshot, body: Connecting, event: Event) -> Snapshot:
    state = snapshot.state
    if state is TaskState.QUEUED:
        state = advance(state, TaskState.RUNNING)
    waiting = snapshot.waiting if body.attempt > 1 else None
    return _with_phase(replace(snapshot, state=state, waiting=waiting), Phase.CONNECT, StepStatus.RUNNING, event)


@_folds(WaitingForInstance)
def _waiting_for_instance(snapshot: Snapshot, body: WaitingForInstance, event: Event) -> Snapshot:
    waiting = replace(body.error, code="waiting_for_instance")
    return _until_next_attempt(replace(snapshot, waiting=waiting), body, event)


@_folds(Connected)
def _connect_succeeded(snapshot: Snapshot, body: Connected, event: Event) -> Snapshot:
    state = snapshot.state
    if state is TaskState.INTERRUPTED:
        state = advance(state, TaskState.RUNNING)
    after = replace(snapshot, state=state, waiting=None)
    return _with_phase(after, Phase.CONNECT, StepStatus.SUCCESS, event, body.endpoint)


@_folds(Uploaded)
def _uploaded(snapshot: Snapshot, _body: Uploaded, event: Event) -> Snapshot:
    return _with_phase(snapshot, Phase.UPLOAD, StepStatus.SUCCESS, event)


@_folds(Attached)
def _attached(snapshot: Snapshot, _body: Attached, event: Event) -> Snapshot:
    return _with_phase(replace(snapshot, waiting=None), Phase.UPLOAD, StepStatus.SUCCESS, event)


@_folds(Interrupted)
def _interrupted(snapshot: Snapshot, body: Interrupted, event: Event) -> Snapshot:
    state = snapshot.state
    if state is TaskState.RUNNING:
        state = advance(state, TaskState.INTERRUPTED)
    if body.error.code == WORKER_GONE:
        waiting = body.error
    elif state is TaskState.CANCELLING:
        waiting = _cancel_unreached(body.error)
    else:
        waiting = replace(body.error, code="interrupted")
    return _until_next_attempt(replace(snapshot, state=state, waiting=waiting), body, event)


@_folds(CancelRequested)
def _cancel_requested(snapshot: Snapshot, _body: CancelRequested, _event: Event) -> Snapshot:
    if snapshot.state is TaskState.QUEUED:
        return snapshot
    waiting = _cancel_unreached(None) if snapshot.state is TaskState.INTERRUPTED else None
    return replace(snapshot, state=advance(snapshot.state, TaskState.CANCELLING), waiting=waiting)


@_folds(SkipRequested)
def _skip_requested(snapshot: Snapshot, body: SkipRequested, _event: Event) -> Snapshot:
    return replace(snapshot, builds=builds.with_skip_requested(snapshot.builds, body.package))


@_folds(AnswerRequested)
def _answer_requested(snapshot: Snapshot, body: AnswerRequested, _event: Event) -> Snapshot:
    left = questions.with_requested_answer(snapshot.questions, body.id, body.answer)
    return replace(snapshot, questions=left)


def _cancel_unreached(reason: Optional[Problem]) -> Problem:
    """The service knows of a cancel and the instance does not."""
    text = "The machine cannot be reached. The install is stopped there as soon as it answers"
    return Problem("cancel_unreached", "%s (%s)" % (text, reason.message) if reason else text)


def _until_next_attempt(snapshot: Snapshot, body: Union[WaitingForInstance, Interrupted], event: Event) -> Snapshot:
    due = None if body.next_attempt_in is None else event.wall + body.next_attempt_in
    return replace(snapshot, attempt=body.attempt, next_attempt_at=due)


# -- the runner's journal ----------------------------------------------------------------------------------------------


@_folds(RunStarted)
def _run_started(snapshot: Snapshot, body: RunStarted, event: Event) -> Snapshot:
    """Without a service (a standalone run, and the runner's own file) nobody connected and uploaded."""
    state = TaskState.RUNNING if snapshot.state is TaskState.QUEUED else snapshot.state
    after = replace(snapshot, state=state, began_mono=event.mono, verify=body.verify)
    for phase in (Phase.CONNECT, Phase.UPLOAD):
        if phase not in after.phases:
            after = _with_phase(after, phase, StepStatus.SKIPPED, event)
    return after


@_folds(PhaseChanged)
def _phase(snapshot: Snapshot, body: PhaseChanged, event: Event) -> Snapshot:
    return _with_phase(replace(snapshot, waiting=None), body.phase, body.status, event, body.detail)


def _with_phase(snapshot: Snapshot, phase: Phase, status: StepStatus, event: Event, detail: str = "") -> Snapshot:
    before = snapshot.phases.get(phase, PhaseRun())
    if before.status in ENDED_PHASE:  # a second attach connects again: the phase stays as it first ended
        return snapshot
    started = before.started_mono if before.started_mono is not None else event.mono
    ended = event.mono if status in ENDED_PHASE else None
    run = PhaseRun(status, detail or before.detail, started, ended)
    return replace(snapshot, phases={**snapshot.phases, phase: run})


@_folds(StepChanged)
def _step(snapshot: Snapshot, body: StepChanged, _event: Event) -> Snapshot:
    steps = {**snapshot.steps, body.name: Step(body.status, body.detail, body.seconds)}
    _at_most(len(steps), budgets.MAX_STEPS, "lines of the task list")
    return replace(snapshot, waiting=None, steps=steps)


@_folds(Waiting)
def _waiting(snapshot: Snapshot, body: Waiting, _event: Event) -> Snapshot:
    return replace(snapshot, waiting=Problem(body.code, body.message))


@_folds(Probed)
def _probed(snapshot: Snapshot, body: Probed, _event: Event) -> Snapshot:
    probe = {**snapshot.probe, **body.to_json()}
    _at_most(len(probe), budgets.MAX_FACTS, "facts about the machine")
    return replace(snapshot, waiting=None, probe=probe)


@_folds(ManifestRead)
def _manifest(snapshot: Snapshot, body: ManifestRead, _event: Event) -> Snapshot:
    same = ("folder", "ref", "requirements_file", "registry_id", "version")
    nodes = {
        pack.name: Node(pack.name, pack.repo_url, **{key: getattr(pack, key) for key in same}) for pack in body.nodes
    }
    return replace(snapshot, nodes=nodes, waiting=None)


@_folds(NodeChanged)
def _node(snapshot: Snapshot, body: NodeChanged, event: Event) -> Snapshot:
    node = snapshot.nodes[body.name]
    state = advance(node.state, body.state)
    entered = node.entered
    if snapshot.began_mono is not None:
        entered = {**entered, state.value: round(event.mono - snapshot.began_mono, 2)}
    after = replace(
        node,
        state=state,
        rate=None,
        eta=None,
        clone_percent=node.clone_percent if state in _NOT_CLONED else 100,
        error=body.error or node.error,
        entered=entered,
        commit=node.commit if body.commit is None else body.commit,
        version=node.version if body.version is None else body.version,
        kept=node.kept if body.kept is None else body.kept,
        verified=node.verified if body.verified is None else body.verified,
        import_seconds=node.import_seconds if body.import_seconds is None else body.import_seconds,
        **_times(node, event),
    )
    return _with_node(snapshot, with_work(after, event.mono))


@_folds(NodeProgress)
def _node_progress(snapshot: Snapshot, body: NodeProgress, event: Event) -> Snapshot:
    node = snapshot.nodes[body.name]
    if node.state is not NodeState.CLONING:
        return snapshot
    received = node.bytes_received
    if body.bytes_received is not None:
        received = max(body.bytes_received, received or 0)
    after = replace(
        node,
        clone_percent=max(node.clone_percent, min(99, body.percent)),
        bytes_received=received,
        rate=body.rate,
        eta=body.eta,
        **_times(node, event),
    )
    return _with_node(snapshot, after)


@_folds(RequirementsChanged)
def _requirements(snapshot: Snapshot, body: RequirementsChanged, event: Event) -> Snapshot:
    node = snapshot.nodes[body.name]
    after = replace(node, requirements=body.status, error=node.error or body.error, **_times(node, event))
    return _with_node(snapshot, after)


@_folds(ScriptChanged)
def _script(snapshot: Snapshot, body: ScriptChanged, event: Event) -> Snapshot:
    node = snapshot.nodes[body.name]
    after = replace(node, script=body.status, error=node.error or body.error, **_times(node, event))
    return _with_node(snapshot, with_work(after, event.mono))


def _times(node: Node, event: Event) -> Dict[str, Any]:
    started = node.started_mono if node.started_mono is not None else event.mono
    return {"started_mono": started, "last_mono": event.mono}


def _with_node(snapshot: Snapshot, node: Node) -> Snapshot:
    return replace(snapshot, nodes={**snapshot.nodes, node.name: node}, current_node=node.name)


@_folds(PackagesPlanned)
def _plan(snapshot: Snapshot, body: PackagesPlanned, _event: Event) -> Snapshot:
    plan = (*(snapshot.plan or ()), *body.changes)
    chars = snapshot.plan_chars + sum(_chars(change) for change in body.changes)
    _at_most(len(plan), budgets.MAX_PLANNED, "planned changes")
    _at_most(chars, budgets.MAX_PLAN_CHARS, "characters of planned changes")
    return replace(snapshot, plan=plan, plan_chars=chars)


def _chars(change: PlannedChange) -> int:
    texts = [change.package, change.old, change.new, change.change, change.stage, change.wheel, change.source]
    texts += [change.build, change.build_from]
    return sum(len(text) for text in (*texts, *change.wanted_by) if text)


@_folds(PackagesProgress)
def _packages(snapshot: Snapshot, body: PackagesProgress, _event: Event) -> Snapshot:
    return replace(
        snapshot,
        packages_done=body.done,
        packages_total=body.total,
        packages_bytes_done=at_most(body.bytes_done, body.bytes_total),
        packages_bytes_total=body.bytes_total,
    )


@_folds(BuildChanged)
def _build(snapshot: Snapshot, body: BuildChanged, event: Event) -> Snapshot:
    new = Build(body.package, body.version, body.state, body.packs, body.detail, body.seconds)
    return replace(snapshot, builds=builds.with_build(snapshot.builds, new, event.mono))


@_folds(QuestionAsked)
def _question_asked(snapshot: Snapshot, body: QuestionAsked, event: Event) -> Snapshot:
    return replace(snapshot, questions=questions.with_question(snapshot.questions, body.question, event.mono))


@_folds(QuestionAnswered)
def _question_answered(snapshot: Snapshot, body: QuestionAnswered, event: Event) -> Snapshot:
    left = questions.with_answer(snapshot.questions, body.id, body.answer, body.source, event.mono)
    return replace(snapshot, questions=left)


@_folds(RepairChanged)
def _repair(snapshot: Snapshot, body: RepairChanged, _event: Event) -> Snapshot:
    return replace(snapshot, repair=body.repair)


@_folds(LockMade)
def _lock(snapshot: Snapshot, body: LockMade, _event: Event) -> Snapshot:
    return replace(snapshot, lock=body.lock)


@_folds(Warned)
def _warning(snapshot: Snapshot, body: Warned, _event: Event) -> Snapshot:
    warnings = (*snapshot.warnings, Problem(body.code, body.message, body.hint))
    return replace(snapshot, warnings=warnings[-budgets.MAX_WARNINGS :])


@_folds(Unknown)
def _unknown(snapshot: Snapshot, _body: Unknown, _event: Event) -> Snapshot:
    _at_most(snapshot.unknown_events + 1, budgets.MAX_UNKNOWN_EVENTS, "events of an unknown kind")
    return replace(snapshot, unknown_events=snapshot.unknown_events + 1)


def _at_most(count: int, most: int, what: str) -> None:
    """What an instance may have of something, in all. Raises ValueError."""
    if count > most:
        raise ValueError("more than %d %s" % (most, what))


# -- the end -----------------------------------------------------------------------------------------------------------


@_folds(GivenUp)
def _given_up(snapshot: Snapshot, body: GivenUp, _event: Event) -> Snapshot:
    return ended(snapshot, body.state, body.error)


@_folds(RunEnded)
def _run_ended(snapshot: Snapshot, body: RunEnded, _event: Event) -> Snapshot:
    return ended(snapshot, body.state, body.error)
