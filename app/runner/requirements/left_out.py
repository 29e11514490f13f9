"""Lines of a requirements file that are left out, so that they cost the pack nothing else; and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional, Sequence

from app.protocol.snapshot import Problem

MOST_KEPT = 50
_MOST_TOLD = 3
_LONGEST_LINE = 80
_LONGEST_WHY = 300


@dataclass(frozen=True)
class LeftOut:
    """A line that cannot be had. `why`: a clause about the line (`it is …`); `hint`: what to do. `harmless`: nothing is
    missing without it."""

    line: str
    code: str
    why: str
    hint: str
    harmless: bool = False

    @property
    def told(self) -> str:
        """The line with why, as a message has them."""
        return "%s (%s)" % (quoted(self.line), _cut(self.why, _LONGEST_WHY))


@dataclass
class LeftOutLines:
    """The lines of one pack that are left out, each once; of very many the first ones."""

    found: List[LeftOut] = field(default_factory=list)
    more: int = 0
    """How many are not in `found`."""

    def add(self, left_out: LeftOut) -> None:
        """One more."""
        if left_out.line in [each.line for each in self.found]:
            return
        if len(self.found) < MOST_KEPT:
            self.found.append(left_out)
        else:
            self.more += 1

    @property
    def missed(self) -> List[LeftOut]:
        """Those that the pack may miss."""
        return [each for each in self.found if not each.harmless]

    def problem(self, *, has_others: bool) -> Optional[Problem]:
        """What is wrong without them; None where the pack misses nothing. `has_others`: it has lines besides these."""
        missed = self.missed
        if not missed:
            return None
        rest = " The rest of its requirements is not affected." if has_others else ""
        if len(missed) == 1 and not self.more:
            text = "%s in the pack's requirements is left out: %s." % (quoted(missed[0].line), _cut(missed[0].why, 300))
        else:
            told = "; ".join(each.told for each in missed[:_MOST_TOLD])
            number = len(missed) + self.more
            more = " and %d more" % (number - _MOST_TOLD) if number > _MOST_TOLD else ""
            text = "%d lines of the pack's requirements are left out: %s%s." % (number, told, more)
        return Problem(missed[0].code, text + rest, _hints(missed))


def quoted(line: str) -> str:
    """The line in quotes, short enough for a message and in characters that can be printed."""
    text = "".join(char if char.isprintable() else "?" for char in line)
    return '"%s"' % _short(text, _LONGEST_LINE)


def _cut(text: str, longest: int) -> str:
    return _short(text.rstrip("."), longest)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _hints(missed: Sequence[LeftOut]) -> str:
    return " ".join(list(dict.fromkeys(each.hint for each in missed if each.hint))[:2])
