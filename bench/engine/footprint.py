"""What the runner itself takes of the instance, its children left out: proc(5)."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

_EVERY_SECONDS = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Footprint:
    """`cpu_seconds` of the process and its threads so far, `peak_bytes` its largest resident size."""

    cpu_seconds: float = 0.0
    peak_bytes: int = 0


def watch(journal: Path, ended: threading.Event) -> Footprint:
    """Looks at the runner that writes `journal` until `ended`; the last that was seen."""
    seen = Footprint()
    pid = None
    while not ended.wait(_EVERY_SECONDS):
        pid = pid or _pid_of(journal)
        if pid is not None:
            _look(pid, seen)
    return seen


def _pid_of(journal: Path) -> int | None:
    try:
        first = journal.read_bytes().split(b"\n", 1)[0]
    except OSError:
        return None
    return int(json.loads(first)["pid"]) if first.endswith(b"}") else None


def _look(pid: int, seen: Footprint) -> None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return  # it has ended
    seen.cpu_seconds = (int(stat[11]) + int(stat[12])) / _TICKS
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0")
    seen.peak_bytes = max(seen.peak_bytes, int(peak.split()[1]) * 1024)
