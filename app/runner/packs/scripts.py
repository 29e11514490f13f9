"""Scripts phase: each pack's install.py, in the pack's folder, with nobody there to answer it.

A script runs as soon as its pack has its packages, beside the clones, resolutions and builds of the others, but never
while packages are being changed. Of those that could run the manifest's first one does; the script of a pack inside
another one's folder comes after that one's.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Collection, Dict, List, Optional, Protocol, Sequence, Set

from app.protocol.events import ScriptChanged
from app.protocol.manifest import NodePack, parent_of
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.context import Context, PackResult
from app.runner.hints import reasons
from app.runner.machine.safe_directories import repositories_in
from app.runner.packs.left_running import warn_of_left
from app.runner.packs.new_folders import folders_in, warn_of
from app.runner.packs.script_environ import environ_for_scripts
from app.runner.policies.prestartup import Prestartups
from app.runner.policies.script_gate import ScriptGate

_LOOK_SECONDS = 0.5


class Watch(Protocol):
    """Looks at the environment before and after each script. Raises RunCancelled."""

    def before_script(self, result: PackResult) -> None:
        """A pack's is about to run."""

    def after_script(self, result: PackResult, problem: Optional[Problem]) -> None:
        """A pack's has ended; `problem`: why it did not end well."""


class Scripts:
    """The scripts of one run, in a thread of its own."""

    def __init__(
        self,
        context: Context,
        packs: Sequence[NodePack],
        watch: Watch,
        *,
        only_at_end: bool = False,
        bring: Callable[[str], Collection[str]] = lambda _output: (),
    ) -> None:
        """`packs`: the manifest's; `only_at_end`: none runs before all packs have what they require, as with a lock,
        which brings all packages first. `bring`: installs what the output of one that failed says is missing on the
        system, and gives what came: then it runs once more."""
        self._context = context
        self._watch = watch
        self._gate = ScriptGate(context)
        self._only_at_end = only_at_end or self._gate.asks
        self._bring = bring
        context.folders_of_packs = {pack.folder.partition("/")[0] for pack in packs}
        self._order = {pack.name: number for number, pack in enumerate(packs)}
        parents = {pack.name: parent_of(pack, packs) for pack in packs}
        self._parents = {name: parent.name for name, parent in parents.items() if parent}
        self._changed = threading.Condition()
        self._ready: List[PackResult] = []
        self._seen: Set[str] = set()
        self._ended: Set[str] = set()
        self._all_came = False
        self._over = False
        self._began = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scripts")
        self._working: Optional[Future[None]] = None

    def __enter__(self) -> Scripts:
        return self

    def __exit__(self, *exc: object) -> None:
        """None begins any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._pool.shutdown()

    def add(self, result: PackResult) -> None:
        """A pack that needs no more packages, or is not there. From any thread."""
        with self._changed:
            self._seen.add(result.pack.name)
            if result.is_cloned and result.script:
                self._ready.append(result)
                if self._working is None and not self._only_at_end:
                    self._working = self._pool.submit(self._work)
            else:
                self._ended.add(result.pack.name)
            self._changed.notify_all()

    def finish(self) -> None:
        """All packs came: waits for their scripts. Raises RunCancelled, and what the thread raised."""
        with self._changed:
            self._all_came = True
            if self._working is None and self._ready:
                self._working = self._pool.submit(self._work)
            self._changed.notify_all()
        if self._working is None:
            self._context.phase(Phase.SCRIPTS, StepStatus.SKIPPED, "no pack has an install script")
            return
        self._working.result()
        self._context.phase(Phase.SCRIPTS, StepStatus.SUCCESS)

    # -- in its thread -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._gate.ask(list(self._ready))
        while result := self._next():
            self._run_one(result, first=not self._began)
            self._began = True
            with self._changed:
                self._ended.add(result.pack.name)

    def _next(self) -> Optional[PackResult]:
        """Waits for one that may run; None at the end. Raises RunCancelled."""
        with self._changed:
            while not self._over:
                able = [result for result in self._ready if self._may_run(result)]
                if able:
                    chosen = min(able, key=lambda result: self._order.get(result.pack.name, 0))
                    self._ready.remove(chosen)
                    return chosen
                if self._all_came and not self._ready:
                    return None
                self._changed.wait(_LOOK_SECONDS)
                self._context.check_cancelled()
        return None

    def _may_run(self, result: PackResult) -> bool:
        parent = self._parents.get(result.pack.name)
        return parent is None or parent in self._ended or (self._all_came and parent not in self._seen)

    def _run_one(self, result: PackResult, *, first: bool) -> None:
        name, context = result.pack.name, self._context
        problem = self._gate.problem(result)
        if problem is not None:
            result.problem = result.problem or problem
            context.journal.emit(ScriptChanged(name, StepStatus.SKIPPED, problem))
            context.settle(result)
            return
        problem = context.python_problem
        with context.environment_lock.for_script():
            if first:
                context.phase(Phase.SCRIPTS, StepStatus.RUNNING)
            context.node(name, NodeState.INSTALLING, result.problem)
            context.journal.emit(ScriptChanged(name, StepStatus.RUNNING))
            if problem is None:
                self._watch.before_script(result)
                problem = _run(context, result, self._bring)
                self._watch.after_script(result, problem)
        result.problem = result.problem or problem
        status = StepStatus.FAILED if problem else StepStatus.SUCCESS
        context.journal.emit(ScriptChanged(name, status, problem))
        context.settle(result)


def _run(context: Context, result: PackResult, bring: Callable[[str], Collection[str]]) -> Optional[Problem]:
    log = context.task.node_log(result.pack.name)
    argv = [context.executable, "install.py"]
    try:
        environ = environ_for_scripts(context, context.protections({}))
        environ.update(context.safe_for_git(repositories_in(result.folder)))
        before = folders_in(context)
        how: Dict[str, Any] = {"cwd": result.folder, "environ": environ, "limits": context.limits.scripts, "log": log}
        finished = context.children.run(argv, **how)
        if not finished.ok and finished.stopped is None and bring(finished.output):
            finished = context.children.run(argv, **how)
    except OSError as exc:
        return reasons.of_os(exc)
    warn_of_left(context, result.pack.name, finished)
    context.own_new(result.folder)
    new = folders_in(context) - before - context.folders_of_packs
    warn_of(context, new, result.pack.name)
    Prestartups.of(context).put_aside_in(new, result.pack.name)
    return None if finished.ok else reasons.of_script(finished, result.folder / "install.py")
