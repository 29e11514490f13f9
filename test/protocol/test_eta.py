"""The estimate of the remaining work: it ignores the queue, and is close enough over recorded runs."""

from __future__ import annotations

import itertools

import pytest

from app.protocol.eta import left_of
from app.protocol.event_body import Body
from app.protocol.events import (
    CancelRequested,
    Connecting,
    Event,
    Interrupted,
    NodeProgress,
    PackagesPlanned,
    PackagesProgress,
    PhaseChanged,
    QuestionAnswered,
    QuestionAsked,
    Queued,
    RunEnded,
    RunStarted,
    ScriptChanged,
    Source,
    Waiting,
)
from app.protocol.progress_json import initial, progress
from app.protocol.reducer import reduce
from app.protocol.snapshot import Answer, AskedQuestion, PlannedChange, Problem, Snapshot
from app.protocol.states import AnswerSource, Phase, StepStatus, TaskState
from bench.eta.__main__ import LIMIT, median_error, table
from bench.eta.recordings import HELD_OUT, KNOWN
from bench.eta.replay import AT, JOURNALS, recorded, replay_all
from test.protocol.events_for_tests import COMMIT, TASK_ID, Writer, listed

BEGAN = 50.0
"""The runner's monotonic clock when it began."""


def told(run: Writer, *, queued: float = 0.0) -> tuple[Snapshot, float]:
    """The snapshot of a run that waited in the queue so long before, and the time of its last event."""
    started = 1000.0 + queued
    snapshot = initial(TASK_ID, 1000.0, auto_installer=False)
    waiting = Queued(Problem("queued", "Waits for another install"))
    snapshot = reduce(snapshot, Event(waiting, 1, 1000.0, 9.0, Source.SERVICE), 1000.0)
    snapshot = reduce(snapshot, Event(Connecting(1), 2, started, 9.0, Source.SERVICE), started)
    for event in run.told:
        snapshot = reduce(snapshot, event, started + event.mono - BEGAN)
    return snapshot, started + run.told[-1].mono - BEGAN


class Timed(Writer):
    """A writer of the journal whose clock is set by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGAN

    def emit(self, body: Body) -> Event:
        """The next event, at `now`."""
        event = Event(body, len(self.told) + 1, self.now, self.now, self.source)
        self.told.append(event)
        return event

    def after(self, seconds: float) -> Timed:
        """Sets the clock forward."""
        self.now += seconds
        return self


def cloning(*names: str, done: int, seconds: float) -> Timed:
    """A run that was asked for no verification, and has cloned some of its packs in that time, one after another."""
    run = Timed()
    run.emit(RunStarted(TASK_ID, "1", 1, verify=False))
    run.emit(listed(*names))
    run.emit(PhaseChanged(Phase.CLONE, StepStatus.RUNNING))
    for name in names[:done]:
        run.node(name, "cloning")
        run.after(seconds / done).node(name, "cloned", commit=COMMIT)
        run.node(name, "installed")
    return run


@pytest.mark.parametrize("queued", [0.0, 600.0])
def test_time_in_the_queue_is_no_work(queued: float) -> None:
    """600 s in the queue and 60 s of work at a fifth: 240 s are left, not 2,640."""
    snapshot, now = told(cloning(*"abcde", done=1, seconds=60.0), queued=queued)
    shown = progress(snapshot, now)
    assert shown["elapsed_seconds"] == 60.0 + queued
    assert shown["eta_seconds"] == pytest.approx(240.0, rel=0.05)


def test_the_runner_s_own_wait_is_no_work() -> None:
    """While it waits nothing is predicted, and afterwards the wait is not counted."""
    run = Timed()
    run.emit(RunStarted(TASK_ID, "1", 1, verify=False))
    run.emit(Waiting("provisioning", "The image is still being set up"))
    assert progress(*told(run))["eta_seconds"] is None
    run.after(900.0)
    head, work = list(run.told), cloning(*"abcde", done=1, seconds=60.0)
    run.told = head + [
        Event(event.body, event.seq + 1, event.wall + 900, event.mono + 900, event.source) for event in work.told[1:]
    ]
    assert progress(*told(run))["eta_seconds"] == pytest.approx(240.0, rel=0.05)


def test_it_stands_still_while_a_person_is_asked() -> None:
    """An hour in the middle of the clones: nothing is predicted anew meanwhile, and afterwards it is not counted."""
    run = cloning(*"abcde", done=1, seconds=60.0)
    answers = (Answer("keep", "Leave it"),)
    run.emit(QuestionAsked(AskedQuestion("q1", "replace_registry_copies", "?", answers, "keep", 7200.0)))
    snapshot, now = told(run)
    assert [progress(snapshot, now + later)["eta_seconds"] for later in (0.0, 1800.0)] == [pytest.approx(241.0)] * 2
    run.after(3600.0).emit(QuestionAnswered("q1", "keep", AnswerSource.USER))
    run.after(60.0)
    run.node("b", "cloned", commit=COMMIT)
    run.node("b", "installed")
    assert progress(*told(run))["eta_seconds"] == pytest.approx(181.0)


def test_it_counts_down_between_events() -> None:
    """A download of which a quarter has come in 10 s takes 30 s more: a poll a second later says less, not the same."""
    run = cloning("a", "b", done=1, seconds=5.0)
    run.node("b", "cloning")
    run.after(10.0).emit(NodeProgress("b", 25))
    snapshot, now = told(run)
    assert progress(snapshot, now)["eta_seconds"] == pytest.approx(31.0)
    plan = PackagesPlanned((PlannedChange("scipy", new="1", bytes=500_000_000, stage="agrees"),))
    run.node("b", "cloned", commit=COMMIT)
    run.emit(PhaseChanged(Phase.CLONE, StepStatus.SUCCESS))
    run.emit(plan)
    run.emit(PhaseChanged(Phase.INSTALL, StepStatus.RUNNING))
    snapshot, now = told(run)
    first, second = (progress(snapshot, now + later)["eta_seconds"] for later in (1.0, 3.0))
    assert first - second == pytest.approx(2.0)


def test_packages_are_predicted_by_their_download_where_it_is_told() -> None:
    """A quarter of the bytes in 20 s: 60 s more, whatever was usual."""
    run = cloning("a", done=1, seconds=5.0)
    run.emit(PhaseChanged(Phase.CLONE, StepStatus.SUCCESS))
    run.emit(PackagesPlanned((PlannedChange("scipy", new="1", bytes=40_000, stage="agrees"),)))
    run.emit(PhaseChanged(Phase.INSTALL, StepStatus.RUNNING))
    run.after(20.0).emit(PackagesProgress(0, 1, 10_000, 40_000))
    assert progress(*told(run))["eta_seconds"] == pytest.approx(61.0)


def test_scripts_are_predicted_by_those_that_have_run() -> None:
    """One of three took 12 s: the others take 24 s."""
    run = cloning("a", "b", "c", done=3, seconds=5.0)
    for name in "abc":
        run.emit(ScriptChanged(name, StepStatus.PENDING))
    for phase in (Phase.CLONE, Phase.RESOLVE, Phase.INSTALL):
        run.emit(PhaseChanged(phase, StepStatus.SUCCESS))
    run.emit(PhaseChanged(Phase.SCRIPTS, StepStatus.RUNNING))
    run.emit(ScriptChanged("a", StepStatus.RUNNING))
    run.after(12.0).emit(ScriptChanged("a", StepStatus.SUCCESS))
    assert progress(*told(run))["eta_seconds"] == pytest.approx(25.0)


def test_nothing_is_predicted_of_what_does_not_run() -> None:
    """An interrupted, a cancelling and an ended run have no remaining time."""
    run = cloning(*"abc", done=1, seconds=5.0)
    snapshot, now = told(run)
    assert progress(snapshot, now)["eta_seconds"] is not None
    lost = Interrupted(Problem("connection_lost", "Cut."))
    cut = reduce(snapshot, Event(lost, 3, now, 9.0, Source.SERVICE), now)
    assert progress(cut, now)["eta_seconds"] is None
    cancelling = reduce(snapshot, Event(CancelRequested(), 3, now, 9.0, Source.SERVICE), now)
    assert progress(cancelling, now)["eta_seconds"] is None
    run.emit(RunEnded(TaskState.COMPLETED))
    assert progress(*told(run))["eta_seconds"] is None


def test_what_is_left_of_something_usual() -> None:
    """It counts down, and grows again with what takes too long."""
    assert [left_of(8.0, spent) for spent in (0.0, 4.0, 6.0, 30.0)] == [8.0, 4.0, 2.0, 10.0]


def test_half_way_through_the_recorded_runs_the_median_error_is_below_a_third() -> None:
    """Ten real runs, of which three were recorded after the constants of the estimate were fixed."""
    runs = replay_all()
    assert {run.name for run in runs} == {play.__name__ for play in (*KNOWN, *HELD_OUT)}
    assert len(runs) == 10
    assert median_error(runs, 0.5) < LIMIT
    held_out = [run for run in runs if run.name in {play.__name__ for play in HELD_OUT}]
    assert median_error(held_out, 0.5) < LIMIT
    document = (JOURNALS.parents[2] / "docs" / "performance.md").read_text("utf-8")
    assert "\n".join(table(runs)) in document, "docs/performance.md: python -m bench.eta prints another table"


def test_percent_of_the_recorded_runs_is_sane() -> None:
    """It never falls, is 100 at the end only, and has moved by half-way."""
    for run in replay_all():
        assert all(one <= other for one, other in itertools.pairwise(run.percents)), run.name
        assert run.percents[-1] == 100.0
        assert all(percent < 100.0 for percent in run.percents[:-1]), run.name


def test_the_recordings_name_no_machine() -> None:
    """They are small, and hold no folder or host of where they were recorded."""
    assert sum(path.stat().st_size for path in JOURNALS.iterdir()) < 400_000
    for path in JOURNALS.iterdir():
        last = recorded(path)[-1][1]
        assert last.probe["ui_home"] == "/workspace/ComfyUI"
        hosts = {node.repo_url.split("/")[2] for node in last.nodes.values()}
        assert hosts == {"git.example.org"}
    assert AT == (0.25, 0.5, 0.75)
