"""Writers of events for tests: they number them as the two sources do."""

from __future__ import annotations

from typing import Any

from app.protocol.event_body import Body
from app.protocol.events import (
    Event,
    ManifestRead,
    NodeChanged,
    NodeProgress,
    PackagesProgress,
    PhaseChanged,
    RequirementsChanged,
    RunEnded,
    RunStarted,
    Source,
)
from app.protocol.manifest import NodePack
from app.protocol.progress_json import initial
from app.protocol.reducer import reduce
from app.protocol.snapshot import Problem, Snapshot
from app.protocol.states import NodeState, Phase, StepStatus, TaskState

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"


class Writer:
    """One source: `told` holds its events."""

    def __init__(self, source: Source = Source.JOURNAL) -> None:
        self.source = source
        self.told: list[Event] = []

    def emit(self, body: Body) -> Event:
        """The next event; each comes a second after the one before."""
        number = len(self.told) + 1
        event = Event(body, number, 1000.0 + number, float(number), self.source)
        self.told.append(event)
        return event

    def node(self, name: str, state: str, **fields: Any) -> Event:
        """A pack moved."""
        return self.emit(NodeChanged(name, NodeState(state), **fields))


def fold(events: list[Event], snapshot: Snapshot | None = None) -> Snapshot:
    """The snapshot after the events."""
    after = snapshot or initial(TASK_ID, 1000.0, auto_installer=False)
    for event in events:
        after = reduce(after, event, event.wall)
    return after


def listed(*names: str) -> ManifestRead:
    """The manifest event of these packs."""
    return ManifestRead("nodes", tuple(NodePack(name, f"https://example.org/o/{name}") for name in names))


COMMIT = "a" * 40
PROBLEM = Problem("repository_not_found", "The repository does not exist.", "Check it.")


def whole_run() -> Writer:
    """A run of three packs: one good, one whose repository is missing, one whose requirement is."""
    run = Writer()
    run.emit(RunStarted(task_id=TASK_ID, version="1", pid=1))
    run.emit(PhaseChanged(phase=Phase.PROBE, status=StepStatus.RUNNING))
    run.emit(listed("good", "gone", "needy"))
    run.emit(PhaseChanged(phase=Phase.PROBE, status=StepStatus.SUCCESS))
    run.emit(PhaseChanged(phase=Phase.CLONE, status=StepStatus.RUNNING))
    for name in ("good", "gone", "needy"):
        run.node(name, "cloning")
    run.emit(NodeProgress(name="good", percent=45, bytes_received=2621440, rate=1258291.0, eta=3.1))
    run.emit(NodeProgress(name="good", percent=20))
    run.node("gone", "failed", error=PROBLEM)
    run.node("good", "cloned", commit=COMMIT)
    run.node("good", "installed")
    run.emit(RequirementsChanged(name="needy", status=StepStatus.PENDING))
    run.node("needy", "cloned", commit=COMMIT)
    run.emit(PhaseChanged(phase=Phase.CLONE, status=StepStatus.SUCCESS))
    run.emit(PhaseChanged(phase=Phase.RESOLVE, status=StepStatus.RUNNING))
    run.node("needy", "installing")
    run.emit(RequirementsChanged(name="needy", status=StepStatus.RUNNING))
    run.emit(PhaseChanged(phase=Phase.RESOLVE, status=StepStatus.SUCCESS))
    run.emit(PhaseChanged(phase=Phase.INSTALL, status=StepStatus.RUNNING))
    run.emit(PackagesProgress(done=1, total=2))
    needed = Problem("requirement_not_found", "No such package.")
    run.emit(RequirementsChanged(name="needy", status=StepStatus.FAILED, error=needed))
    run.node("needy", "failed", error=needed)
    run.emit(PhaseChanged(phase=Phase.INSTALL, status=StepStatus.SUCCESS))
    run.emit(PhaseChanged(phase=Phase.SCRIPTS, status=StepStatus.SKIPPED))
    run.emit(PhaseChanged(phase=Phase.VERIFY, status=StepStatus.SUCCESS))
    run.emit(PhaseChanged(phase=Phase.FINISH, status=StepStatus.SUCCESS))
    run.emit(RunEnded(state=TaskState.COMPLETED))
    return run
