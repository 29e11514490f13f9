"""Progress answers as the service gives them: events folded by the reducer and told by the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.protocol import progress_json
from app.protocol.event_body import Body
from app.protocol.events import (
    Connected,
    Connecting,
    Event,
    ManifestRead,
    NodeChanged,
    NodeProgress,
    PhaseChanged,
    RequirementsChanged,
    RunEnded,
    RunStarted,
    Source,
    Uploaded,
)
from app.protocol.manifest import NodePack
from app.protocol.reducer import reduce
from app.protocol.snapshot import Problem, Snapshot
from app.protocol.states import NodeState, Phase, StepStatus, TaskState

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOT_FOUND = Problem("repository_not_found", "The repository does not exist.", "Check the URL.")


@dataclass
class Story:
    """An install that is told event by event, one second each."""

    now: float = 1_000.0
    seqs: dict[Source, int] = field(default_factory=lambda: {Source.JOURNAL: 0, Source.SERVICE: 0})
    snapshot: Snapshot = field(default_factory=lambda: progress_json.initial(TASK_ID, 1_000.0, auto_installer=False))
    shown: list[dict[str, Any]] = field(default_factory=list)

    def emit(self, body: Body, source: Source = Source.JOURNAL) -> Story:
        """Fold one more event."""
        self.now += 1
        self.seqs[source] += 1
        event = Event(body, self.seqs[source], self.now, self.now, source)
        self.snapshot = reduce(self.snapshot, event, self.now)
        self.shown.append(self.progress)
        return self

    @property
    def progress(self) -> dict[str, Any]:
        """What a poll would answer now."""
        return progress_json.progress(self.snapshot, self.now, heard_at=self.now)

    def node(self, name: str, *states: str, **fields: Any) -> Story:
        """Move a pack through states; `fields` belong to the last one."""
        for state in states[:-1]:
            self.emit(NodeChanged(name, NodeState(state)))
        return self.emit(NodeChanged(name, NodeState(states[-1]), **fields))


def begun(names: Sequence[str] = ("Alpha", "Beta", "Gamma")) -> Story:
    """Connected, probed, the manifest read."""
    story = Story().emit(Connecting(attempt=1), Source.SERVICE)
    story.emit(Connected(endpoint="root@127.0.0.1:22"), Source.SERVICE).emit(Uploaded(), Source.SERVICE)
    story.emit(RunStarted(task_id=TASK_ID, version="1", pid=7)).emit(
        PhaseChanged(phase=Phase.PROBE, status=StepStatus.SUCCESS)
    )
    packs = tuple(NodePack(name, f"https://example.invalid/{name}") for name in names)
    story.emit(ManifestRead("nodes", packs))
    return story.emit(PhaseChanged(phase=Phase.CLONE, status=StepStatus.RUNNING))


def ended(outcome: str) -> Story:
    """A whole install of three packs that ends as `all`, `partial`, `none`, `failed` or `cancelled`."""
    story = begun()
    good = {"all": ("Alpha", "Beta", "Gamma"), "partial": ("Alpha", "Beta")}.get(outcome, ())
    for name in good:
        story.node(name, "cloning")
        story.emit(NodeProgress(name=name, percent=45, bytes_received=2_621_440, rate=1_258_291.0))
        story.node(name, "cloned", commit=COMMIT).emit(RequirementsChanged(name=name, status=StepStatus.SUCCESS))
        story.node(name, "installed")
    if outcome in ("failed", "cancelled"):
        error = Problem("disk_full", "The disk is full.", "Make room.") if outcome == "failed" else None
        return story.node("Alpha", "cloning").emit(RunEnded(TaskState(outcome), error))
    for name in [name for name in ("Alpha", "Beta", "Gamma") if name not in good]:
        story.node(name, "cloning", "failed", error=NOT_FOUND)
    return story.emit(RunEnded(state=TaskState.COMPLETED))
