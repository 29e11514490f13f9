"""What a run waits for before it begins: the image's own set-up, and other installs in the same ComfyUI."""

from __future__ import annotations

import os
import time

from app.protocol.events import Waiting
from app.runner.context import Context
from app.runner.machine.provisioning import provisioning_marks
from app.runner.process.errors import RunFault
from app.runner.process.leftovers import end_leftovers, end_stale_holders
from app.runner.process.locks import is_locked, try_lock
from app.runner.process.paths import BadTaskId, Task, ui_home_lock

_BUSY_SECONDS = 3600.0
_PROVISIONING_SECONDS = 1800.0
_TASK_ID_BYTES = 36


def lock_ui_home(context: Context) -> None:
    """Waits for the ComfyUI's lock, and ends what an earlier run left that held it. The run's programs do not inherit
    it: a daemon among them would keep all later runs out."""
    path = ui_home_lock(context.ui_home)
    deadline = time.monotonic() + _BUSY_SECONDS
    told = tried = False
    while True:
        context.check_cancelled()
        lock = try_lock(path)
        if lock is not None:
            _end_earlier(lock, context.task)
            context.children.disks += [str(context.ui_home), str(context.custom_nodes)]
            return
        if time.monotonic() > deadline:
            raise RunFault(
                "ui_home_busy",
                "Another install has been working in this ComfyUI for an hour.",
                "Cancel that install, then start again.",
            )
        if not tried:
            tried = True
            if end_stale_holders(path):
                continue
        if not told:
            text = "Waiting for another install in %s" % context.ui_home
            context.journal.emit(Waiting("waiting_for_ui_home", text))
            told = True
        context.pause(0.2)


def _end_earlier(lock: int, task: Task) -> None:
    """The lock's file names the run that held it last. One that was killed may have left programs that still write to
    this ComfyUI."""
    try:
        earlier = Task(os.pread(lock, _TASK_ID_BYTES, 0).decode("ascii", "replace"))
        if earlier != task and earlier.folder.is_dir() and not is_locked(earlier.lock):
            end_leftovers(earlier)
    except BadTaskId:
        pass  # nobody's yet, or of an earlier version
    os.ftruncate(lock, 0)
    os.pwrite(lock, task.task_id.encode("ascii"), 0)


def wait_for_provisioning(context: Context) -> None:
    """Until the image has set itself up, unless the request wants to go on all the same."""
    if not context.options.wait_for_provisioning:
        return
    deadline = time.monotonic() + _PROVISIONING_SECONDS
    told = False
    while True:
        busy = provisioning_marks()
        if not busy:
            return
        if time.monotonic() > deadline:
            raise RunFault(
                "still_provisioning",
                "The instance's image has been setting itself up for half an hour (%s exists)." % busy[0],
                "Look at the instance's log at your provider, or start again without waiting for it.",
            )
        if not told:
            text = "Waiting for the instance's image to finish setting itself up (%s exists)" % busy[0]
            context.journal.emit(Waiting("provisioning", text))
            told = True
        context.pause(1.0)
