"""Says which programs an install script left running when it had ended."""

from __future__ import annotations

from app.runner.context import Context
from app.runner.process.children import Finished


def warn_of_left(context: Context, name: str, finished: Finished) -> None:
    """They have been ended: they would hold files of ComfyUI, its ports, or later installs."""
    if finished.left:
        text = "install.py of %s left programs running, which were ended: %s." % (name, ", ".join(finished.left))
        hint = "Nothing that an install starts outlives it. What a pack needs while ComfyUI runs, ComfyUI has to start."
        context.warn("left_running", text, hint)
