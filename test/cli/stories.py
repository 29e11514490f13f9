"""Progress answers as the service gives them: events folded by the reducer and told by the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.protocol import progress_json
from app.protocol.events import Event, Kind, Source
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOT_FOUND = {"code": "repository_not_found", "message": "The repository does not exist.", "hint": "Check the URL."}


@dataclass
class Story:
    """An install that is told event by event, one second each."""

    now: float = 1_000.0
    seqs: dict[Source, int] = field(default_factory=lambda: {Source.JOURNAL: 0, Source.SERVICE: 0})
    snapshot: Snapshot = field(default_factory=lambda: progress_json.initial(TASK_ID, 1_000.0, auto_installer=False))
    shown: list[dict[str, Any]] = field(default_factory=list)

    def emit(self, kind: Kind, source: Source = Source.JOURNAL, **fields: Any) -> Story:
        """Fold one more event."""
        self.now += 1
        self.seqs[source] += 1
        event = Event(kind, self.seqs[source], self.now, self.now, source, fields)
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
            self.emit(Kind.NODE, name=name, state=state)
        return self.emit(Kind.NODE, name=name, state=states[-1], **fields)


def begun(names: Sequence[str] = ("Alpha", "Beta", "Gamma")) -> Story:
    """Connected, probed, the manifest read."""
    story = Story().emit(Kind.CONNECTING, Source.SERVICE, attempt=1)
    story.emit(Kind.CONNECTED, Source.SERVICE, endpoint="root@127.0.0.1:22").emit(Kind.UPLOADED, Source.SERVICE)
    story.emit(Kind.RUN_STARTED, task_id=TASK_ID, version="1", pid=7).emit(Kind.PHASE, phase="probe", status="success")
    story.emit(Kind.MANIFEST, nodes=[{"name": name, "repo_url": f"https://example.invalid/{name}"} for name in names])
    return story.emit(Kind.PHASE, phase="clone", status="running")


def ended(outcome: str) -> Story:
    """A whole install of three packs that ends as `all`, `partial`, `none`, `failed` or `cancelled`."""
    story = begun()
    good = {"all": ("Alpha", "Beta", "Gamma"), "partial": ("Alpha", "Beta")}.get(outcome, ())
    for name in good:
        story.node(name, "cloning")
        story.emit(Kind.NODE_PROGRESS, name=name, percent=45, bytes_received=2_621_440, rate=1_258_291.0)
        story.node(name, "cloned", commit=COMMIT).emit(Kind.REQUIREMENTS, name=name, status="success")
        story.node(name, "installed")
    if outcome in ("failed", "cancelled"):
        error = (
            {"code": "disk_full", "message": "The disk is full.", "hint": "Make room."} if outcome == "failed" else None
        )
        return story.node("Alpha", "cloning").emit(Kind.RUN_ENDED, state=outcome, error=error)
    for name in [name for name in ("Alpha", "Beta", "Gamma") if name not in good]:
        story.node(name, "cloning", "failed", error=NOT_FOUND)
    return story.emit(Kind.RUN_ENDED, state="completed")
