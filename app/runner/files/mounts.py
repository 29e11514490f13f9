"""What is mounted in a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List

_TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mounted_in(folder: Path) -> List[Path]:
    """The folder itself and the folders below it where something is mounted, the outermost first. Empty where the
    system does not say."""
    root = os.path.realpath(str(folder))
    try:
        lines = _TABLE.read_bytes().splitlines()
    except OSError:
        return [folder] if os.path.ismount(root) else []
    fields = [line.split(b" ") for line in lines]
    points = {
        os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found.group(1), 8)]), each[4]))
        for each in fields
        if len(each) > 4
    }
    return [Path(point) for point in sorted(points) if point == root or point.startswith(root + os.sep)]
