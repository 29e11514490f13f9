"""The process groups that a run started, on record for whoever ends what a killed run left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List

from app.runner.process import processes


def note_group(path: Path, group: int) -> None:
    """Appends a group, known by its leader's start time: numbers are used again. Raises OSError."""
    line = "%d %s %s\n" % (group, processes.start_time(group) or 0, processes.boot_id())
    fd = os.open(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, line.encode("ascii"))
    finally:
        os.close(fd)


def read_groups(path: Path) -> Dict[str, Dict[int, int]]:
    """The recorded groups by boot id: {boot: {group: start time}}."""
    groups: Dict[str, Dict[int, int]] = {}
    try:
        lines: List[str] = path.read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return groups
    for line in lines:
        parts = line.split()
        if len(parts) == 3 and parts[0].isdigit() and parts[1].isdigit():
            groups.setdefault(parts[2], {})[int(parts[0])] = int(parts[1])
    return groups
