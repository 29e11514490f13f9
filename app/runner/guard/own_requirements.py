"""What ComfyUI itself requires: whether a run took any of it away."""

from __future__ import annotations

from pathlib import Path
from typing import List

from app.runner.environment.environment import Environment
from app.runner.guard.needs import Need, own_needs


def lost_requirements(ui_home: Path, before: Environment, now: Environment) -> List[Need]:
    """What is not met any more, and was before."""
    return [need for need in own_needs(ui_home) if need.lost(before, now)]
