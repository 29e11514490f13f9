"""Whether the instance's image still sets itself up."""

from __future__ import annotations

import glob
import os
from typing import List

_MARKS = ("/.provisioning", "/workspace/.sync_*.lock")
"""vast.ai's images have these while they install themselves, at their first boot; a half copied tree is no ComfyUI."""


def provisioning_marks() -> List[str]:
    """The files that say so; none when it is done."""
    return [path for pattern in _MARKS for path in sorted(glob.glob(pattern)) if os.path.exists(path)]
