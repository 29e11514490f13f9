"""The commands about a run: start, status, cancel, skip, answer, sweep. Each returns one answer.

A run has died when its lock is free and its journal has no terminal event. The kernel frees the lock, so this holds
after a kill, an out-of-memory kill and a reboot alike.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional

from app.protocol.redaction import masked
from app.protocol.seal import Seal
from app.runner import compiled
from app.runner.daemon import run_files
from app.runner.process import processes
from app.runner.process.answers import Answers
from app.runner.process.family import hide_memory
from app.runner.process.groups import read_groups
from app.runner.process.leftovers import end_leftovers, leave_caretaker
from app.runner.process.locks import is_locked, lock_now
from app.runner.process.paths import Task, staging_name
from app.runner.process.private_files import make_folder, remove_file
from app.runner.process.skips import Skips

CANCEL_SECONDS = 10.0
Run = Callable[[Task, Mapping[str, Any], Callable[[], None], Optional[Seal]], None]
"""The run itself: the task, the request, what to call once the journal is open, and the run's seal."""


def status(task: Task) -> Dict[str, Any]:
    """Whether the run is running, has ended or died; `unknown` when there never was one."""
    word = "unknown"
    if task.folder.is_dir():
        word = "running" if is_locked(task.lock) else "ended" if run_files.has_ended(task.journal) else "died"
    return {"status": word, "offset": run_files.size(task.journal)}


def start(task: Task, request: Mapping[str, Any], run: Run) -> Dict[str, Any]:
    """Starts the run as a daemon, once. A second start finds the first one's lock or journal and returns its status.

    In the daemon this never returns. Raises ValueError for a seal that is none."""
    seal = Seal.of(request.get("seal"))
    answer = _start(task, {name: value for name, value in request.items() if name != "seal"}, run, seal)
    return answer if seal is None else {**answer, "sealed": True}


def _start(task: Task, request: Mapping[str, Any], run: Run, seal: Optional[Seal]) -> Dict[str, Any]:
    make_folder(task.folder.parent)
    make_folder(task.folder)
    lock = lock_now(task.lock)
    if lock is None:
        return status(task)
    if task.journal.exists():
        os.close(lock)
        return status(task)
    run_files.replace_file(task.request, json.dumps(request).encode("ascii"))
    return _daemonise(task, request, run, lock, seal)


def _daemonise(task: Task, request: Mapping[str, Any], run: Run, lock: int, seal: Optional[Seal]) -> Dict[str, Any]:
    """Forks three times, the last one for the daemon's caretaker. The parent answers once the daemon has opened its
    journal; only the daemon keeps `lock`."""
    reader, writer = os.pipe()

    def ready() -> None:
        os.write(writer, b"%d" % os.getpid())
        os.close(writer)

    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        if os.fork():
            os._exit(0)
        _detach(task)
        hide_memory()
        leave_caretaker(task)
        try:
            run(task, request, ready, seal)
        except OSError as exc:  # before the journal is open there is nobody else to tell
            os.write(2, masked("%s\n" % exc).encode("utf-8", "replace"))
            os._exit(1)
        compiled.save()
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    os.close(lock)
    compiled.save()  # while the daemon opens its journal; the follower that comes next finds it
    return _acknowledged(reader, task)


def _acknowledged(reader: int, task: Task) -> Dict[str, Any]:
    ready, _, _ = select.select([reader], [], [], 15.0)
    said = os.read(reader, 64) if ready else b""
    os.close(reader)
    if not ready or (not said and task.journal.exists()):
        return status(task)  # the daemon is slow, or was killed: whoever follows it finds out
    if not said:
        lines = task.log.read_text("utf-8", "replace").strip().splitlines() if task.log.exists() else []
        reason = lines[-1][:300] if lines else "it said nothing"
        message = "The runner did not start on the instance: %s" % reason
        return {
            "error": {
                "code": "runner_start_failed",
                "message": message,
                "hint": "Check that the instance's disk has free space.",
            }
        }
    return {"status": "running", "pid": int(said), "offset": 0}


def _detach(task: Task) -> None:
    """Redirects fds 0 to 2: a child that kept one of them would hold the SSH channel open."""
    os.chdir("/")
    os.umask(0o022)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(str(task.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for fd, target in ((0, null), (1, log), (2, log)):
        os.dup2(target, fd)
    os.close(null)
    os.close(log)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - for the process's whole life


def ask_to_stop(task: Task) -> None:
    """Asks the run to stop; it is not waited for. Raises OSError."""
    task.cancel.touch(mode=0o600)


def cancel(task: Task, noted: Callable[[], None]) -> Dict[str, Any]:
    """Asks the run to stop and waits until it has, at most `CANCEL_SECONDS`. `noted` is called in between."""
    if not task.folder.is_dir():
        return status(task)
    ask_to_stop(task)
    noted()
    deadline = time.monotonic() + CANCEL_SECONDS
    while is_locked(task.lock) and time.monotonic() < deadline:
        select.select([], [], [], 0.05)
    return status(task)


def skip(task: Task, package: str, mark: str) -> Dict[str, Any]:
    """Asks the run to skip the build of a package; it is not waited for. Raises ValueError without a package."""
    if not package:
        raise ValueError("a skip needs a package")
    if task.folder.is_dir():
        Skips(task).ask(package, mark)
    return status(task)


def answer(task: Task, question: str, word: str, mark: str) -> Dict[str, Any]:
    """Answers a question of the run; what the run does with it is not waited for. Raises ValueError, OSError."""
    if task.folder.is_dir():
        Answers(task).give(question, word, mark)
    return status(task)


def sweep(task: Task) -> Dict[str, Any]:
    """Ends the processes that a killed run left, and removes its staging folder and its file in /tmp, which would say
    `running` for ever. Refuses while the run lives."""
    lock = lock_now(task.lock)
    if lock is None:
        return {
            "error": {
                "code": "task_running",
                "message": "The run still works, so nothing was removed.",
                "hint": "Cancel it first.",
            }
        }
    ended = end_leftovers(task)
    removed = _remove_staging(task)
    remove_file(task.progress)
    for folder in (task.shared_folder, task.lent_folder):
        shutil.rmtree(str(folder), ignore_errors=True)
    os.close(lock)
    boots = set(read_groups(task.groups))  # empty where the run started no process
    rebooted = bool(boots) and processes.boot_id() not in boots
    return {"status": "swept", "ended_processes": ended, "removed": removed, "rebooted": rebooted}


def _remove_staging(task: Task) -> List[str]:
    """The staging folder's path stands in a file of the run, written before the folder is made."""
    recorded: Optional[str] = None
    try:
        recorded = (task.folder / "staging").read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return []
    path = Path(recorded)
    if path.name != staging_name(task.task_id) or not path.is_dir():
        return []
    shutil.rmtree(str(path), ignore_errors=True)
    return [recorded]
