"""How long nothing has really moved in a run: talk alone keeps no task alive.

What counts: a pack, a phase or a step in another state, bytes and packages beyond the most so far, a build that has
another line of output, a plan, a lock, an answered question, the runner's own start. What does not: heartbeats, waits,
warnings, counters that stand still or go up and down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

from app.domain.errors import RunStalled
from app.protocol import questions
from app.protocol.snapshot import Snapshot

LOOK_SECONDS = 5.0
"""How often it is looked at, at most: that takes a millisecond for 400 packs."""
_MOST_MARKS = 20_000


class ProgressWatch:
    """Of one install, for its thread."""

    def __init__(
        self, stall_seconds: float, question_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`stall_seconds`: how long nothing may move while the run is followed (0: for ever); `question_seconds`: how
        long the run may wait for a person besides."""
        self._stall_seconds = stall_seconds
        self.every = min(LOOK_SECONDS, stall_seconds / 10) if stall_seconds else LOOK_SECONDS
        """How often it is to be looked at."""
        self._question_seconds = self._left_to_ask = question_seconds
        self._clock = clock
        self._looked = clock()
        self._still = 0.0
        self._heights: dict[Hashable, float] = {}
        self._marks: dict[Hashable, Hashable] = {}

    def attached(self) -> None:
        """The run is followed from now on; what was missed is not counted."""
        self._looked = self._clock()

    def look(self, snapshot: Snapshot) -> None:
        """Counts the time since the last look. Raises RunStalled."""
        passed = self._clock() - self._looked
        if passed < self.every or not self._stall_seconds:
            return
        self._looked += passed
        passed = min(passed, 2 * self.every)  # a service that was suspended has not seen what moved
        if self._has_moved(snapshot):
            self._still, self._left_to_ask = 0.0, self._question_seconds
        elif questions.standing(snapshot) and self._left_to_ask > 0:
            self._left_to_ask -= passed
        else:
            self._still += passed
        if self._still > self._stall_seconds:
            raise RunStalled(f"Nothing has moved in the run on the instance for {self._stall_seconds / 3600:.3g} h.")

    def _has_moved(self, snapshot: Snapshot) -> bool:
        moved = [self._differs(key, mark) for key, mark in _marks(snapshot)]
        moved += [self._rises(key, height) for key, height in _heights(snapshot)]
        return any(moved)

    def _differs(self, key: Hashable, mark: Hashable) -> bool:
        if self._marks.get(key) == mark or (key not in self._marks and len(self._marks) >= _MOST_MARKS):
            return False
        self._marks[key] = mark
        return True

    def _rises(self, key: Hashable, height: float | None) -> bool:
        if height is None or height <= self._heights.get(key, 0.0):
            return False
        self._heights[key] = height
        return True


def _marks(snapshot: Snapshot) -> list[tuple[Hashable, Any]]:
    marks: list[tuple[Hashable, Any]] = [("run", (snapshot.began_mono is None, snapshot.lock is None))]
    marks += [(("phase", phase), run.status) for phase, run in snapshot.phases.items()]
    marks += [(("step", name), step.status) for name, step in snapshot.steps.items()]
    marks += [(("pack", name), (node.state, node.requirements, node.script)) for name, node in snapshot.nodes.items()]
    marks += [(("build", name), (build.state, build.detail)) for name, build in snapshot.builds.items()]
    marks += [(("question", name), question.answer) for name, question in snapshot.questions.items()]
    return marks


def _heights(snapshot: Snapshot) -> list[tuple[Hashable, float | None]]:
    heights: list[tuple[Hashable, float | None]] = [
        ("packages", snapshot.packages_done),
        ("bytes", snapshot.packages_bytes_done),
        ("plan", len(snapshot.plan or ())),
        ("facts", len(snapshot.probe)),
        ("questions", len(snapshot.questions)),
        ("repair", snapshot.repair.starts if snapshot.repair else None),
    ]
    heights += [(("pack", name), node.bytes_received) for name, node in snapshot.nodes.items()]
    heights += [(("clone", name), node.clone_percent) for name, node in snapshot.nodes.items()]
    return heights
