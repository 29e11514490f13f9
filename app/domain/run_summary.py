"""One sentence on how a run stands: what pages, lists, the command line and notifications say. Pure.

The numbers in it are those of `app.protocol.counts`; the words are in app/words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.run_rows import Rows
from app.protocol import counts, progress_json, questions, task_list
from app.protocol.counts import Counts
from app.protocol.reasons import find
from app.protocol.run_end import PUT_BACK, loaded_of
from app.protocol.snapshot import WORKER_GONE, PhaseRun, Snapshot, Step
from app.protocol.states import TERMINAL_TASK_STATES, Phase, StepStatus, TaskState, Word
from app.words import word


class Kind(Word):
    """What a run is doing, or how it ended."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    WAITING_FOR_MACHINE = "waiting_for_machine"
    QUESTION = "question"
    WORKING = "working"
    CUT = "cut"
    STOPPING = "stopping"
    READY = "ready"
    PARTIAL = "partial"
    NOTHING = "nothing"
    PLANNED = "planned"
    PUT_BACK = "put_back"
    RESTARTED = "restarted"
    PROVEN = "proven"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


class Tone(Word):
    """How good the news is."""

    LIVE = "live"
    WARN = "warn"
    BAD = "bad"
    GOOD = "good"
    IDLE = "idle"


class Purpose(Word):
    """What a task is for."""

    INSTALL = "install"
    PLAN = "plan"
    ROLLBACK = "rollback"
    RESTART = "restart"


LIVE_KINDS = frozenset(
    {
        Kind.QUEUED,
        Kind.CONNECTING,
        Kind.WAITING_FOR_MACHINE,
        Kind.QUESTION,
        Kind.WORKING,
        Kind.CUT,
        Kind.STOPPING,
    }
)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run stands, in one sentence."""

    kind: Kind
    tone: Tone
    sentence: str

    def to_json(self) -> dict[str, str]:
        """As the API shows it."""
        return {"kind": self.kind.value, "tone": self.tone.value, "sentence": self.sentence}


def purpose_of(request: Mapping[str, Any]) -> Purpose:
    """What the task is for whose stored request this is."""
    if request.get("rollback_of"):
        return Purpose.ROLLBACK
    if request.get("restart_of"):
        return Purpose.RESTART
    options = request.get("options")
    planned = isinstance(options, Mapping) and options.get("plan_only") is True
    return Purpose.PLAN if planned else Purpose.INSTALL


def summary_of(snapshot: Snapshot, purpose: Purpose = Purpose.INSTALL, rows: Rows | None = None) -> Summary:
    """How a task stands. `rows`: of the whole run, where the task is only a part of it."""
    rows = Rows.of([snapshot]) if rows is None else rows
    if snapshot.state not in TERMINAL_TASK_STATES:
        return _live(snapshot, purpose, rows.counts)
    if _was_put_back(snapshot, purpose):
        return _put_back(snapshot, purpose)
    if snapshot.state is TaskState.FAILED:
        return _failed(snapshot, purpose)
    if snapshot.state is TaskState.CANCELLED:
        return _stopped(snapshot, rows)
    if purpose is Purpose.PLAN:
        return planned(rows)
    if restarted(snapshot):
        return _restarted(snapshot, purpose, rows)
    return result_of(rows)


def planned(rows: Rows) -> Summary:
    """How a plan ended that nothing came of: with the packs that an install would not get ready."""
    numbers = rows.counts
    failed = numbers.failed + numbers.problem
    sentence = word("summary.planned_failed", n=failed, total=numbers.total) if failed else word("summary.planned")
    return Summary(Kind.PLANNED, Tone.WARN if failed else Tone.IDLE, sentence)


def restarted(snapshot: Snapshot) -> bool:
    """Whether the task has restarted ComfyUI."""
    return snapshot.steps.get(task_list.RESTART, Step()).status is StepStatus.SUCCESS


def result_of(rows: Rows) -> Summary:
    """How an install ended, from its node packs."""
    numbers = rows.counts
    if not numbers.total:
        return Summary(Kind.NOTHING, Tone.IDLE, word("summary.empty"))
    if numbers.ready == numbers.total:
        return Summary(Kind.READY, Tone.GOOD, word("summary.ready", n=numbers.total))
    if not numbers.successful and not (rows.whole and numbers.skipped == numbers.total):
        return Summary(Kind.NOTHING, Tone.BAD, word("summary.nothing", n=numbers.total))
    good = rows.whole and numbers.ready + numbers.skipped == numbers.total
    return Summary(Kind.READY if good else Kind.PARTIAL, Tone.GOOD if good else Tone.WARN, in_words(numbers))


def in_words(numbers: Counts) -> str:
    """`31 of 34 node packs ready, 3 failed`."""
    parts = [
        ("failed", numbers.failed),
        ("problem", numbers.problem),
        ("skipped", numbers.skipped),
        ("cancelled", numbers.cancelled),
        ("going_on", numbers.working + numbers.waiting),
    ]
    rest = "".join(word(f"summary.part_{name}", n=n) for name, n in parts if n)
    return word("summary.partial", n=numbers.total, ready=numbers.ready, rest=rest)


# -- what goes on -----------------------------------------------------------------------------------------------------


def _live(snapshot: Snapshot, purpose: Purpose, numbers: Counts) -> Summary:
    waiting = snapshot.waiting.code if snapshot.waiting else ""
    asked = questions.unanswered(snapshot)
    if snapshot.state is TaskState.CANCELLING:
        return Summary(Kind.STOPPING, Tone.WARN, word(_STOPPING.get(waiting, "summary.stopping")))
    if asked:
        return question(find(asked[0].asked.code).title)
    if snapshot.state is TaskState.INTERRUPTED:
        return Summary(Kind.CUT, Tone.WARN, word("summary.gone" if waiting == WORKER_GONE else "summary.cut"))
    if waiting in _WAITS:
        kind, key = _WAITS[waiting]
        return Summary(kind, Tone.WARN if kind is Kind.WAITING_FOR_MACHINE else Tone.LIVE, word(key))
    if snapshot.state is TaskState.QUEUED:
        return Summary(Kind.QUEUED, Tone.LIVE, word("summary.starting"))
    return _working(snapshot, purpose, numbers)


_STOPPING: Mapping[str, str] = {
    "cancel_unreached": "summary.stopping_unreached",
    WORKER_GONE: "summary.stopping_gone",
}
_WAITS: Mapping[str, tuple[Kind, str]] = {
    "waiting_for_instance": (Kind.WAITING_FOR_MACHINE, "summary.waiting_for_machine"),
    "provisioning": (Kind.WAITING_FOR_MACHINE, "summary.setting_up"),
    "interrupted": (Kind.CUT, "summary.cut"),
    "waiting_for_install": (Kind.QUEUED, "summary.queued"),
    "waiting_for_place": (Kind.QUEUED, "summary.queued_place"),
    "waiting_for_ui_home": (Kind.QUEUED, "summary.queued"),
    WORKER_GONE: (Kind.CONNECTING, "summary.gone_early"),
}


def question(title: str) -> Summary:
    """A run that waits for a person."""
    return Summary(Kind.QUESTION, Tone.WARN, word("summary.question", title=title))


def _working(snapshot: Snapshot, purpose: Purpose, numbers: Counts) -> Summary:
    phase = progress_json.phase_of(snapshot)
    if phase in (Phase.CONNECT, Phase.UPLOAD):
        return Summary(Kind.CONNECTING, Tone.LIVE, word("summary.connecting"))
    own = {Purpose.ROLLBACK: "putting_back", Purpose.RESTART: "restarting", Purpose.PLAN: "planning"}
    key = own.get(purpose) or phase.value
    if key == Phase.CLONE.value and not numbers.total:
        key = "manifest"
    sentence = word(f"summary.{key}", n=numbers.total)
    if numbers.failed and purpose is Purpose.INSTALL:
        sentence = word("summary.live_failed", sentence=sentence, failed=numbers.failed)
    return Summary(Kind.WORKING, Tone.LIVE, sentence)


# -- what has ended ---------------------------------------------------------------------------------------------------


def _was_put_back(snapshot: Snapshot, purpose: Purpose) -> bool:
    if purpose is Purpose.ROLLBACK:
        return snapshot.state is TaskState.COMPLETED
    said = snapshot.error.message if snapshot.error else ""
    return said.endswith(PUT_BACK) or any(warning.code == "put_back" for warning in snapshot.warnings)


def _put_back(snapshot: Snapshot, purpose: Purpose) -> Summary:
    if purpose is not Purpose.ROLLBACK:
        return Summary(Kind.PUT_BACK, Tone.WARN, word("summary.put_back_by_itself"))
    removed = counts.count(snapshot).skipped
    sentence = word("summary.put_back_removed", n=removed) if removed else word("summary.put_back")
    return Summary(Kind.PUT_BACK, Tone.IDLE, sentence)


def _failed(snapshot: Snapshot, purpose: Purpose) -> Summary:
    code = snapshot.error.code if snapshot.error else ""
    if code in _LOST and snapshot.began_mono is not None:
        return Summary(Kind.LOST, Tone.BAD, word(_LOST[code]))
    if code == "connect_failed" and purpose is not Purpose.RESTART:
        return Summary(Kind.FAILED, Tone.BAD, word("summary.never_reached"))
    if purpose is Purpose.RESTART:
        return Summary(Kind.FAILED, Tone.BAD, word("summary.not_restarted"))
    if purpose is Purpose.ROLLBACK:
        return Summary(Kind.FAILED, Tone.BAD, word("summary.put_back_failed"))
    return Summary(Kind.FAILED, Tone.BAD, snapshot.error.message if snapshot.error else word("summary.failed"))


_LOST: Mapping[str, str] = {
    "connect_failed": "summary.lost",
    "connection_lost": "summary.lost",
    "command_timed_out": "summary.lost",
    "host_key_mismatch": "summary.lost",
    "host_key_unknown": "summary.lost",
    "runner_lost": "summary.killed",
}


def _stopped(snapshot: Snapshot, rows: Rows) -> Summary:
    if snapshot.error is not None and snapshot.error.code == "cancel_unconfirmed":
        return Summary(Kind.STOPPED, Tone.WARN, word("summary.stopped_unconfirmed"))
    if not rows.counts.total:
        return Summary(Kind.STOPPED, Tone.IDLE, word("summary.stopped_before"))
    return Summary(Kind.STOPPED, Tone.WARN, word("summary.stopped", result=in_words(rows.counts)))


def _restarted(snapshot: Snapshot, purpose: Purpose, rows: Rows) -> Summary:
    """After a restart. What ComfyUI says of its packs proves that it loads them."""
    if any(warning.code == "not_loaded" for warning in snapshot.warnings):
        return Summary(Kind.RESTARTED, Tone.WARN, word("summary.not_loaded"))
    numbers, result = rows.counts, result_of(rows)
    if not numbers.total:
        return Summary(Kind.RESTARTED, Tone.GOOD, word("summary.restarted_alone"))
    if result.kind is not Kind.READY or numbers.ready < numbers.total:
        return Summary(Kind.RESTARTED, result.tone, word("summary.restarted", result=result.sentence))
    verify = snapshot.phases.get(Phase.VERIFY, PhaseRun())
    loaded = loaded_of(verify.detail) if purpose is Purpose.RESTART else None
    if loaded is not None and loaded[0] == loaded[1] > 0:
        return Summary(Kind.PROVEN, Tone.GOOD, word("summary.proven", n=numbers.total))
    return Summary(Kind.RESTARTED, Tone.GOOD, word("summary.restarted", result=_lowered(result.sentence)))


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
