"""An estimate is made once for all who poll in the same second."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.protocol.eta import remaining_seconds
from app.protocol.snapshot import Snapshot
from app.protocol.states import TaskState
from app.sync.installs import estimates
from app.sync.installs.estimates import Estimates
from test.protocol.events_for_tests import fold, whole_run


def running() -> Snapshot:
    """A run in the middle of its work."""
    told = whole_run().told
    found = [fold(told[:count]) for count in range(len(told))]
    return next(each for each in found if each.state is TaskState.RUNNING and remaining_seconds(each, 0.0))


def test_it_is_made_anew_with_each_second_and_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    def counted(snapshot: Snapshot, now: float) -> float | None:
        made.append(now)
        return remaining_seconds(snapshot, now)

    monkeypatch.setattr(estimates, "remaining_seconds", counted)
    snapshot, known = running(), Estimates()
    assert snapshot.last_at is not None
    moments = [snapshot.last_at + seconds for seconds in (0.0, 0.4, 0.9, 1.0, 1.9, 7.5)]
    for now in moments:
        assert known.of(snapshot, now) == remaining_seconds(snapshot, now)
    assert made == [moments[0], moments[3], moments[5]]
    known.of(replace(snapshot, revision=snapshot.revision + 1), moments[5])
    assert len(made) == 4
