"""What a run says while it goes on, from real events; and with a machine that it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.run_actions import Facts, actions_of, has_primary
from app.domain.run_summary import LIVE_KINDS, Purpose, summary_of
from app.protocol.event_body import Body
from app.protocol.events import (
    AnswerRequested,
    CancelRequested,
    Connected,
    Connecting,
    Interrupted,
    NodeChanged,
    PhaseChanged,
    Queued,
    RunStarted,
    Source,
    Uploaded,
    Waiting,
    WaitingForInstance,
)
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from test.protocol.events_for_tests import TASK_ID, Writer, fold, listed
from test.runs.played import ASKED, FOR_GOOD
from test.support.service import Json
from test.support.stage import Stage
from test.support.stage.states import show

REFUSED = Problem("connect_failed", "Connection refused.")
BEGUN: tuple[Body, ...] = (RunStarted(TASK_ID, "1", 1, True), PhaseChanged(Phase.PROBE, StepStatus.RUNNING))
CLONES = (*BEGUN, listed("One", "Two"), PhaseChanged(Phase.PROBE, StepStatus.SUCCESS))
FAILED = (*CLONES, NodeChanged("One", NodeState.CLONING), NodeChanged("One", NodeState.FAILED, FOR_GOOD))


def _ended(*phases: Phase) -> tuple[Body, ...]:
    return (*CLONES, *(PhaseChanged(phase, StepStatus.SUCCESS) for phase in phases))


LIVE: dict[str, tuple[tuple[Body, ...], tuple[Body, ...], str, str, str]] = {
    # name: what the service said before the run, in it or after it; what the run said; kind, tone, sentence
    "accepted": ((), (), "queued", "live", "Starting"),
    "without a place": (
        (Queued(Problem("waiting_for_place", "All places are taken.")),),
        (),
        *("queued", "live", "Waiting for its turn"),
    ),
    "behind another": (
        (Queued(Problem("waiting_for_install", "Another install goes first.")),),
        (),
        *("queued", "live", "Waiting for another install on this machine to finish"),
    ),
    "connecting": ((Connecting(1),), (), "connecting", "live", "Connecting to the machine"),
    "not up yet": (
        (Connecting(1), WaitingForInstance(REFUSED, 1, 5.0)),
        (),
        *("waiting_for_machine", "warn", "The machine does not answer yet; it is tried again"),
    ),
    "sets itself up": (
        (),
        (*BEGUN, Waiting("provisioning", "The image sets itself up.")),
        *("waiting_for_machine", "warn", "The machine is still setting itself up"),
    ),
    "looks around": ((), BEGUN, "working", "live", "Looking at the machine"),
    "clones": ((), CLONES, "working", "live", "Downloading 2 node packs"),
    "one has failed": ((), FAILED, "working", "live", "Downloading 2 node packs; 1 failed"),
    "installs": (
        (),
        _ended(Phase.CLONE, Phase.RESOLVE),
        *("working", "live", "Installing Python packages"),
    ),
    "checks": (
        (),
        _ended(Phase.CLONE, Phase.RESOLVE, Phase.INSTALL, Phase.SCRIPTS),
        *("working", "live", "Checking that ComfyUI loads the node packs"),
    ),
    "asks": ((), (*CLONES, ASKED), "question", "warn", "Needs your answer: Which ComfyUI?"),
    "was answered": (
        (AnswerRequested("1", "a"),),
        (*CLONES, ASKED),
        *("working", "live", "Downloading 2 node packs"),
    ),
    "cut": (
        (Interrupted(Problem("connection_lost", "Gone.")),),
        CLONES,
        *("cut", "warn", "The line to the machine is cut; the install goes on there"),
    ),
    "stopping": ((CancelRequested(),), CLONES, "stopping", "warn", "Stopping"),
}


@pytest.mark.parametrize("name", LIVE)
def test_what_goes_on_is_said_in_one_sentence(name: str) -> None:
    """And the only thing to do is to stop it, until that is asked for."""
    said, run, kind, tone, sentence = LIVE[name]
    service, journal = Writer(Source.SERVICE), Writer()
    begin = [] if not run else [service.emit(body) for body in (Connecting(1), Connected("h"), Uploaded())]
    snapshot = fold([*begin, *(journal.emit(body) for body in run), *(service.emit(body) for body in said)])
    summary = summary_of(snapshot)
    assert summary.to_json() == {"kind": kind, "tone": tone, "sentence": sentence}
    assert summary.kind in LIVE_KINDS
    facts = Facts(summary)
    assert [action.name for action in actions_of(facts)] == ([] if kind == "stopping" else ["stop"])
    assert not has_primary(facts)


@pytest.mark.parametrize(
    ("purpose", "sentence"),
    [
        (Purpose.ROLLBACK, "Putting everything back"),
        (Purpose.RESTART, "Restarting ComfyUI"),
        (Purpose.PLAN, "Working out what would change"),
    ],
)
def test_each_purpose_has_its_own_words(purpose: Purpose, sentence: str) -> None:
    service, journal = Writer(Source.SERVICE), Writer()
    begin = [service.emit(body) for body in (Connecting(1), Connected("h"), Uploaded())]
    snapshot = fold([*begin, *(journal.emit(body) for body in CLONES)])
    assert summary_of(snapshot, purpose).sentence == sentence


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage")) as opened:
        yield opened


def _run(stage: Stage, run_id: str) -> Json:
    return stage.service.get(f"/runs/{run_id}")


@pytest.mark.sshd
@pytest.mark.parametrize(
    ("state", "kind"), [("waiting", "waiting_for_machine"), ("question", "question"), ("cut", "cut")]
)
def test_a_run_with_a_machine_says_it_in_the_list_too(stage: Stage, state: str, kind: str) -> None:
    run_id = show(stage, state, 3)
    run = _run(stage, run_id)
    assert (run["summary"]["kind"], run["in_progress"], run["current"]) == (kind, True, run_id)
    assert (run["question"] is not None) == (kind == "question")
    rows: list[dict[str, Any]] = stage.service.get("/runs", state=kind, in_progress="true")["runs"]
    assert run_id in [row["run_id"] for row in rows]
    assert run_id not in [row["run_id"] for row in stage.service.get("/runs", in_progress="false")["runs"]]


@pytest.mark.sshd
def test_a_workflow_that_asks_has_its_question_as_a_chapter(stage: Stage) -> None:
    """Before there is any task; its answer goes to the workflow."""
    run_id = show(stage, "host_key", 3)
    run = _run(stage, run_id)
    assert (run["kind"], run["summary"]["kind"], run["current"]) == ("workflow", "question", None)
    assert run["summary"]["sentence"] == "Needs your answer: Another machine than before?"
    assert run["question"] == run["workflow"]["question"]
    assert "task_id" not in run["question"]
    assert [chapter["name"] for chapter in run["chapters"]] == ["connect", "question"]
    assert [action["name"] for action in run["actions"]] == ["stop"]
    stage.service.post("/workflow/resume", {"workflow_id": run_id, "answer": "stop"})
    ended = _run(stage, run_id)
    assert (ended["summary"]["kind"], ended["in_progress"]) == ("stopped", False)
    assert [action["name"] for action in ended["actions"]] == ["install_again"]
