"""States of tasks and node packs, and the one function that moves between them.

The tables are data: `advance` refuses what they do not list. Every word here is on the wire.
"""

from __future__ import annotations

from enum import Enum
from typing import Dict, FrozenSet, Mapping, TypeVar


class Word(str, Enum):
    """An enum whose members are their wire words."""

    def __str__(self) -> str:
        return str(self.value)


class TaskState(Word):
    """Where a task is."""

    QUEUED = "queued"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeState(Word):
    """Where a node pack is."""

    PENDING = "pending"
    CLONING = "cloning"
    CLONED = "cloned"
    INSTALLING = "installing"
    INSTALLED = "installed"
    VERIFIED = "verified"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class StepStatus(Word):
    """How a part of the work stands: the original API's four words, and `none` and `skipped` where there is nothing to
    do."""

    NONE = "none"
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"


class BuildState(Word):
    """Where the build of a package from source is. `unfinished`: the run ended before it did, and nobody knows how it
    would have ended; the reducer says so, and no event does."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNFINISHED = "unfinished"


class AnswerSource(Word):
    """Where the answer comes from that a run went on with. The last two are the question's default: nobody answered in
    time, or nobody was to be asked."""

    USER = "user"
    EXPIRED = "expired"
    NOT_ASKED = "not_asked"


class Phase(Word):
    """A stage of an install, in the order of the members."""

    CONNECT = "connect"
    UPLOAD = "upload"
    PROBE = "probe"
    CLONE = "clone"
    RESOLVE = "resolve"
    INSTALL = "install"
    SCRIPTS = "scripts"
    VERIFY = "verify"
    FINISH = "finish"


class Outcome(Word):
    """How a completed install ended."""

    ALL = "all"
    PARTIAL = "partial"
    NONE = "none"


_T, _N = TaskState, NodeState
_ENDS = frozenset({_N.FAILED, _N.SKIPPED, _N.CANCELLED})

TASK_TRANSITIONS: Mapping[TaskState, FrozenSet[TaskState]] = {
    _T.QUEUED: frozenset({_T.RUNNING, _T.CANCELLED, _T.FAILED}),
    _T.RUNNING: frozenset({_T.COMPLETED, _T.FAILED, _T.CANCELLING, _T.INTERRUPTED}),
    _T.CANCELLING: frozenset({_T.CANCELLED, _T.COMPLETED, _T.FAILED}),
    _T.INTERRUPTED: frozenset({_T.RUNNING, _T.CANCELLING, _T.COMPLETED, _T.FAILED}),
    _T.COMPLETED: frozenset(),
    _T.FAILED: frozenset(),
    _T.CANCELLED: frozenset(),
}

NODE_TRANSITIONS: Mapping[NodeState, FrozenSet[NodeState]] = {
    _N.PENDING: frozenset({_N.CLONING, _N.CLONED}) | _ENDS,
    _N.CLONING: frozenset({_N.CLONED}) | _ENDS,
    _N.CLONED: frozenset({_N.INSTALLING, _N.INSTALLED}) | _ENDS,
    _N.INSTALLING: frozenset({_N.INSTALLED}) | _ENDS,
    _N.INSTALLED: frozenset({_N.VERIFIED, _N.FAILED}),
    _N.VERIFIED: frozenset({_N.FAILED}),  # a run that is undone at its end
    _N.FAILED: frozenset(),
    _N.SKIPPED: frozenset(),
    _N.CANCELLED: frozenset(),
}

TERMINAL_TASK_STATES = frozenset(state for state, after in TASK_TRANSITIONS.items() if not after)
GOOD_NODE_STATES = frozenset({_N.INSTALLED, _N.VERIFIED})
ENDED_PHASE = frozenset({StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.SKIPPED})
PROCESSED_NODE_STATES = GOOD_NODE_STATES | _ENDS

NODE_STATUS: Mapping[NodeState, StepStatus] = {
    _N.PENDING: StepStatus.PENDING,
    _N.CLONING: StepStatus.RUNNING,
    _N.CLONED: StepStatus.RUNNING,
    _N.INSTALLING: StepStatus.RUNNING,
    _N.INSTALLED: StepStatus.SUCCESS,
    _N.VERIFIED: StepStatus.SUCCESS,
    _N.FAILED: StepStatus.FAILED,
    _N.SKIPPED: StepStatus.FAILED,
    _N.CANCELLED: StepStatus.FAILED,
}
"""The original API's word for each state. It has no word for skipped and cancelled packs. They are not installed, hence
`failed`."""

RETURN_CODES: Dict[str, int] = {"all": 0, "partial": 3, "none": 1, "failed": 1, "cancelled": 130}

_S = TypeVar("_S", TaskState, NodeState)


class IllegalTransition(ValueError):
    """A state was asked to move where its table has no way."""


def advance(current: _S, to: _S) -> _S:
    """`to`, if the table allows it from `current` (staying is allowed); else IllegalTransition."""
    table: Mapping[Word, FrozenSet[Word]] = TASK_TRANSITIONS if isinstance(current, TaskState) else NODE_TRANSITIONS  # type: ignore[assignment]
    if to is not current and to not in table[current]:
        raise IllegalTransition("%s -> %s" % (current, to))
    return to
