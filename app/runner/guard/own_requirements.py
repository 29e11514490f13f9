"""What ComfyUI itself requires: whether a run took any of it away."""

from __future__ import annotations

from pathlib import Path
from typing import List

from app.runner.environment.environment import Environment
from app.runner.guard.required import Requirement, required_by_comfyui


def lost_requirements(ui_home: Path, before: Environment, now: Environment) -> List[Requirement]:
    """What is not met any more, and was before."""
    return [requirement for requirement in required_by_comfyui(ui_home) if requirement.lost(before, now)]
