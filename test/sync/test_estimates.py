"""An estimate is made once a second, for all who poll."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.protocol.eta import remaining_seconds
from app.protocol.snapshot import PhaseRun, Snapshot
from app.protocol.states import Phase, StepStatus, TaskState
from app.sync.installs import estimates
from app.sync.installs.estimates import Estimates
from test.protocol.events_for_tests import fold, whole_run


def running() -> Snapshot:
    """A run in the middle of its work."""
    told = whole_run().told
    found = [fold(told[:count]) for count in range(len(told))]
    return next(each for each in found if each.state is TaskState.RUNNING and remaining_seconds(each, 0.0))


def test_it_is_made_anew_with_each_second_and_each_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    def counted(snapshot: Snapshot, now: float) -> float | None:
        made.append(now)
        return remaining_seconds(snapshot, now)

    monkeypatch.setattr(estimates, "remaining_seconds", counted)
    snapshot, known = replace(running(), last_at=1000.0), Estimates()
    moments = [1000.0, 1000.4, 1000.9, 1001.0, 1001.9, 1007.5]
    for now in moments:
        assert known.of(snapshot, now) == remaining_seconds(snapshot, now)
    assert made == [moments[0], moments[3], moments[5]]
    next_event = replace(snapshot, revision=snapshot.revision + 1)
    assert known.of(next_event, 1007.9) == remaining_seconds(next_event, 1007.9)
    assert len(made) == 3
    next_phase = replace(next_event, phases={**snapshot.phases, Phase.VERIFY: PhaseRun(StepStatus.SUCCESS)})
    assert known.of(next_phase, 1007.9) == remaining_seconds(next_phase, 1007.9) != known.of(next_event, 1007.9)


def test_there_is_none_of_what_stands_still() -> None:
    """Also in the second in which it still moved."""
    snapshot, known = running(), Estimates()
    assert known.of(snapshot, 0.0) is not None
    assert known.of(replace(snapshot, state=TaskState.INTERRUPTED), 0.0) is None
