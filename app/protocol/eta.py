"""How many seconds of work an install has left, as far as its snapshot tells.

What was spent in the queue, before the instance answered, in the runner's own waits and while it waited for a person's
answer is not part of it: while a question stands, the estimate stands still.
Each part of the work is estimated by its own measure (downloads by git's figures, packages by their number and size,
scripts by those that have run) and, before there is one, by what it usually takes. docs/performance.md has the
errors over recorded runs.
"""

from __future__ import annotations

from typing import Optional

from app.protocol import questions
from app.protocol.snapshot import Node, PhaseRun, Snapshot
from app.protocol.states import ENDED_PHASE, NodeState, Phase, StepStatus, TaskState

# What parts of the work usually take, in seconds (docs/performance.md tells how these round figures were chosen).
# A download that is silent for SILENT has stalled; the runner gives it up after STALLED and begins it again.
CLONE = 3.0
SILENT = 10.0
STALLED = 60.0
RESOLVE = 3.0
RESOLVE_PACK = 0.3
PACKAGES_OF_A_PACK = 4
PACKAGE = 0.05
PACKAGE_BYTES = 3e6
BYTES_A_SECOND = 25e6
BUILD = 20.0
SCRIPT = 5.0
COMFYUI_START = 5.0
MOST_START = 86_400.0
IMPORT = 0.05
FINISH = 1.0


def remaining_seconds(snapshot: Snapshot, now: float) -> Optional[float]:
    """Seconds of work left at `now` (Unix seconds, the same clock as the snapshot's), estimated anew with each whole
    second after the newest event. None while nothing is worked on, and before the list of packs is known."""
    began, last, last_at = snapshot.began_mono, snapshot.last_mono, snapshot.last_at
    if snapshot.state is not TaskState.RUNNING or snapshot.waiting or not snapshot.nodes:
        return None
    if began is None or last is None or last_at is None:
        return None
    run = _Run(snapshot, began, last + seconds_since(last_at, now))
    return round(max(run.clones(), run.packages()) + run.scripts() + run.verify() + FINISH, 1)


def seconds_since(last_at: float, now: float) -> int:
    """Whole ones since the newest event: while they stay the same, the estimate does."""
    return int(max(0.0, now - last_at))


def left_of(usual: float, spent: float) -> float:
    """What is left after `spent` seconds of something that usually takes `usual`. It counts down; what takes longer
    than usual is expected to take a third longer than it has so far."""
    return max(usual - spent, spent / 3)


class _Run:
    """One moment of a run. `began` and `now`: seconds of the instance's clock, from the newest event on by ours. Each
    method estimates what is left of one part."""

    def __init__(self, snapshot: Snapshot, began: float, now: float) -> None:
        self._snapshot = snapshot
        self._began = began
        self._pauses = questions.pauses(snapshot)
        self._worked = self._worked_until(now)
        """Seconds of work since the run began."""
        self._nodes = list(snapshot.nodes.values())

    def clones(self) -> float:
        """The slowest download that goes on, or what waits at the pace so far, whichever is longer."""
        if self._ended(Phase.CLONE):
            return 0.0
        waiting = [node for node in self._nodes if node.state is NodeState.PENDING]
        active = [node for node in self._nodes if node.state is NodeState.CLONING]
        done = len(self._nodes) - len(waiting) - len(active)
        pace = self._spent(Phase.CLONE) / done if done else CLONE
        return max([len(waiting) * pace, *(self.download(node) for node in active)])

    def download(self, node: Node) -> float:
        """One pack's, at its pace so far. A silent one is given up after a while, and begins again."""
        entered = node.entered.get(NodeState.CLONING.value)
        began = self._worked if entered is None else self._worked_until(self._began + entered)
        last = max(began, self._worked - self._after(node.last_mono))
        silent = self._worked - last
        if not node.clone_percent:
            return left_of(CLONE, self._worked - began)
        if silent > SILENT:
            return left_of(STALLED, silent) + (last - began) * 100 / node.clone_percent
        return (self._worked - began) * (100 - node.clone_percent) / node.clone_percent

    def packages(self) -> float:
        """What is planned and not there, at the pace of its download where uv tells that; before there is a plan, what
        packs with requirements usually need."""
        if self._ended(Phase.INSTALL):
            return 0.0
        if self._snapshot.plan is None:
            return self.unplanned_packages()
        done, spent = self._snapshot.packages_done or 0, self._spent(Phase.INSTALL)
        fetched, total = self._snapshot.packages_bytes_done, self._snapshot.packages_bytes_total
        if not done and fetched and total and fetched < total:
            return spent * (total - fetched) / fetched
        left = self._snapshot.plan[done:]
        files = [change for change in left if change.stage != "long_build"]
        sizes = sum(change.bytes or 0 for change in files)
        usual = (len(left) - len(files)) * BUILD + len(files) * PACKAGE + sizes / BYTES_A_SECOND
        return left_of(usual, self._after(self._snapshot.last_mono) if done else spent)

    def unplanned_packages(self) -> float:
        """Resolving and installing what packs with requirements usually need; those that were kept need nothing new."""
        needy = [node for node in self._nodes if node.requirements in (StepStatus.PENDING, StepStatus.RUNNING)]
        new = sum(not node.kept for node in needy) * PACKAGES_OF_A_PACK
        usual = RESOLVE + RESOLVE_PACK * len(needy) if needy else 0.0
        spent = max(self._spent(Phase.RESOLVE), self._after(self._phase(Phase.CLONE).ended_mono))
        return left_of(usual, spent) + new * (PACKAGE + PACKAGE_BYTES / BYTES_A_SECOND)

    def scripts(self) -> float:
        """Those that wait, at the pace of those that have run."""
        states = [node.script for node in self._nodes]
        waiting, running = states.count(StepStatus.PENDING), states.count(StepStatus.RUNNING)
        done = states.count(StepStatus.SUCCESS) + states.count(StepStatus.FAILED)
        if self._ended(Phase.SCRIPTS) or not waiting + running:
            return 0.0
        spent = self._spent(Phase.SCRIPTS)
        pace = spent / (done + running / 2) if done else SCRIPT
        return waiting * pace + running * left_of(pace, spent - done * pace)

    def verify(self) -> float:
        """ComfyUI starts and imports the packs. It starts without them beside the clones: the run says how long that
        took."""
        if self._ended(Phase.VERIFY) or self._snapshot.verify is False:
            return 0.0
        said = self._snapshot.probe.get("comfyui_start_seconds")
        start = said if isinstance(said, (int, float)) and 0 <= said <= MOST_START else COMFYUI_START
        usual = start + len(self._nodes) * IMPORT
        return left_of(usual, self._spent(Phase.VERIFY))

    def _phase(self, phase: Phase) -> PhaseRun:
        return self._snapshot.phases.get(phase, PhaseRun())

    def _ended(self, phase: Phase) -> bool:
        return self._phase(phase).status in ENDED_PHASE

    def _spent(self, phase: Phase) -> float:
        """Seconds since a phase began; 0 before."""
        return self._after(self._phase(phase).started_mono)

    def _after(self, mono: Optional[float]) -> float:
        return 0.0 if mono is None else max(0.0, self._worked - self._worked_until(mono))

    def _worked_until(self, mono: float) -> float:
        """Seconds from the run's begin to `mono` in which it did not stand still for a question."""
        paused = sum(max(0.0, min(mono, mono if end is None else end) - begin) for begin, end in self._pauses)
        return max(0.0, mono - self._began - paused)
