"""One run: its phases in order, from the request to the terminal event. Called in the daemon that `start` made."""

from __future__ import annotations

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
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Mapping, Optional, Tuple

from app.protocol import progress_json
from app.protocol.audit import AUDIT_LOG
from app.protocol.events import Probed, RunEnded, RunStarted
from app.protocol.manifest import NodePack, split_source
from app.protocol.options import Options
from app.protocol.seal import Seal
from app.protocol.snapshot import Problem
from app.protocol.states import Phase, StepStatus, TaskState
from app.runner.context import Context, PackResult
from app.runner.daemon.cleanup import remove_old_runs
from app.runner.daemon.ending import Ending
from app.runner.daemon.journal import Journal
from app.runner.daemon.run_log import begin_logging
from app.runner.guard.guard import Guard
from app.runner.hints import reasons
from app.runner.machine import credentials, probe
from app.runner.machine.git import find_git
from app.runner.packs import unfinished
from app.runner.packs.already_installed import AlreadyInstalled
from app.runner.packs.clone import at_once, clone_all
from app.runner.packs.copies_question import ask_about_copies
from app.runner.packs.known_bad_folders import withhold_known_bad
from app.runner.packs.manifest_source import read_manifest
from app.runner.packs.scripts import Scripts
from app.runner.policies.known_bad import warn_of_packages
from app.runner.preconditions import lock_ui_home, wait_for_provisioning
from app.runner.process import audit
from app.runner.process.answers import Answers
from app.runner.process.children import Children
from app.runner.process.errors import RunCancelled, RunFault
from app.runner.process.family import become_subreaper
from app.runner.process.git_environ import environ_for_all, schemes_of
from app.runner.process.limits import RunLimits
from app.runner.process.paths import Task
from app.runner.process.skips import Skips
from app.runner.process.temporary_files import own_temporary_folder
from app.runner.repair.second_round import SecondRound
from app.runner.resolve.constraints_for_packs import environ_for_packs
from app.runner.resolve.lent_pip import LentPip
from app.runner.resolve.phase import Requirements, emit_planned
from app.runner.resolve.prefetch import Prefetch
from app.runner.resolve.python_and_uv import UvOnDemand, configure, ensure_uv, executor
from app.runner.resolve.system_packages import SystemPackages
from app.runner.restart.restart_only import restart_only
from app.runner.rollback import rollback
from app.runner.rollback.record import note_packages_before, note_packs
from app.runner.verify.verify import Verification
from app.runner.verify.whole_environment import check_whole
from app.runner.which_comfyui import find_comfyui

if TYPE_CHECKING:
    from app.runner.lock.lock import Locked

_log = logging.getLogger("runner")
_REAP_SECONDS = 0.5


def run(task: Task, request: Mapping[str, Any], ready: Callable[[], None], seal: Optional[Seal] = None) -> None:
    """The run, to its terminal event. `ready` is called once the journal is open; `seal`: marks what is the run's."""
    begin_logging(logging.StreamHandler(sys.stderr))
    if not become_subreaper():
        _log.info("no subreaper on this system")
    cancelled = threading.Event()
    journal_errors: List[Exception] = []

    def give_up(exc: Exception) -> None:
        """Nothing can be told any more: stop, rather than work on unseen."""
        _log.error("the journal cannot be written: %r", exc)
        journal_errors.append(exc)
        cancelled.set()

    auto_installer = "repo" in (request.get("manifest") or {})
    snapshot = progress_json.initial(task.task_id, time.time(), auto_installer=auto_installer)
    journal = Journal(task.journal, snapshot, task.progress, give_up, seal)
    children = Children(task.task_id, task.groups, cancelled)
    children.inherited_fd = os.open(str(task.inherited), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    options = Options.read(request.get("options"))
    skips = Skips(task, seal)
    skips.clear()
    Answers(task).clear()
    audit.open_log(task.folder / AUDIT_LOG, task.task_id)
    context = Context(task, request, journal, children, cancelled, skips, options, RunLimits.of(request), seal=seal)
    context.notes[task.request] = task.request.read_bytes()
    children.set_environ({**own_temporary_folder(task), **environ_for_all(schemes_of(request))})
    journal.emit(RunStarted(task.task_id, str(request.get("version", "")), os.getpid(), context.verifies))
    ending = Ending(journal, cancelled)
    _watch_for_cancel(task, ending)
    _reap_adopted(children)
    ready()
    credentials.register_all(os.environ)
    remove_old_runs(task, request)
    state, problem = _ended(context)
    if journal_errors:
        state, problem = TaskState.FAILED, _of_fault(journal_errors[0])
    ending.stop()
    audit.close_log()
    journal.emit(RunEnded(state, problem))
    journal.close()


def _of_fault(exc: Exception) -> Problem:
    if isinstance(exc, OSError):
        return reasons.of_os(exc)
    text = "Nodeferry's runner failed with an unexpected error: %s: %s" % (type(exc).__name__, exc)
    return Problem("internal_error", text, "Please report it with the log of the task.")


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
        _end_what_is_left(context)
        if not context.options.plan_only:
            context.own_all_new()
        for folder in (context.task.shared_folder, context.task.lent_folder):
            shutil.rmtree(str(folder), ignore_errors=True)
        if context.staging_made:
            shutil.rmtree(str(context.staging), ignore_errors=True)
    return TaskState.COMPLETED, None


def _end_what_is_left(context: Context) -> None:
    left = context.children.end_all()
    if left and not context.cancelled.is_set():
        context.warn(
            "left_running",
            "Programs that packs or their packages had started were still running at the end, and were ended: %s."
            % ", ".join(left),
            "Nothing that an install starts outlives it. What a pack needs while ComfyUI runs, ComfyUI has to start.",
        )


def _phases(context: Context) -> None:
    context.phase(Phase.PROBE, StepStatus.RUNNING)
    wait_for_provisioning(context)
    record = rollback.asked_for(context)
    home = find_comfyui(context, record)
    lock_ui_home(context)
    context.git_program = find_git()
    _make_folders(context)
    if not context.options.plan_only:
        unfinished.settle(context)
    with ThreadPoolExecutor(10, thread_name_prefix="probe") as pool, _stopping_with(context):
        machine = pool.submit(_emit_machine, context)
        python = pool.submit(configure, context)
        uv = UvOnDemand(lambda: pool.submit(ensure_uv, context, python))
        prefetch = Prefetch(context, pool, uv.now)
        context.on_requirements = prefetch.add
        context.on_cloned = prefetch.stop
        if record:
            rollback.roll_back(context, record, python, uv.now)
            context.phase(Phase.FINISH, StepStatus.SUCCESS)
            return
        if context.request.get("restart_of"):
            context.phase(Phase.PROBE, StepStatus.SUCCESS, home.in_words())
            withhold_known_bad(context)
            restart_only(context, python)
            context.phase(Phase.FINISH, StepStatus.SUCCESS)
            return
        guard = Guard(context, executor(context), uv.now)
        context.unchanged = guard.unchanged
        lent = LentPip(context, executor(context), uv)
        context.protections = lambda given: {**environ_for_packs(context, given), **lent.environ(given)}
        verification = Verification(context, executor(context), guard, lent)
        verification.second_round = SecondRound(context, guard, uv.now)
        verification.begin(pool, python)
        packs = AlreadyInstalled.of(context).settle(read_manifest(context))
        withhold_known_bad(context)
        context.phase(Phase.PROBE, StepStatus.SUCCESS, home.in_words())
        _install(context, packs, python, uv, verification, machine=machine, prefetch=prefetch)
    context.phase(Phase.FINISH, StepStatus.SUCCESS)


@contextmanager
def _stopping_with(context: Context) -> Iterator[None]:
    """What runs beside is stopped, not waited for, when this block fails."""
    try:
        yield
    except BaseException:
        context.cancelled.set()
        raise


def _install(
    context: Context,
    packs: List[NodePack],
    python: Future[None],
    uv: UvOnDemand,
    verification: Verification,
    *,
    machine: Future[None],
    prefetch: Prefetch,
) -> None:
    """Clones do not wait for the interpreter; packages do."""
    locked = _locked(context, python, uv, machine)
    if context.options.plan_only:
        _plan_only(context, packs, python, uv, locked, prefetch=prefetch)
        return
    if locked:
        locked.before_clones()
    ask_about_copies(context, packs)
    note_packs(context, packs)
    with rollback.noted(context, uv.result):
        results = _brought(context, packs, python, uv, verification, locked=locked, prefetch=prefetch)
        context.own_all_new()
        if locked:
            locked.before_verify(results)
        verification.verify(results)
        if locked:
            locked.after_verify(results)
        check_whole(context, executor(context), verification.guard.unmet, uv.now)
        rollback.if_it_failed(context, results)
    from app.runner.lock.emit import emit_lock  # as in `_locked`

    emit_lock(context, results, locked)


def _brought(
    context: Context,
    packs: List[NodePack],
    python: Future[None],
    uv: UvOnDemand,
    verification: Verification,
    *,
    locked: Optional[Locked],
    prefetch: Prefetch,
) -> List[PackResult]:
    """Clones, packages and scripts, each beside the others; with a lock one after the other."""
    locked_names = locked.names if locked else ()
    done: List[PackResult] = []

    def on_done(result: PackResult) -> None:
        done.append(result)
        verification.guard.knows(list(done), locked_names)
        scripts.add(result)

    before_changes = lru_cache(None)(lambda: _before_changes(context, python, verification))
    limit = at_once(probe.max_processes(), os.cpu_count())
    bring = SystemPackages.of(context).bring
    with (
        Scripts(context, packs, verification, only_at_end=locked is not None, bring=bring) as scripts,
        Requirements(context, prefetch, uv.now, before=before_changes, on_done=on_done) as requirements,
        _stopping_with(context),
    ):
        results = clone_all(context, packs, limit, meanwhile=None if locked else requirements.add)
        if locked:
            before_changes()
            locked.after_clones(results)
        requirements.finish(results)
        scripts.finish()
        verification.after_packages(results, locked_names)
    return results


def _before_changes(context: Context, python: Future[None], verification: Verification) -> None:
    """Called once, before packages may be changed."""
    python.result()
    warn_of_packages(context)
    verification.before_changes()
    context.environment_before = context.environment
    note_packages_before(context)


def _plan_only(
    context: Context,
    packs: List[NodePack],
    python: Future[None],
    uv: UvOnDemand,
    locked: Optional[Locked],
    *,
    prefetch: Prefetch,
) -> None:
    """Clones go to staging and nowhere else; the plan is told."""
    if locked:
        locked.before_clones()
    results = clone_all(context, packs, at_once(probe.max_processes(), os.cpu_count()))
    python.result()
    warn_of_packages(context)
    if locked:
        locked.plan(results)
    with Requirements(context, prefetch, uv.now) as requirements:
        requirements.finish(results)
    emit_planned(context, results)


def _locked(context: Context, python: Future[None], uv: UvOnDemand, machine: Future[None]) -> Optional[Locked]:
    """What a lock asks for is looked at before anything is cloned."""
    if split_source(context.request.get("manifest"))[0] != "lock":
        return None
    from app.runner.lock.lock import Locked, of_request  # compiled anew by each run; clones do not wait for it

    wanted = of_request(context)
    if wanted is None:
        return None
    python.result()
    machine.result()
    if wanted.packages:
        uv.begin()
    return Locked(context, wanted, uv.result(), executor(context))


def _make_folders(context: Context) -> None:
    """Staging's path is on record before it exists, so that a sweep finds it."""
    made = not context.custom_nodes.exists()
    probe.make_custom_nodes(context.custom_nodes, context.task.task_id)
    context.task.note_comfyui(context.ui_home, context.base)
    context.task.note_staging(context.staging)
    context.staging.mkdir()
    context.staging_made = True
    context.find_owner(context.staging)
    if made:
        context.own(context.custom_nodes)


def _emit_machine(context: Context) -> None:
    try:
        context.journal.emit(Probed.of_json(probe.machine(context.ui_home, executor(context))))
    except OSError as exc:
        context.warn("probe_failed", "The facts about the machine (disk, GPU) could not be read: %s" % exc)


def _watch_for_cancel(task: Task, ending: Ending) -> None:
    """A TERM, or the cancel file of a caller that could not signal. The handler only writes to a pipe: a
    handler that took
    a lock could meet it held by the thread that it interrupts."""
    cancelled = ending.cancelled
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)

    def watch() -> None:
        while not cancelled.is_set():
            signalled, _, _ = select.select([reader], [], [], 0.2)
            if signalled or task.cancel.exists():
                cancelled.set()
        ending.report()

    threading.Thread(target=watch, name="cancel", daemon=True).start()


def _reap_adopted(children: Children) -> None:
    """As long as the run lives: a pack's code may leave thousands of processes that nobody else waits for."""

    def reap() -> None:
        while True:
            select.select([], [], [], _REAP_SECONDS)
            children.family.reap()

    threading.Thread(target=reap, name="reap", daemon=True).start()
