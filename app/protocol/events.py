"""Events: what happened, numbered, one JSON object a line.

Two ordered sources write them: the runner its journal, the install's thread the service's own. docs/journal.md
shows each
with an example. An event is told after the fact that it names, never before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Tuple

from app.protocol.states import Word

MAX_LINE_BYTES = 2 * 1024 * 1024
"""A longer journal line is not the runner's."""


class ProtocolFault(ValueError):
    """A line is not an event of this protocol."""


class Source(Word):
    """Who wrote an event."""

    JOURNAL = "journal"
    SERVICE = "service"


class Kind(Word):
    """What an event tells."""

    # the runner's journal
    RUN_STARTED = "run_started"
    PHASE = "phase"
    STEP = "step"
    WAITING = "waiting"
    PROBED = "probed"
    MANIFEST = "manifest"
    NODE = "node"
    NODE_PROGRESS = "node_progress"
    REQUIREMENTS = "requirements"
    SCRIPT = "script"
    PLAN = "plan"
    PACKAGES = "packages"
    WARNING = "warning"
    LOCK = "lock"
    RUN_ENDED = "run_ended"
    # the service
    QUEUED = "queued"
    CONNECTING = "connecting"
    WAITING_FOR_INSTANCE = "waiting_for_instance"
    CONNECTED = "connected"
    UPLOADED = "uploaded"
    ATTACHED = "attached"
    INTERRUPTED = "interrupted"
    CANCEL_REQUESTED = "cancel_requested"
    GIVEN_UP = "given_up"


FIELDS: Mapping[Kind, Tuple[str, ...]] = {
    Kind.RUN_STARTED: ("task_id", "version", "pid"),
    Kind.PHASE: ("phase", "status"),
    Kind.STEP: ("name", "status"),
    Kind.WAITING: ("code", "message"),
    Kind.PROBED: ("ui_home",),
    Kind.MANIFEST: ("nodes",),
    Kind.NODE: ("name", "state"),
    Kind.NODE_PROGRESS: ("name", "percent"),
    Kind.REQUIREMENTS: ("name", "status"),
    Kind.SCRIPT: ("name", "status"),
    Kind.PLAN: ("changes",),
    Kind.PACKAGES: ("done", "total"),
    Kind.WARNING: ("code", "message"),
    Kind.LOCK: ("lock",),
    Kind.RUN_ENDED: ("state",),
    Kind.QUEUED: (),
    Kind.CONNECTING: ("attempt",),
    Kind.WAITING_FOR_INSTANCE: ("error",),
    Kind.CONNECTED: ("endpoint",),
    Kind.UPLOADED: (),
    Kind.ATTACHED: ("offset",),
    Kind.INTERRUPTED: ("error",),
    Kind.CANCEL_REQUESTED: (),
    Kind.GIVEN_UP: ("state", "error"),
}
"""The fields that each kind always has; a reader ignores fields that it does not know."""


@dataclass(frozen=True)
class Event:
    """One thing that happened. `wall` is Unix seconds of the writer's clock, `mono` its monotonic clock: durations come
    from `mono` alone, since clocks of rented machines are skewed."""

    kind: Kind
    seq: int
    wall: float
    mono: float
    source: Source = Source.JOURNAL
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An optional field."""
        return self.fields.get(name, default)


def to_json(event: Event) -> Dict[str, Any]:
    """The event as a JSON object."""
    head = {"seq": event.seq, "wall": round(event.wall, 3), "mono": round(event.mono, 3), "event": event.kind.value}
    return {**head, **event.fields}


def encode(event: Event) -> bytes:
    """The event as one journal line, newline included."""
    return json.dumps(to_json(event), ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes, source: Source = Source.JOURNAL) -> Event:
    """The event of one line. Raises ProtocolFault for anything that is not one."""
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolFault("line of %d bytes" % len(line))
    try:
        raw = json.loads(line)
    except ValueError as exc:
        raise ProtocolFault("not JSON: %s" % exc) from None
    return from_json(raw, source)


def from_json(raw: Any, source: Source) -> Event:
    """The event of one JSON object. Raises ProtocolFault for anything that is not one."""
    try:
        fields = dict(raw)
        kind = Kind(fields.pop("event"))
        seq, wall, mono = int(fields.pop("seq")), float(fields.pop("wall")), float(fields.pop("mono"))
    except (KeyError, TypeError, ValueError) as exc:
        raise ProtocolFault("not an event: %s" % exc) from None
    missing = [name for name in FIELDS[kind] if name not in fields]
    if missing:
        raise ProtocolFault("%s lacks %s" % (kind, ", ".join(missing)))
    return Event(kind, seq, wall, mono, source, fields)
