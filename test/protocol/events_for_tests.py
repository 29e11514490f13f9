"""Writers of events for tests: they number them as the two sources do."""

from __future__ import annotations

from typing import Any

from app.protocol.events import Event, Kind, Source
from app.protocol.progress_json import initial
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"


class Writer:
    """One source: `told` holds its events."""

    def __init__(self, source: Source = Source.JOURNAL) -> None:
        self.source = source
        self.told: list[Event] = []

    def emit(self, kind: Kind, **fields: Any) -> Event:
        """The next event; each comes a second after the one before."""
        number = len(self.told) + 1
        event = Event(kind, number, 1000.0 + number, float(number), self.source, fields)
        self.told.append(event)
        return event

    def node(self, name: str, state: str, **fields: Any) -> Event:
        """A pack moved."""
        return self.emit(Kind.NODE, name=name, state=state, **fields)


def fold(events: list[Event], snapshot: Snapshot | None = None) -> Snapshot:
    """The snapshot after the events."""
    after = snapshot or initial(TASK_ID, 1000.0, auto_installer=False)
    for event in events:
        after = reduce(after, event, event.wall)
    return after


def listed(*names: str) -> list[dict[str, Any]]:
    """The manifest event's nodes."""
    return [{"name": name, "repo_url": f"https://example.org/o/{name}"} for name in names]


COMMIT = "a" * 40
PROBLEM = {"code": "repository_not_found", "message": "The repository does not exist.", "hint": "Check it."}


def whole_run() -> Writer:
    """A run of three packs: one good, one whose repository is missing, one whose requirement is."""
    run = Writer()
    run.emit(Kind.RUN_STARTED, task_id=TASK_ID, version="1", pid=1)
    run.emit(Kind.PHASE, phase="probe", status="running")
    run.emit(Kind.MANIFEST, nodes=listed("good", "gone", "needy"))
    run.emit(Kind.PHASE, phase="probe", status="success")
    run.emit(Kind.PHASE, phase="clone", status="running")
    for name in ("good", "gone", "needy"):
        run.node(name, "cloning")
    run.emit(Kind.NODE_PROGRESS, name="good", percent=45, bytes_received=2621440, rate=1258291.0, eta=3.1)
    run.emit(Kind.NODE_PROGRESS, name="good", percent=20)
    run.node("gone", "failed", error=PROBLEM)
    run.node("good", "cloned", commit=COMMIT)
    run.node("good", "installed")
    run.emit(Kind.REQUIREMENTS, name="needy", status="pending")
    run.node("needy", "cloned", commit=COMMIT)
    run.emit(Kind.PHASE, phase="clone", status="success")
    run.emit(Kind.PHASE, phase="resolve", status="running")
    run.node("needy", "installing")
    run.emit(Kind.REQUIREMENTS, name="needy", status="running")
    run.emit(Kind.PHASE, phase="resolve", status="success")
    run.emit(Kind.PHASE, phase="install", status="running")
    run.emit(Kind.PACKAGES, done=1, total=2)
    needed = {"code": "requirement_not_found", "message": "No such package.", "hint": ""}
    run.emit(Kind.REQUIREMENTS, name="needy", status="failed", error=needed)
    run.node("needy", "failed", error=needed)
    run.emit(Kind.PHASE, phase="install", status="success")
    run.emit(Kind.PHASE, phase="scripts", status="skipped")
    run.emit(Kind.PHASE, phase="verify", status="success")
    run.emit(Kind.PHASE, phase="finish", status="success")
    run.emit(Kind.RUN_ENDED, state="completed", error=None)
    return run
