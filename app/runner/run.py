"""One run: its phases in order, from the request to the terminal event. Called in the daemon that `start` made."""

from __future__ import annotations

import glob
import logging
import os
import select
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from app.protocol import wire
from app.protocol.events import Kind
from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.protocol.states import Phase, StepStatus, TaskState
from app.runner import interpreter, probe, reasons
from app.runner.children import Children, Limits
from app.runner.clone import at_once, clone_all
from app.runner.context import Context
from app.runner.faults import RunCancelled, RunFault
from app.runner.git import find_git
from app.runner.journal import Journal
from app.runner.locks import try_lock
from app.runner.manifest_source import read_manifest
from app.runner.packages import install_requirements
from app.runner.places import Task, ui_home_lock
from app.runner.scripts import run_scripts
from app.runner.tuning import Tuning
from app.runner.uv import ensure_uv
from app.runner.verify import verify

_BUSY_SECONDS = 3600.0
_PROVISIONING_SECONDS = 1800.0
_log = logging.getLogger("runner")


def run(task: Task, request: Mapping[str, Any], ready: Callable[[], None]) -> None:
    """The run, to its terminal event. `ready` is called once the journal is open."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    _become_subreaper()
    cancelled = threading.Event()
    faults: List[Exception] = []

    def give_up(exc: Exception) -> None:
        """Nothing can be told any more: stop, rather than work on unseen."""
        _log.error("the journal cannot be written: %r", exc)
        faults.append(exc)
        cancelled.set()

    journal = Journal(task.journal, _first_snapshot(task, request), task.progress, give_up)
    journal.tell(Kind.RUN_STARTED, task_id=task.task_id, version=str(request.get("version", "")), pid=os.getpid())
    _watch_for_cancel(task, cancelled)
    ready()
    children = Children(task.task_id, task.groups, cancelled)
    context = Context(task, request, journal, children, cancelled, Tuning.of(request))
    state, problem = _ended(context)
    if faults:
        state, problem = TaskState.FAILED, _of_fault(faults[0])
    journal.tell(Kind.RUN_ENDED, state=state.value, error=problem.to_json() if problem else None)
    journal.close()


def _of_fault(exc: Exception) -> Problem:
    if isinstance(exc, OSError):
        return reasons.of_os(exc)
    text = "The runner met an error of its own: %s: %s" % (type(exc).__name__, exc)
    return Problem("internal_error", text, "Please report it, with run.log of the task.")


def _first_snapshot(task: Task, request: Mapping[str, Any]) -> Any:
    return wire.initial(task.task_id, time.time(), auto_installer="repo" in (request.get("manifest") or {}))


def _ended(context: Context) -> Tuple[TaskState, Optional[Problem]]:
    """Runs the phases; how the run ended."""
    try:
        _phases(context)
    except RunCancelled:
        return TaskState.CANCELLED, None
    except RunFault as fault:
        return TaskState.FAILED, fault.problem
    except Exception as exc:  # noqa: BLE001 - the runner's main: whatever it is, the run gets its terminal event
        _log.exception("the run failed")
        return TaskState.FAILED, _of_fault(exc)
    finally:
        context.children.end_all()
        if context.staging_made:
            shutil.rmtree(str(context.staging), ignore_errors=True)
    return TaskState.COMPLETED, None


def _phases(context: Context) -> None:
    context.phase(Phase.PROBE, StepStatus.RUNNING)
    _wait_for_provisioning(context)
    context.ui_home = probe.find_ui_home(context.request.get("ui_home"))
    _take_ui_home(context)
    context.git_program = find_git()
    _make_folders(context)
    with ThreadPoolExecutor(3, thread_name_prefix="probe") as pool, _stopping_with(context):
        pool.submit(_tell_machine, context)
        python = pool.submit(_configure, context)
        uv = _UvOnDemand(lambda: pool.submit(_ensure_uv, context, python))
        context.on_requirements = uv.begin
        packs = read_manifest(context)
        context.phase(Phase.PROBE, StepStatus.SUCCESS)
        _install(context, packs, python, uv)
    context.phase(Phase.FINISH, StepStatus.SUCCESS)


@contextmanager
def _stopping_with(context: Context) -> Iterator[None]:
    """What runs beside is stopped, not waited for, when this block fails."""
    try:
        yield
    except BaseException:
        context.cancelled.set()
        raise


def _install(context: Context, packs: List[NodePack], python: Future[None], uv: _UvOnDemand) -> None:
    """Clones do not wait for the interpreter; packages do."""
    results = clone_all(context, packs, at_once(probe.max_processes(), os.cpu_count()))
    python.result()
    install_requirements(context, results, uv.result())
    run_scripts(context, results)
    verify(context, _executor(context))


class _UvOnDemand:
    """uv, looked for as soon as the first pack turns out to have requirements: fetching one can take long."""

    def __init__(self, submit: Callable[[], Future[Optional[str]]]) -> None:
        self._submit = submit
        self._lock = threading.Lock()
        self._future: Optional[Future[Optional[str]]] = None

    def begin(self) -> None:
        """Starts the search, once. From any thread."""
        with self._lock:
            if self._future is None:
                self._future = self._submit()

    def result(self) -> Optional[str]:
        """The path of uv; None when there is none, or when nothing needed it."""
        return self._future.result() if self._future else None


def _take_ui_home(context: Context) -> None:
    """Waits for the ComfyUI's lock; every child inherits it, so a killed run's leftovers keep it too."""
    path = ui_home_lock(context.ui_home)
    deadline = time.monotonic() + _BUSY_SECONDS
    told = False
    while True:
        context.check_cancelled()
        context.children.inherited_fd = try_lock(path)
        if context.children.inherited_fd is not None:
            return
        if time.monotonic() > deadline:
            raise RunFault(
                "ui_home_busy",
                "Another install has worked in this ComfyUI for too long.",
                "Cancel it, then start again.",
            )
        if not told:
            text = "Waits for another install in %s" % context.ui_home
            context.journal.tell(Kind.WAITING, code="waiting_for_ui_home", message=text)
            told = True
        context.pause(0.2)


def _wait_for_provisioning(context: Context) -> None:
    """vast.ai images install themselves at their first boot; a half copied tree is no ComfyUI."""
    deadline = time.monotonic() + _PROVISIONING_SECONDS
    told = False
    while True:
        busy = [path for path in ["/.provisioning", *glob.glob("/workspace/.sync_*.lock")] if os.path.exists(path)]
        if not busy:
            return
        if time.monotonic() > deadline:
            raise RunFault(
                "still_provisioning",
                "The image is still setting itself up (%s)." % busy[0],
                "Look at the instance's log.",
            )
        if not told:
            text = "The image is still setting itself up (%s)" % busy[0]
            context.journal.tell(Kind.WAITING, code="provisioning", message=text)
            told = True
        context.pause(1.0)


def _make_folders(context: Context) -> None:
    """Staging's path is on record before it exists, so that a sweep finds it."""
    made = not context.custom_nodes.exists()
    probe.make_custom_nodes(context.ui_home, context.task.task_id)
    if made:
        context.own(context.custom_nodes)
    (context.task.folder / "staging").write_text(str(context.staging), "utf-8", "surrogateescape")
    context.staging.mkdir()
    context.staging_made = True


def _tell_machine(context: Context) -> None:
    try:
        context.journal.tell(Kind.PROBED, **probe.machine(context.ui_home, _executor(context)))
    except OSError as exc:
        context.warn("probe_failed", "The machine could not be looked at: %s" % exc)


def _configure(context: Context) -> None:
    """Finds the interpreter. That there is none is the packs' problem, not the run's: clones need none."""
    started = time.monotonic()
    context.step(wire.CONFIGURE_VENV, StepStatus.RUNNING)
    try:
        proof = interpreter.find_interpreter(context.ui_home, context.request.get("venv_path"), _executor(context))
    except RunFault as fault:
        context.python_problem = fault.problem
        context.step(
            wire.CONFIGURE_VENV, StepStatus.FAILED, fault.problem.message, round(time.monotonic() - started, 1)
        )
        return
    context.python = proof
    if proof["externally_managed"]:
        hint = "Make a virtual environment for ComfyUI and name it as venv_path."
        context.python_problem = Problem(
            "externally_managed", "%s belongs to the system (PEP 668)." % proof["executable"], hint
        )
    if not proof["torch"]:
        context.warn("no_torch", "The interpreter cannot import torch: %s" % proof["torch_error"], "Check venv_path.")
    _tell_interpreter(context, proof, started)


def _tell_interpreter(context: Context, proof: Dict[str, Any], started: float) -> None:
    text = interpreter.describe(proof)
    context.step(wire.CONFIGURE_VENV, StepStatus.SUCCESS, text, round(time.monotonic() - started, 1))
    shown = {"interpreter": proof["executable"], "python": proof["version"], "torch": proof["torch"]}
    context.journal.tell(Kind.PROBED, ui_home=str(context.ui_home), **shown)


def _ensure_uv(context: Context, python: Future[None]) -> Optional[str]:
    python.result()
    try:
        return ensure_uv(context.children, context.python.get("executable"), context.pause)
    except OSError as exc:
        _log.warning("no uv: %s", exc)
        return None


def _executor(context: Context) -> interpreter.Execute:
    """Runs the interpreter's proof as a child of the run, so that a cancel ends it too."""

    def execute(argv: List[str], seconds: float) -> str:
        limits = Limits(idle=seconds, total=seconds)
        finished = context.children.run(argv, cwd=Path("/"), limits=limits, keep_bytes=1 << 22)
        if finished.stopped:
            raise interpreter.too_long(seconds)
        return finished.output

    return execute


def _watch_for_cancel(task: Task, cancelled: threading.Event) -> None:
    """A TERM, or the cancel file of a caller that could not signal. The handler only writes to a pipe: a
    handler that took
    a lock could meet it held by the thread that it interrupts."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)

    def watch() -> None:
        while not cancelled.is_set():
            signalled, _, _ = select.select([reader], [], [], 0.2)
            if signalled or task.cancel.exists():
                cancelled.set()

    threading.Thread(target=watch, name="cancel", daemon=True).start()


def _become_subreaper() -> None:
    """Orphans of children become ours: they are found by their parent as well as by their mark. See prctl(2)."""
    try:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        _log.info("no subreaper on this system")
