"""Events: what happened, numbered, one JSON object a line.

Two ordered sources write them: the runner writes its journal, the service writes its own events. One class describes
each kind: its word on the wire, its fields and their types. docs/journal.md shows each kind with an example. An event
is emitted after the fact that it names, never before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

from app.protocol import budgets, builds
from app.protocol.event_body import KINDS, Body
from app.protocol.event_body import left_out as _left_out
from app.protocol.json_fields import BadField, ProtocolFault, loads_bounded, read_object, read_record
from app.protocol.manifest import NodePack
from app.protocol.redaction import masked
from app.protocol.repairs import Repair, RepairState, bounded
from app.protocol.snapshot import AskedQuestion, PlannedChange, Problem
from app.protocol.states import AnswerSource, BuildState, NodeState, Phase, StepStatus, TaskState, Word


class Source(Word):
    """Who wrote an event."""

    JOURNAL = "journal"
    SERVICE = "service"


@dataclass(frozen=True, eq=False)
class RunStarted(Body, kind="run_started"):
    """The run began, and its journal exists from here on.

    `verify` says whether ComfyUI will be asked to import the packs; an older runner does not tell."""

    task_id: str
    version: str
    pid: int
    verify: Optional[bool] = _left_out()


@dataclass(frozen=True, eq=False)
class PhaseChanged(Body, kind="phase"):
    """A phase began or ended. Phases may overlap."""

    phase: Phase
    status: StepStatus
    detail: str = ""


@dataclass(frozen=True, eq=False)
class StepChanged(Body, kind="step"):
    """A line of the task list that is neither a phase nor a node pack changed."""

    name: str
    status: StepStatus
    detail: str = ""
    seconds: Optional[float] = None


@dataclass(frozen=True, eq=False)
class Waiting(Body, kind="waiting"):
    """The run waits, and why. The next phase, step or probe ends the wait."""

    code: str
    message: str


@dataclass(frozen=True)
class _Home:
    ui_home: str


@dataclass(frozen=True, eq=False)
class Probed(Body, kind="probed"):
    """Facts about the machine. They come in parts, which add up.

    `facts` stand beside `ui_home` on the wire; any fact is accepted."""

    ui_home: str
    facts: Mapping[str, Any] = field(default_factory=dict, metadata={"wire": "…"})

    @classmethod
    def of_json(cls, raw: Mapping[str, Any]) -> Probed:
        """As Body's."""
        home = read_record(_Home, raw).ui_home
        facts = {name: value for name, value in read_object(raw).items() if name != "ui_home"}
        if any(len(json.dumps(fact)) > budgets.MAX_FACT_CHARS for fact in facts.values()):
            raise BadField("a fact that is too long")
        return cls(home, facts)

    def to_json(self) -> Dict[str, Any]:
        """As Body's."""
        return {"ui_home": self.ui_home, **self.facts}


@dataclass(frozen=True, eq=False)
class ManifestRead(Body, kind="manifest"):
    """The list of node packs, in its order. It comes before any event about a pack; a second time where packs were
    found in other folders, with those."""

    source: str
    nodes: Tuple[NodePack, ...]


@dataclass(frozen=True, eq=False)
class NodeChanged(Body, kind="node"):
    """A node pack moved to another state. `kept`: it was there already. The fields from `commit` on are None where the
    event does not tell them."""

    name: str
    state: NodeState
    error: Optional[Problem] = None
    commit: Optional[str] = _left_out()
    kept: Optional[bool] = _left_out()
    verified: Optional[bool] = _left_out()
    import_seconds: Optional[float] = _left_out()
    version: Optional[str] = _left_out()


@dataclass(frozen=True, eq=False)
class NodeProgress(Body, kind="node_progress"):
    """A node pack's download moved. `rate` is bytes a second, `eta` seconds."""

    name: str
    percent: int
    bytes_received: Optional[int] = None
    rate: Optional[float] = None
    eta: Optional[float] = None


@dataclass(frozen=True, eq=False)
class RequirementsChanged(Body, kind="requirements"):
    """The install of a node pack's requirements began or ended."""

    name: str
    status: StepStatus
    error: Optional[Problem] = None


@dataclass(frozen=True, eq=False)
class ScriptChanged(Body, kind="script"):
    """A node pack's install.py began or ended."""

    name: str
    status: StepStatus
    error: Optional[Problem] = None


@dataclass(frozen=True, eq=False)
class PackagesPlanned(Body, kind="plan"):
    """What will change in ComfyUI's environment. Several plans add up."""

    changes: Tuple[PlannedChange, ...]


@dataclass(frozen=True, eq=False)
class PackagesProgress(Body, kind="packages"):
    """How many of the packages are installed, and how much of them is downloaded."""

    done: int
    total: int
    bytes_done: Optional[int] = None
    bytes_total: Optional[int] = None


@dataclass(frozen=True, eq=False)
class BuildChanged(Body, kind="build"):
    """The build of a package from source moved. `packs` are those that need it, `detail` says how far it is, and
    `seconds` how long it has taken.

    Each event has all that is known of the build. What is too long is cut when the event is made, on both sides, and
    `package` is canonical. Raises BadField for a build without a package, or in a state that no event has."""

    package: str
    version: str
    state: BuildState
    packs: Tuple[str, ...]
    detail: str = ""
    seconds: Optional[float] = None

    def __post_init__(self) -> None:
        if not self.package or self.state is BuildState.UNFINISHED:
            raise BadField("a build without a package, or in a state that no event has")
        for name, value in builds.bounded(self.package, self.version, self.packs, self.detail).items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class QuestionAsked(Body, kind="question_asked"):
    """The run asks something, and waits for the answer."""

    question: AskedQuestion


@dataclass(frozen=True, eq=False)
class QuestionAnswered(Body, kind="question_answered"):
    """The run goes on with an answer to its question."""

    id: str
    answer: str
    source: AnswerSource


@dataclass(frozen=True, eq=False)
class RepairChanged(Body, kind="repair"):
    """The second round moved: all that is known of it. What is too long is cut on both sides. Raises BadField for a
    state that no event has."""

    repair: Repair

    def __post_init__(self) -> None:
        if self.repair.state is RepairState.UNFINISHED:
            raise BadField("a state of a repair that no event has")
        object.__setattr__(self, "repair", bounded(self.repair))


@dataclass(frozen=True, eq=False)
class Warned(Body, kind="warning"):
    """Something that the user should know and that stops nothing."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, eq=False)
class LockMade(Body, kind="lock"):
    """What was installed, so that exactly that can be installed again. `app/protocol/lockfile.py` reads a lock."""

    lock: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RunEnded(Body, kind="run_ended"):
    """The run ended: always the journal's last event."""

    state: TaskState
    error: Optional[Problem] = None


@dataclass(frozen=True, eq=False)
class Queued(Body, kind="queued"):
    """The task waits for another install, or for a free place. `position` counts from 1."""

    waiting: Optional[Problem] = None
    position: Optional[int] = _left_out()


@dataclass(frozen=True, eq=False)
class Connecting(Body, kind="connecting"):
    """The service connects to the instance."""

    attempt: int


@dataclass(frozen=True, eq=False)
class WaitingForInstance(Body, kind="waiting_for_instance"):
    """The instance was not reached before the run began. The service tries again in `next_attempt_in` seconds."""

    error: Problem
    attempt: Optional[int] = None
    next_attempt_in: Optional[float] = None


@dataclass(frozen=True, eq=False)
class Connected(Body, kind="connected"):
    """The service is connected to the instance."""

    endpoint: str


@dataclass(frozen=True, eq=False)
class Uploaded(Body, kind="uploaded"):
    """The runner is on the instance."""


@dataclass(frozen=True, eq=False)
class Attached(Body, kind="attached"):
    """The service follows the journal from byte `offset` on."""

    offset: int
    status: Optional[str] = _left_out()


@dataclass(frozen=True, eq=False)
class Interrupted(Body, kind="interrupted"):
    """The connection was lost while the run may go on. The service tries again in `next_attempt_in` seconds."""

    error: Problem
    attempt: Optional[int] = None
    next_attempt_in: Optional[float] = None


@dataclass(frozen=True, eq=False)
class CancelRequested(Body, kind="cancel_requested"):
    """The user asked to cancel the task."""


@dataclass(frozen=True, eq=False)
class SkipRequested(Body, kind="skip_requested"):
    """The user asked to skip the build of a package."""

    package: str


@dataclass(frozen=True, eq=False)
class AnswerRequested(Body, kind="answer_requested"):
    """The user answered a question of the run."""

    id: str
    answer: str


@dataclass(frozen=True, eq=False)
class GivenUp(Body, kind="given_up"):
    """The service ended the task without a terminal event of the runner."""

    state: TaskState
    error: Optional[Problem] = None


@dataclass(frozen=True, eq=False)
class Unknown(Body):
    """Something that only a newer version knows. It changes nothing; `word` is its kind."""

    word: str


_OF_THE_SERVICE = frozenset(
    {
        Queued,
        Connecting,
        WaitingForInstance,
        Connected,
        Uploaded,
        Attached,
        Interrupted,
        CancelRequested,
        SkipRequested,
        AnswerRequested,
        GivenUp,
    }
)
"""What no runner says: in a journal such a word is as good as unknown."""


@dataclass(frozen=True)
class Event:
    """A numbered body. `wall` is Unix seconds of the writer's clock. `mono` is its monotonic clock: durations come from
    `mono` alone, since the clocks of rented machines are wrong."""

    body: Body
    seq: int
    wall: float
    mono: float
    source: Source = Source.JOURNAL


def to_json(event: Event) -> Dict[str, Any]:
    """The event as a JSON object."""
    head = {"seq": event.seq, "wall": round(event.wall, 3), "mono": round(event.mono, 3), "event": event.body.kind}
    return {**head, **event.body.to_json()}


def encode(event: Event) -> bytes:
    """The event as one journal line, newline included."""
    return json.dumps(to_json(event), ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass(frozen=True)
class _Head:
    seq: int
    wall: float
    mono: float
    event: str


def decode(line: bytes, source: Source = Source.JOURNAL) -> Event:
    """The event of one line; one of a kind that is not known is `Unknown`. Raises ProtocolFault for anything else, a
    field of the wrong type or out of its range included."""
    raw: Any = loads_bounded(line, most_bytes=budgets.MAX_LINE_BYTES)
    text = line.decode("utf-8")
    hidden = masked(text)
    if hidden != text:  # an older runner's, which masked less
        raw = loads_bounded(hidden, most_bytes=2 * budgets.MAX_LINE_BYTES)
    try:
        head = read_record(_Head, raw)
        kind = KINDS.get(head.event)
        if kind is None or (source is Source.JOURNAL and kind in _OF_THE_SERVICE):
            return Event(Unknown(head.event), head.seq, head.wall, head.mono, source)
        for name in ("seq", "wall", "mono", "event"):
            del raw[name]
        raw.pop("seal", None)
        return Event(kind.of_json(raw), head.seq, head.wall, head.mono, source)
    except (ValueError, RecursionError) as exc:
        raise ProtocolFault("not an event: %s" % exc) from None
