"""The reducer: events in, the truth about an install out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import counts
from app.protocol.event_body import Body
from app.protocol.events import (
    CancelRequested,
    Connected,
    Connecting,
    Event,
    Interrupted,
    NodeChanged,
    NodeProgress,
    PackagesPlanned,
    PackagesProgress,
    Queued,
    RunEnded,
    RunStarted,
    ScriptChanged,
    Source,
    Uploaded,
    Warned,
    decode,
    encode,
)
from app.protocol.json_fields import ProtocolFault
from app.protocol.progress_json import initial, progress
from app.protocol.snapshot import PlannedChange, Problem, Snapshot, from_stored, to_stored
from app.protocol.states import NodeState, Outcome, StepStatus, TaskState
from test.protocol.events_for_tests import COMMIT, PROBLEM, TASK_ID, Writer, fold, listed, whole_run


def test_it_works() -> None:
    """A whole run ends with the states, counts and outcome that its events told."""
    snapshot = fold(whole_run().told)
    assert snapshot.state is TaskState.COMPLETED
    assert {name: node.state.value for name, node in snapshot.nodes.items()} == {
        "good": "installed",
        "gone": "failed",
        "needy": "failed",
    }
    assert counts.outcome(snapshot) is Outcome.PARTIAL
    numbers = counts.count(snapshot)
    assert (numbers.successful, numbers.failed, numbers.processed, numbers.total) == (1, 2, 3, 3)


def test_the_timeline_says_when_a_pack_came_into_each_state() -> None:
    """Seconds after the run began, by the runner's clock, in the order of the states."""
    shown = progress(fold(whole_run().told), 1000.0)
    good = next(node for node in shown["nodes"] if node["name"] == "good")
    assert list(good["timeline"]) == ["cloning", "cloned", "installed"]
    assert list(good["timeline"].values()) == sorted(good["timeline"].values())
    clone = next(phase for phase in shown["phases"] if phase["name"] == "clone")
    assert clone["began"] is not None
    assert clone["began"] <= good["timeline"]["cloning"]


def test_percent_and_processed_never_fall_and_the_revision_grows() -> None:
    """Whatever comes, the bar moves forward only, and stays under 100 until the end."""
    snapshot = initial(TASK_ID, 1000.0, auto_installer=False)
    for event in whole_run().told:
        after = fold([event], snapshot)
        assert after.percent >= snapshot.percent
        assert counts.count(after).processed >= counts.count(snapshot).processed
        assert after.revision == snapshot.revision + 1
        assert after.percent < 100 or after.state is TaskState.COMPLETED
        snapshot = after
    assert snapshot.percent == 100


@given(st.data())
def test_events_that_come_again_change_nothing(data: st.DataObject) -> None:
    """A re-attach may send what was folded already: any replay from an earlier place gives the same snapshot."""
    events = whole_run().told
    cut = data.draw(st.integers(0, len(events)))
    back = data.draw(st.integers(0, cut))
    assert fold(events[:cut] + events[back:]) == fold(events)


@given(st.data())
def test_a_journal_cut_at_any_byte_and_attached_again_gives_the_same_snapshot(data: st.DataObject) -> None:
    """The service keeps whole lines only and goes on at the offset behind them."""
    journal = b"".join(encode(event) for event in whole_run().told)
    cut = data.draw(st.integers(0, len(journal)))
    offset = journal.rfind(b"\n", 0, cut) + 1
    first = fold([decode(line) for line in journal[:offset].splitlines(keepends=True)])
    stored = from_stored(to_stored(first))
    assert fold([decode(line) for line in journal[offset:].splitlines(keepends=True)], stored) == fold(whole_run().told)


def test_a_clone_s_percent_never_falls_on_a_second_try() -> None:
    """A retried clone starts at nothing; what the user saw stays."""
    events = whole_run().told
    upto = next(number for number, event in enumerate(events) if isinstance(event.body, NodeProgress))
    assert fold(events[: upto + 2]).nodes["good"].clone_percent == 45


def test_a_pack_is_installed_only_by_the_event_that_says_so() -> None:
    """The end of a run makes no pack good: what was live when the run failed is failed with the run's reason."""
    run = Writer()
    run.emit(RunStarted(task_id=TASK_ID, version="1", pid=1))
    run.emit(listed("done", "live", "next"))
    run.node("done", "cloned", commit=COMMIT)
    run.node("done", "installed")
    run.node("live", "cloning")
    run.emit(RunEnded(state=TaskState.FAILED, error=Problem("disk_full", "Full.")))
    snapshot = fold(run.told)
    states = {name: node.state for name, node in snapshot.nodes.items()}
    assert states == {"done": NodeState.INSTALLED, "live": NodeState.FAILED, "next": NodeState.SKIPPED}
    assert snapshot.nodes["live"].error is not None
    assert snapshot.nodes["live"].error.code == "disk_full"


@pytest.mark.parametrize(
    "body", [NodeChanged("stranger", NodeState.CLONING), NodeChanged("good", NodeState.VERIFIED), NodeProgress("x", 1)]
)
def test_an_event_that_cannot_be_is_its_writer_s_fault(body: Body) -> None:
    """A move that the table does not have, or an unknown pack: ProtocolFault, not a guess."""
    run = Writer()
    run.emit(listed("good"))
    snapshot = fold(run.told)
    with pytest.raises(ProtocolFault):
        fold([run.emit(body)], snapshot)


def test_nothing_is_folded_after_the_end() -> None:
    """A terminal state stays."""
    snapshot = fold(whole_run().told)
    late = Event(Warned("late", "late"), 99, 1.0, 1.0)
    assert fold([late], snapshot) == snapshot


def test_a_cut_line_is_interrupted_and_running_again_once_connected() -> None:
    """The service's own events and the runner's fold into one snapshot; neither disturbs the other's numbers."""
    service, run = Writer(Source.SERVICE), whole_run()
    events = [
        service.emit(Queued()),
        service.emit(Connecting(attempt=1)),
        service.emit(Connected(endpoint="root@host:22")),
        service.emit(Uploaded()),
        *run.told[:12],
        service.emit(Interrupted(error=PROBLEM)),
    ]
    cut = fold(events)
    assert cut.state is TaskState.INTERRUPTED
    back = fold([service.emit(Connected(endpoint="root@host:22"))], cut)
    assert back.state is TaskState.RUNNING
    assert fold(run.told, back).nodes == fold(run.told).nodes


def test_a_cancelled_run_keeps_what_was_done() -> None:
    """Packs that are installed stay so; the rest is cancelled."""
    service, run = Writer(Source.SERVICE), Writer()
    events = [service.emit(Connecting(attempt=1)), run.emit(listed("done", "rest"))]
    events += [run.node("done", "cloned", commit=COMMIT), run.node("done", "installed"), run.node("rest", "cloning")]
    events += [service.emit(CancelRequested()), run.emit(RunEnded(state=TaskState.CANCELLED))]
    snapshot = fold(events)
    assert snapshot.state is TaskState.CANCELLED
    assert [node.state.value for node in snapshot.nodes.values()] == ["installed", "cancelled"]
    assert progress(snapshot, 1010.0)["return_code"] == 130


def test_a_pack_that_a_cancel_left_without_its_packages_says_so() -> None:
    """It lies in custom_nodes, and two buttons help; one that was there before is nobody's concern."""
    run = Writer()
    run.emit(listed("left", "kept", "begun"))
    run.node("left", "cloned", commit=COMMIT), run.node("kept", "cloned", commit=COMMIT, kept=True)
    run.node("begun", "cloning")
    run.emit(RunEnded(state=TaskState.CANCELLED))
    snapshot = fold(run.told)
    error = snapshot.nodes["left"].error
    assert error is not None
    assert "was stopped before its Python packages" in error.message
    assert snapshot.nodes["kept"].error is None
    assert "1 were downloaded" not in progress(snapshot, 1010.0)["message"]
    assert progress(snapshot, 1010.0)["message"].endswith(
        "1 was downloaded without its packages: a retry goes on, putting back removes it"
    )


def test_work_and_wait_of_a_pack_are_apart() -> None:
    """Its clone and its install.py are work; that others were installed meanwhile is not."""
    run = Writer()
    run.emit(listed("p"))
    start = run.node("p", "cloning").mono
    cloned = run.node("p", "cloned", commit=COMMIT).mono
    for _ in range(5):
        run.emit(PackagesProgress(1, 2, 10, 5))
    began = run.emit(ScriptChanged("p", StepStatus.RUNNING)).mono
    ended = run.emit(ScriptChanged("p", StepStatus.SUCCESS)).mono
    last = run.node("p", "installed").mono
    shown = progress(fold(run.told), 1010.0)
    work = (cloned - start) + (ended - began)
    assert shown["nodes"][0]["seconds"] == round(work, 1)
    assert shown["nodes"][0]["wait_seconds"] == round(last - start - work, 1)
    assert shown["packages_bytes_done"] == shown["packages_bytes_total"] == 5


@pytest.mark.parametrize(
    ("states", "error", "outcome"),
    [
        (["installed", "installed"], None, Outcome.ALL),
        (["installed", "failed"], None, Outcome.PARTIAL),
        (["failed", "failed"], None, Outcome.NONE),
        (["installed", "installed"], PROBLEM, Outcome.PARTIAL),
    ],
)
def test_the_outcome_follows_from_the_packs(states: list[str], error: object, outcome: Outcome) -> None:
    """`all` only when every pack is good and none carries an error."""
    run = Writer()
    names = [f"pack{number}" for number in range(len(states))]
    run.emit(listed(*names))
    for name, state in zip(names, states, strict=True):
        run.node(name, "cloned", commit=COMMIT)
        run.node(name, state, error=error)
    run.emit(RunEnded(state=TaskState.COMPLETED))
    assert counts.outcome(fold(run.told)) is outcome


@given(st.integers(0, 28))
def test_the_stored_form_loses_nothing(length: int) -> None:
    """A restarted service goes on from what it stored."""
    snapshot = fold(whole_run().told[:length])
    again: Snapshot = from_stored(to_stored(snapshot))
    assert again == snapshot


def test_a_stored_plan_keeps_its_words() -> None:
    """Through the JSON of the database; `lane` is the word that records and the API have for the stage."""
    run = Writer()
    change = PlannedChange("numpy", "1.0", "2.0", "change", wanted_by=("a", "b"), bytes=5, stage="agrees")
    run.emit(PackagesPlanned((change,)))
    stored = json.loads(json.dumps(to_stored(fold(run.told))))
    assert stored["plan"][0]["lane"] == "agrees"
    assert from_stored(stored).plan == (change,)
    assert from_stored({**stored, "plan": [{"package": "numpy"}]}).plan == (PlannedChange("numpy"),)
