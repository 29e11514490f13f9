"""The snapshot: what is known of an install after the events so far. Plain frozen values; `reducer` makes the next one.

`to_stored` and `from_stored` are the form that the service keeps on disk, so that a restarted service goes on from it;
what users see is `progress_json.progress`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Dict, Mapping, Optional, Tuple

from app.protocol.json_fields import BadField, read_record
from app.protocol.repairs import Repair
from app.protocol.states import AnswerSource, BuildState, NodeState, Phase, StepStatus, TaskState

FORMAT = 1
WORKER_GONE = "worker_gone"
"""The code of an install's wait for another process of the service, since the one that followed it is gone."""


@dataclass(frozen=True)
class Problem:
    """Why something failed: a reason code, one sentence, and what to do."""

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, raw: Optional[Mapping[str, Any]]) -> Optional[Problem]:
        """The problem of a stored JSON object; None for none."""
        if not isinstance(raw, Mapping) or not raw:
            return None
        return cls(str(raw.get("code", "unknown")), str(raw.get("message", "")), str(raw.get("hint", "")))

    def to_json(self) -> Dict[str, str]:
        """As progress and events show it."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


ORIGINS: Mapping[str, str] = {"kept": ", built before", "wheelhouse": ", from your wheelhouse"}
"""What a line about a planned change says of its wheel."""
BUILDS: Mapping[str, str] = {
    "sdist": "a source archive",
    "archive": "the archive",
    "repository": "the repository",
    "folder": "the folder",
    "editable": "the editable folder",
}
"""What a package is built from."""


@dataclass(frozen=True)
class PlannedChange:
    """One package that a plan adds, changes or removes.

    `old` is None for a new package, `new` for one that goes. `bytes` is the size of the file to download, None where it
    is not known. `stage` is the stage of the install that the plan belongs to. `wheel`: `kept` where an earlier build's
    wheel is taken, `wheelhouse` where one of the user's own is; None for the registry's. `source`: the place that the
    package comes from, without login, where the pack's own file names it; None for the registry. `needs_build`: an
    install runs the package's own code to build it; `build`: what is built (`sdist`, `archive`, `repository`, `folder`,
    `editable`), `build_from` its address without login, None for the registry. Where only a build would say the
    version, and none was made for a plan, `new` is None and `change` is `add`."""

    package: str
    old: Optional[str] = None
    new: Optional[str] = None
    change: str = ""
    downgrade: bool = False
    wanted_by: Tuple[str, ...] = ()
    bytes: Optional[int] = None
    stage: str = field(default="", metadata={"wire": "lane"})
    wheel: Optional[str] = None
    source: Optional[str] = None
    needs_build: bool = False
    build: Optional[str] = None
    build_from: Optional[str] = None

    @property
    def is_unknown(self) -> bool:
        """Whether only a build would say what it comes to."""
        return self.needs_build and self.new is None

    @property
    def build_in_words(self) -> str:
        """What is built of it, as people are told; empty for nothing."""
        if not self.needs_build:
            return ""
        return "%s%s" % (BUILDS.get(self.build or "", "its source"), (self.build_from and " " + self.build_from) or "")

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
    worked: Optional[float] = None
    """Seconds in which something was done for it alone: its clone, its install.py. None: not counted, as by older
    versions."""
    working_since: Optional[float] = None
    """When such work began that goes on; of the runner's monotonic clock."""
    entered: Mapping[str, float] = field(default_factory=dict)
    """When it came into each state (by its wire word), in seconds after the run began; the last time of several."""
    error: Optional[Problem] = None
    registry_id: str = ""
    """Its id in ComfyUI's registry, for a pack that comes from there."""
    version: str = ""
    """The registry's version of it: as asked for, then as it is there."""


@dataclass(frozen=True)
class Build:
    """A package that is built from source, for the packs in `packs`. `seconds`: how long it took, as the runner says;
    `*_mono`: seconds of the runner's monotonic clock."""

    package: str
    version: str
    state: BuildState
    packs: Tuple[str, ...] = ()
    detail: str = ""
    seconds: Optional[float] = None
    began_mono: Optional[float] = None
    """When it first ran."""
    since_mono: Optional[float] = None
    """When it came into its present state."""
    skip_requested: bool = False


@dataclass(frozen=True)
class Answer:
    """One of a question's answers: its word, and what it means."""

    answer: str
    label: str

    def to_json(self) -> Dict[str, str]:
        """As the API and the journal show it."""
        return {"answer": self.answer, "label": self.label}


@dataclass(frozen=True)
class AskedQuestion:
    """A question as a run asks it. `default` is the answer that changes least; `seconds`: how long the run waits.

    Texts and facts that are too long are cut when it is made. Raises BadField for one that cannot be answered."""

    id: str
    code: str
    text: str
    answers: Tuple[Answer, ...]
    default: str
    seconds: float
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = [each.answer for each in self.answers]
        if not all(map(is_answer_word, [self.id, self.code, *words])) or len(set(words)) != len(words):
            raise BadField("a question with a name that no question has")
        if self.default not in words or len(words) > MAX_ANSWERS or not 0 <= self.seconds <= MAX_QUESTION_SECONDS:
            raise BadField("a question that cannot be answered")
        labels = [Answer(each.answer, each.label[:MAX_LABEL_CHARS]) for each in self.answers]
        object.__setattr__(self, "answers", tuple(labels))
        object.__setattr__(self, "text", self.text[:MAX_QUESTION_CHARS])
        object.__setattr__(self, "hint", self.hint[:MAX_QUESTION_CHARS])
        if len(json.dumps(self.facts)) > MAX_FACTS_CHARS:
            object.__setattr__(self, "facts", {})

    def to_json(self) -> Dict[str, Any]:
        """As the journal has it."""
        return {**vars(self), "answers": [each.to_json() for each in self.answers], "facts": dict(self.facts)}


MAX_ANSWERS = 8
MAX_LABEL_CHARS = 200
MAX_QUESTION_CHARS = 2000
MAX_FACTS_CHARS = 16 * 1024
MAX_QUESTION_SECONDS = 7 * 86400.0
_ANSWER_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def is_answer_word(text: str) -> bool:
    """Whether a text can be a question's id or code, or one of its answers: each becomes a part of a path."""
    return _ANSWER_WORD.fullmatch(text) is not None


@dataclass(frozen=True)
class Question:
    """A question that a run has asked, and how it stands; `*_mono`: seconds of the runner's monotonic clock."""

    asked: AskedQuestion
    asked_mono: float
    requested: Optional[str] = None
    """What the user answered. It may be on its way to the instance."""
    answer: Optional[str] = None
    """What the run went on with; None while it waits."""
    source: Optional[AnswerSource] = None
    answered_mono: Optional[float] = None


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
    builds: Mapping[str, Build] = field(default_factory=dict)
    """By package, in the order in which they were first told; `app/protocol/builds.py` bounds them."""
    questions: Mapping[str, Question] = field(default_factory=dict)
    """By id, in the order in which they were asked; `app/protocol/questions.py` bounds them."""
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
    repair: Optional[Repair] = None
    """What the second round found, so that more packs load; None where there was none."""
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
    unknown_events: int = 0
    """How many events of the journal were of a kind that is not known here."""
    plan_chars: int = 0
    """The texts of the plan together."""

    def waits_for(self, code: str) -> bool:
        """Whether it waits, and for that."""
        return self.waiting is not None and self.waiting.code == code


def to_stored(snapshot: Snapshot) -> Dict[str, Any]:
    """The snapshot as JSON values, nothing left out."""
    return {**stored_value(snapshot), "format": FORMAT}


def from_stored(stored: Mapping[str, Any]) -> Snapshot:
    """The snapshot that `to_stored` of this or an earlier version gave. Raises ValueError for anything else.

    A record is read by the same rules as a line of a journal, whoever has written it."""
    if not isinstance(stored, Mapping) or stored.get("format") != FORMAT:
        raise ValueError("a snapshot of another format")
    try:
        return read_record(Snapshot, stored)
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError) as exc:
        raise ValueError("a snapshot that cannot be read: %r" % exc) from exc


def stored_value(value: Any) -> Any:
    """A part of a snapshot as `to_stored` has it."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (dict, Mapping)):  # a dict is recognised sooner
        return {key.value if isinstance(key, Enum) else key: stored_value(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [stored_value(each) for each in value]
    return {key: stored_value(getattr(value, name)) for name, key in _names_of(type(value))}  # type: ignore[arg-type]  # a class is hashable


@lru_cache(None)
def _names_of(cls: Any) -> Tuple[Tuple[str, str], ...]:
    """The fields of a dataclass, and their names in JSON."""
    return tuple((row.name, row.metadata.get("wire", row.name)) for row in dataclasses.fields(cls))
