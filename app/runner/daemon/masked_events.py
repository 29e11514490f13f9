"""Events without secrets: what the journal writes, whoever has put what into an event."""

from __future__ import annotations

from app.protocol.events import Event, decode, encode
from app.protocol.redaction import masked


def without_secrets(event: Event) -> Event:
    """The event as it may be told, whoever has put what into it."""
    line = encode(event).decode("ascii")
    hidden = masked(line)
    return event if hidden == line else decode(hidden.encode("ascii"), event.source)
