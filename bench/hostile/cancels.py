"""How long a cancel may take: five seconds, but where docs/journal.md says otherwise. Each of those has its bound."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.sync.installs.cancel_watch import ATTACH_SECONDS, CONFIRM_SECONDS, MOST_SECONDS

PROMPT_SECONDS = 5.0
CONNECT_SECONDS, RECONNECT_SECONDS = 5.0, 8.0
"""Settings of the service: of one connection, and of all tries to have one again."""
_CLOSING_SECONDS = 2.0
"""For the end of a connection, and what it takes to see it."""


class Kind(StrEnum):
    """What kept a cancel."""

    NOTHING = "nothing"
    CONFIRMED = "confirmed, and the run goes on"
    LOST = "a line that is lost"
    ATTACHED = "a connection made after it"


@dataclass(frozen=True, slots=True)
class Cancel:
    """One of them. All moments by one clock; `connected_at`: of the instance's last connection; `confirmed`: whether
    the instance has said that it has the cancel; `unreached`: whether the service has said that it cannot reach it."""

    asked_at: float
    ended_at: float
    connected_at: float
    confirmed: bool
    unreached: bool

    @property
    def seconds(self) -> float:
        """From the cancel to the end."""
        return self.ended_at - self.asked_at

    @property
    def kind(self) -> Kind:
        """Nothing keeps one that is prompt."""
        if self.seconds <= PROMPT_SECONDS:
            return Kind.NOTHING
        if self.connected_at > self.asked_at:
            return Kind.ATTACHED
        if self.confirmed:
            return Kind.CONFIRMED
        return Kind.LOST if self.unreached else Kind.NOTHING

    def faults(self) -> list[str]:
        """Whether it took longer than it may."""
        most = self._most()
        if self.seconds <= most:
            return []
        return [f"the cancel took {self.seconds:.1f} s, and may take {most:.1f} s ({self.kind})"]

    def _most(self) -> float:
        lost = CONFIRM_SECONDS + RECONNECT_SECONDS + CONNECT_SECONDS
        most = {Kind.NOTHING: PROMPT_SECONDS, Kind.CONFIRMED: MOST_SECONDS, Kind.LOST: lost}.get(self.kind)
        if most is None:  # so long after the last connection; and that is made as long as the line may be lost
            confirmed = MOST_SECONDS if self.confirmed else 0.0
            most = max(confirmed, min(self.connected_at - self.asked_at, lost) + CONNECT_SECONDS + ATTACH_SECONDS)
        return most + (0.0 if self.kind is Kind.NOTHING else _CLOSING_SECONDS)
