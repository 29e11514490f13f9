"""git's progress, as it writes it to stderr: lines that end in CR or LF.

Source of the format: git's progress.c, `Receiving objects:  45% (450/1000), 12.30 MiB | 4.10 MiB/s`. Only "Receiving
objects" is the download; counting and compressing happen on the server, resolving and updating on this machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

_LINE = re.compile(
    rb"Receiving objects:\s+(?P<percent>\d{1,4})% \(\d{1,20}/\d{1,20}\)"
    rb"(?:, (?P<size>\d{1,15}(?:\.\d{1,9})?) (?P<unit>bytes|KiB|MiB|GiB))?"
    rb"(?: \| (?P<rate>\d{1,15}(?:\.\d{1,9})?) (?P<rate_unit>bytes|KiB|MiB|GiB)/s)?"
)
_UNITS = {b"bytes": 1, b"KiB": 1024, b"MiB": 1024**2, b"GiB": 1024**3}


@dataclass(frozen=True)
class Received:
    """How far a download is. Bytes and bytes a second are None until git says them."""

    percent: int
    bytes_received: Optional[int] = None
    rate: Optional[float] = None

    @property
    def eta(self) -> Optional[float]:
        """Seconds left, if the rest has as many bytes a percent as what came so far."""
        if not self.rate or not self.bytes_received or not 0 < self.percent < 100:
            return None
        return round(self.bytes_received * (100 - self.percent) / self.percent / self.rate, 1)


class GitProgress:
    """Takes git's output piece by piece; `feed` gives the newest figure of each piece."""

    def __init__(self) -> None:
        self._rest = b""
        self.newest: Optional[Received] = None
        """The last figure of all."""

    def feed(self, piece: bytes) -> Optional[Received]:
        """The last "Receiving objects" that ended in this piece, if any."""
        lines = re.split(rb"[\r\n]", self._rest + piece)
        self._rest = lines.pop()[-4096:]
        for line in reversed(lines):
            match = _LINE.search(line)
            if match:
                self.newest = _received(match)
                return self.newest
        return None


def _received(match: re.Match[bytes]) -> Received:
    size, rate = match.group("size"), match.group("rate")
    return Received(
        percent=min(100, int(match.group("percent"))),
        bytes_received=None if size is None else int(float(size) * _UNITS[match.group("unit")]),
        rate=None if rate is None else float(rate) * _UNITS[match.group("rate_unit")],
    )
