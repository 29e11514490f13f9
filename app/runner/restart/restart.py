"""Restarting ComfyUI, and asking the restarted one which packs it has loaded.

Under supervisord by its own command; else by ending it and starting it again as it was. Where none runs, none is
started, but for one that supervisord knows under its image's name and that has come down.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Callable, Optional

from app.protocol import task_list
from app.protocol.states import StepStatus
from app.runner.comfyui.running import Loaded, answers, loaded_by, running_here
from app.runner.context import Context
from app.runner.machine import profiles
from app.runner.machine.listening import address_of
from app.runner.process.processes import arguments_of
from app.runner.restart.relaunch import relaunch
from app.runner.restart.supervisor import restart_program, stopped, supervised

_LOOK_SECONDS = 0.25
_BY = "by supervisorctl restart %s"


@dataclass(frozen=True)
class Restarted:
    """How the restart went. `began`: the running one was ended, so that the image may have installed again. `loaded`:
    what the new ComfyUI says of its packs; None when there is none."""

    done: bool
    detail: str
    loaded: Optional[Loaded] = None
    began: bool = True


def restart(context: Context) -> Restarted:
    """Restarts the ComfyUI of this folder and tells the step. Raises RunCancelled."""
    started = time.monotonic()
    context.step(task_list.RESTART, StepStatus.RUNNING)
    try:
        result = _restart(context)
    except OSError as exc:
        result = Restarted(False, "ComfyUI could not be restarted: %s" % (exc.strerror or exc), began=False)
    seconds = round(time.monotonic() - started, 1)
    context.step(task_list.RESTART, StepStatus.SUCCESS if result.done else StepStatus.FAILED, result.detail, seconds)
    if not result.done:
        context.warn("not_restarted", result.detail, "Restart ComfyUI yourself to load the packs.")
    return result


def _restart(context: Context) -> Restarted:
    old = running_here(context)
    program = None if old else stopped(context.children, context.ui_home)
    if program:
        failed = restart_program(program, context.pause, context.children.family.release)
        return Restarted(False, failed) if failed else _until_up(context, 0, _BY % program, lambda: None)
    if len(old) != 1 or old[0].pid == 1:
        return Restarted(False, _why_none(context, len(old)), began=False)
    program = supervised(context.children, old[0].pid, context.pause)
    if program:
        failed = restart_program(program, context.pause, context.children.family.release)
        return Restarted(False, failed) if failed else _until_up(context, old[0].pid, _BY % program, lambda: None)
    again = relaunch(context, old[0])
    if again.failed:
        return Restarted(False, again.failed)
    how = "by stopping it and starting it again with the same command"
    return _until_up(context, old[0].pid, how, lambda: again.ended)


def _why_none(context: Context, count: int) -> str:
    if not count:
        return "No ComfyUI runs in %s. It loads the packs when you start it." % context.ui_home
    if count > 1:
        return "%d ComfyUIs run in %s, so none was restarted." % (count, context.ui_home)
    return "ComfyUI is the container's main process: restarting it would stop the container."


def _until_up(context: Context, old: int, how: str, ended: Callable[[], Optional[int]]) -> Restarted:
    """Until the new ComfyUI answers, and then which packs it has. `ended`: the status of a new one that is over."""
    started = time.monotonic()
    while time.monotonic() - started < context.limits.restart:
        context.pause(_LOOK_SECONDS)
        new = [process for process in running_here(context) if process.pid != old]
        status = None if new else ended()
        if status is not None:
            return Restarted(
                False, "ComfyUI was restarted %s, and ended with exit status %d%s" % (how, status, _its_log())
            )
        address = address_of(arguments_of(new[-1].pid)) if new else ""
        if address and answers(address):
            loaded = loaded_by(address, context.custom_nodes, context.layout.others)
            silent = "; it does not say which packs it has loaded" if loaded == Loaded() else ""
            return Restarted(True, "%s, in %d s%s" % (how, round(time.monotonic() - started), silent), loaded)
    text = "ComfyUI was restarted %s, and does not answer after %g seconds" % (how, context.limits.restart)
    return Restarted(False, text + _its_log())


def _its_log() -> str:
    log = next((path for path in profiles.logs() if os.path.exists(path)), "")
    return "; its log is %s" % log if log else ""
