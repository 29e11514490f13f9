"""Random runs: events of every kind that progress shows, in any order that the reducer takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from app.protocol.event_body import Body
from app.protocol.events import (
    AnswerRequested,
    BuildChanged,
    CancelRequested,
    Connected,
    Connecting,
    Event,
    GivenUp,
    Interrupted,
    ManifestRead,
    NodeChanged,
    NodeProgress,
    PackagesPlanned,
    PackagesProgress,
    PhaseChanged,
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
    Uploaded,
    Waiting,
    WaitingForInstance,
    Warned,
)
from app.protocol.json_fields import ProtocolFault
from app.protocol.manifest import NodePack
from app.protocol.progress_json import initial
from app.protocol.reducer import reduce
from app.protocol.repairs import Repair, RepairState
from app.protocol.snapshot import Answer, AskedQuestion, PlannedChange, Problem, Snapshot
from app.protocol.states import AnswerSource, BuildState, NodeState, Phase, StepStatus, TaskState

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
NAMES = ("ComfyUI-KJNodes", "a b", "7", "__proto__", "ünï-✓", "constructor")
_PACKAGES = ("numpy", "insightface", "constructor")
_SERVICE = (Connecting, Connected, Uploaded, Interrupted, WaitingForInstance, CancelRequested, SkipRequested)


def snapshots(random: Random, count: int) -> Iterator[Snapshot]:
    """A run's first snapshot, and that after each of `count` events at most."""
    snapshot, mono = initial(TASK_ID, 1000.0, auto_installer=random.random() < 0.5), 0.0
    yield snapshot
    for _ in range(count):
        mono += random.choice([0.0, 0.1, 3.7])
        body = random.choice(_MAKERS)(random)
        own = isinstance(body, (*_SERVICE, Queued, AnswerRequested, GivenUp))
        number = (snapshot.service_seq if own else snapshot.journal_seq) + 1
        event = Event(body, number, 1000.0 + mono, mono, Source.SERVICE if own else Source.JOURNAL)
        try:
            after = reduce(snapshot, event, 1000.0 + mono)
        except ProtocolFault:
            continue
        if after is not snapshot:
            snapshot = after
            yield snapshot
    if snapshot.journal_seq:
        yield replace(snapshot, revision=snapshot.revision + 1, warnings=())


def _problem(random: Random) -> Problem:
    return Problem(random.choice(["disk_full", "script_failed", "plan_only"]), random.choice(NAMES), "Do this.")


def _maybe(random: Random) -> Problem | None:
    return _problem(random) if random.random() < 0.3 else None


def _manifest(random: Random) -> Body:
    names = random.sample(NAMES, random.randint(1, len(NAMES)))
    return ManifestRead("nodes", tuple(NodePack(name, f"https://example.org/o/{name}") for name in names))


def _question(random: Random) -> Body:
    answers = (Answer("keep", "Leave it"), Answer("replace", "Replace it"))
    asked = AskedQuestion(random.choice(["q1", "q2"]), "replace", "Well?", answers, "keep", 60.0, facts={"a": [1]})
    return QuestionAsked(asked)


def _node(random: Random) -> Body:
    commit = "a" * 40 if random.random() < 0.5 else None
    verified = random.choice([None, True, False])
    return NodeChanged(random.choice(NAMES), random.choice(list(NodeState)), _maybe(random), commit, verified=verified)


def _build(random: Random) -> Body:
    state = random.choice([each for each in BuildState if each is not BuildState.UNFINISHED])
    seconds = random.choice([None, 4.0])
    return BuildChanged(random.choice(_PACKAGES), "1.0", state, ("a b",), random.choice(["", "compiling"]), seconds)


def _end(random: Random) -> Body:
    state = random.choice([TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED])
    kind = random.choice([RunEnded, GivenUp])
    return kind(state, _problem(random) if state is TaskState.FAILED else None)


def _repair(random: Random) -> Body:
    return RepairChanged(Repair(random.choice([each for each in RepairState if each is not RepairState.UNFINISHED])))


_Maker = Callable[[Random], Body]
_USUAL: tuple[_Maker, ...] = (
    _node,
    _node,
    _node,
    lambda random: NodeProgress(random.choice(NAMES), random.randint(0, 99), random.randint(0, 9**9), 1e6, 3.1),
    lambda random: RequirementsChanged(random.choice(NAMES), random.choice(list(StepStatus)), _maybe(random)),
    lambda random: ScriptChanged(random.choice(NAMES), random.choice(list(StepStatus)), _maybe(random)),
    lambda random: PhaseChanged(random.choice(list(Phase)), random.choice(list(StepStatus)), "detail"),
    _build,
    _build,
)
_MAKERS: tuple[_Maker, ...] = (
    *_USUAL,
    *_USUAL,
    *_USUAL,
    lambda random: RunStarted(TASK_ID, "1", 1, verify=random.choice([None, True, False])),
    lambda random: StepChanged(random.choice(["Connect", "Clone", "7"]), random.choice(list(StepStatus)), "x", 1.5),
    lambda random: Waiting("low_disk", "Waiting for room"),
    _manifest,
    lambda random: PackagesPlanned((PlannedChange("numpy", None, "1.0", "add"),)),
    lambda random: PackagesProgress(random.randint(0, 5), 5, random.choice([None, 3]), random.choice([None, 9])),
    _question,
    lambda random: QuestionAnswered("q1", "keep", random.choice(list(AnswerSource))),
    lambda random: AnswerRequested("q2", "replace"),
    _repair,
    lambda random: Warned("late", random.choice(NAMES)),
    lambda random: Queued(_maybe(random)),
    lambda random: Connecting(random.randint(1, 3)),
    lambda random: WaitingForInstance(_problem(random), 2, 5.0),
    lambda random: Connected("root@host:22"),
    lambda random: Uploaded(),
    lambda random: Interrupted(_problem(random), 1, 5.0),
    lambda random: CancelRequested() if random.random() < 0.2 else Uploaded(),
    lambda random: SkipRequested(random.choice(_PACKAGES)),
    lambda random: _end(random) if random.random() < 0.1 else Uploaded(),
)
