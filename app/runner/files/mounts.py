"""What is mounted in a folder, and on what a folder lies. Source of the table's format: proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Tuple

_TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-3][0-7]{2})")


def mounted_in(folder: Path) -> List[Path]:
    """The folder itself and the folders below it where something is mounted, the outermost first. Empty where the
    system does not say."""
    root = os.path.realpath(str(folder))
    try:
        points = {point for point, _kind in _mounts()}
    except OSError:
        return [folder] if os.path.ismount(root) else []
    return [Path(point) for point in sorted(points) if point == root or point.startswith(root + os.sep)]


def is_layered(folder: Path) -> bool:
    """Whether a folder lies on an overlay, as in a container: there a link to a file of the image copies it, and waits
    until the disk has it, which takes longer than a copy of one's own. False where the system does not say."""
    place = os.path.realpath(str(folder))
    try:
        found = [(point, kind) for point, kind in _mounts() if (place + os.sep).startswith(point.rstrip("/") + os.sep)]
    except OSError:
        return False
    kind = max(reversed(found), key=lambda mount: len(mount[0]), default=("", ""))[1]  # of two on one point, the upper
    return any(word in kind for word in ("overlay", "aufs"))


def _mounts() -> List[Tuple[str, str]]:
    """Mount points and types of file systems, in the table's order. Raises OSError."""
    return _mounts_in(_TABLE.read_bytes())


def _mounts_in(table: bytes) -> List[Tuple[str, str]]:
    found = []
    for line in table.splitlines():
        fields, _, more = line.partition(b" - ")
        parts = fields.split(b" ")
        if len(parts) > 4 and more:
            point = _ESCAPED.sub(lambda match: bytes([int(match.group(1), 8)]), parts[4])
            found.append((os.fsdecode(point), os.fsdecode(more.split(b" ")[0])))
    return found
