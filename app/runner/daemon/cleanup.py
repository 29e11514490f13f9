"""Removes what old runs left in the runner's own folder: their journals, logs and notes for a rollback."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any, Mapping

from app.runner.daemon.control import sweep
from app.runner.daemon.run_files import has_ended
from app.runner.process.locks import lock_now
from app.runner.process.paths import BadTaskId, Task, state_folder
from app.runner.process.private_files import remove_file

_DAY = 86400.0
_log = logging.getLogger("runner")


def remove_old_runs(task: Task, request: Mapping[str, Any]) -> int:
    """Removes the runs whose files are all older than the request's `remote_days`; 0 or none keeps them all.

    It never removes a run that lives, `task` itself, or the run that `task` rolls back. A killed run is swept first.
    What cannot be removed is logged and stays. Returns the number of removed runs."""
    days = request.get("remote_days")
    if not isinstance(days, (int, float)) or not days > 0:
        return 0
    before = time.time() - days * _DAY
    spared = {task.task_id, str(request.get("rollback_of"))}
    try:
        folders = sorted(path for path in state_folder().iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as exc:
        _log.warning("old runs cannot be looked for: %s", exc)
        return 0
    return sum(_remove(path, before) for path in folders if path.name not in spared)


def _remove(folder: Path, before: float) -> bool:
    try:
        run = Task(folder.name)
        if _newest(folder) >= before or not _is_over(run):
            return False
        shutil.rmtree(str(folder))
        remove_file(run.progress)
    except BadTaskId:
        return False  # bin, locks, tools
    except OSError as exc:
        _log.warning("the old run %s cannot be removed: %s", folder.name, exc)
        return False
    _log.info("removed the old run %s", folder.name)
    return True


def _newest(folder: Path) -> float:
    """When the newest file of the folder was written, in Unix seconds. Testing a lock writes nothing."""
    times = [folder.stat().st_mtime]
    for parent, _folders_there, files in os.walk(str(folder)):
        times += [os.lstat(os.path.join(parent, name)).st_mtime for name in files]
    return max(times)


def _is_over(run: Task) -> bool:
    """Whether the run is over. A killed run is swept."""
    if not has_ended(run.journal):
        return "error" not in sweep(run)
    lock = lock_now(run.lock)
    if lock is None:
        return False
    os.close(lock)
    return True
