"""Some of a fleet's instances: those that somebody wants to see, a page at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.sync.runs.members import Member

_NEEDING = 5


@dataclass(frozen=True, slots=True)
class FleetPage:
    """Which instances: from `offset` on up to `limit` of those with these kinds of a summary, whose address has `text`
    in it; `needing`: only those that somebody should look at."""

    limit: int = 100
    offset: int = 0
    states: tuple[str, ...] = ()
    text: str | None = None
    needing: bool = False

    def of(self, members: Sequence[Member]) -> tuple[list[Member], dict[str, Any]]:
        """The instances of the page, and what the answer says of it."""
        found = [member for member in members if self._has(member)]
        page = found[self.offset : self.offset + self.limit]
        after = self.offset + len(page)
        return page, {
            "total": len(found),
            "offset": self.offset,
            "limit": self.limit,
            "next_offset": after if after < len(found) else None,
        }

    def _has(self, member: Member) -> bool:
        facts = member.facts
        if facts is None or (self.states and facts.kind not in self.states) or (self.needing and not facts.needing):
            return False
        machine = facts.row["machine"]
        texts = (machine["name"], machine["instance"], machine["ssh_connection"])
        return self.text is None or any(self.text.lower() in str(each).lower() for each in texts)


def kinds(members: Sequence[Member]) -> dict[str, int]:
    """How many instances stand how, by the kind of their summary."""
    return dict(sorted(Counter(member.facts.kind for member in members if member.facts).items()))


def first_needing(members: Sequence[Member]) -> tuple[int, list[Member]]:
    """How many instances need somebody, and the first of them: those that ask before those that ended badly."""
    found = [member for member in members if member.facts and member.facts.needing]
    found.sort(key=lambda member: not (member.facts and member.facts.is_live))
    return len(found), found[:_NEEDING]
