"""The last look of a run: no run says that it is done over an environment that has lost something."""

from __future__ import annotations

from typing import Sequence

from app.runner.context import Context
from app.runner.environment.inspection import inspect_again
from app.runner.environment.losses import losses
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute

_MOST_NAMED = 8


def check_whole(context: Context, run: Execute, unmet: Sequence[str]) -> None:
    """Compares what is installed with what was there before and what the run brought. `unmet`: what ComfyUI requires
    itself and had, a sentence each. Raises RunFault for what is lost, RunCancelled."""
    before = context.environment_before
    if before is None:
        return
    for change in context.unfinished:
        change.roll_back()  # a disk that was full may have room again
    try:
        now = context.unchanged() or inspect_again(before, run)
    except OSError as exc:
        text = "ComfyUI's Python does not run any more: %s." % (exc.strerror or exc)
        raise RunFault("packages_lost", text, "Roll this task back, or start from a fresh image.") from None
    lost = losses(before, now, context.changed, context.began)
    words = [*unmet, *sorted(lost.values())]
    if words:
        more = " and %d more" % (len(words) - _MOST_NAMED) if len(words) > _MOST_NAMED else ""
        text = "Packages that were there are lost: %s%s." % ("; ".join(words[:_MOST_NAMED]), more)
        raise RunFault("packages_lost", text, "Roll this task back: that installs them again.")
