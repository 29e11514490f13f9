"""The last look of a run: no run says that it is done over an environment that has lost something."""

from __future__ import annotations

from typing import Callable, Iterable, Optional, Sequence

from app.runner.context import Context
from app.runner.environment.environment import Environment
from app.runner.environment.freeze import Installed, freeze_of, to_record
from app.runner.environment.inspection import inspect_again
from app.runner.environment.losses import losses
from app.runner.environment.owned_twice import owned_twice
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute
from app.runner.resolve.put_back import Restorer, Step

_MOST_NAMED = 8


def check_whole(context: Context, run: Execute, unmet: Sequence[str], uv: Callable[[], Optional[str]]) -> None:
    """Compares what is installed with what was there before and what the run brought, and puts back what is lost.
    `unmet`: what ComfyUI itself requires and had, a sentence each. Raises RunFault for what is lost, RunCancelled."""
    before = context.environment_before
    if before is None:
        return
    for change in context.unfinished:
        change.roll_back()  # a disk that was full may have room again
    now = context.unchanged() or _inspect(before, run)
    came = [name for name, version in context.changed.items() if version is not None]
    for text in owned_twice(now, () if context.options.exact else came):  # a lock says itself what is to be there
        context.warn("modules_twice", text, "Leave one of the packs out, if one of them does not work.")
    lost = losses(before, now, context.changed, context.began, context.absent_before)
    if lost and not context.options.exact:
        _put_back(context, before, now, lost, uv)
        left = losses(before, _inspect(before, run), context.changed, context.began, context.absent_before)
        restored = sorted(set(lost) - set(left))
        if restored:
            text = "These packages were lost during the run, and were installed again: %s." % ", ".join(restored)
            context.warn("packages_restored", text, "The run's logs may say what took them away.")
        lost = left
    words = [*unmet, *sorted(lost.values())]
    if words:
        more = " and %d more" % (len(words) - _MOST_NAMED) if len(words) > _MOST_NAMED else ""
        text = "Packages that were there are lost: %s%s." % ("; ".join(words[:_MOST_NAMED]), more)
        raise RunFault("packages_lost", text, "Roll this task back: that installs them again.")


def _put_back(
    context: Context, before: Environment, now: Environment, lost: Iterable[str], uv: Callable[[], Optional[str]]
) -> None:
    """As they were before the run, or as the run has brought them."""
    then, present = freeze_of(to_record(before)), freeze_of(to_record(now))
    for name, version in context.changed.items():
        if version is not None:
            here = present.get(name)
            then[name] = here if here is not None and here.version == version else Installed(name, version)
    steps = [Step(present.get(name), then[name]) for name in sorted(lost) if name in then]
    try:
        Restorer(context, now, uv()).put_back(steps)
    except OSError as exc:
        context.warn("not_put_back", "Lost packages could not be installed again: %s." % (exc.strerror or exc))


def _inspect(before: Environment, run: Execute) -> Environment:
    try:
        return inspect_again(before, run)
    except OSError as exc:
        text = "ComfyUI's Python does not run any more: %s." % (exc.strerror or exc)
        raise RunFault("packages_lost", text, "Roll this task back, or start from a fresh image.") from None
