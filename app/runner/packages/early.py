"""What can be done for the packages beside the clones: resolved, fetched and built into uv's cache, installed nowhere.

The plans themselves are made when all requirements are known. Kept are the cache, what lies in it, and who cannot be in
the first lane.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Optional, Sequence, Set

from app.protocol.log_names import file_name
from app.protocol.manifest import split_source
from app.runner.context import Context, PackResult
from app.runner.daemon.children import Finished
from app.runner.daemon.faults import RunCancelled
from app.runner.packages.beside import Beside
from app.runner.packages.blame import failed_package, suspects
from app.runner.packages.lanes import NEEDS_BUILD, Known
from app.runner.packages.plan import AGREES, Plan, Wanted, changes
from app.runner.packages.requirement_files import canonical, read_requirements

_log = logging.getLogger("runner")
_LOOK_SECONDS = 0.1
_GATHER_SECONDS = 0.5
"""How long the first pack waits for others: clones come in bursts, and each resolution takes seconds."""


class EarlyResolution:
    """`add` from the clones' threads, `stop` when they are done, `end` when all is installed; what is between runs in
    threads of its own."""

    def __init__(self, context: Context, pool: ThreadPoolExecutor, uv: Callable[[], Optional[str]]) -> None:
        """`uv`: waits for its path; called in a thread of its own."""
        self._context = context
        self._pool = pool
        self._uv = uv
        self._working: Optional[Future[None]] = None
        self._changed = threading.Condition()
        self._waiting: List[PackResult] = []
        self._stopped = False
        self._over = threading.Event()
        self._superseded = threading.Event()
        self._fetches: List[threading.Event] = []
        self._asked_for: Set[str] = set()
        self._there: Set[str] = set()
        self._fresh: Set[str] = set()
        self._installed: Dict[str, str] = {}
        self._known: Dict[str, Wanted] = {}
        self._builders: Set[str] = set()
        self._disagree: Set[str] = set()

    def add(self, result: PackResult) -> None:
        """A pack with requirements is there."""
        with self._changed:
            self._waiting.append(result)
            self._changed.notify()
            if self._working is None:
                self._working = self._pool.submit(self._work)

    def stop(self) -> None:
        """All clones are done: waits for the resolution that runs, since its answers are needed next, unless most packs
        are not in it. Raises RunCancelled."""
        with self._changed:
            self._stopped = True
            if len(self._waiting) > len(self._known):
                self._superseded.set()
            self._changed.notify()
        try:
            if self._working:
                self._working.result()
        except OSError as exc:
            _log.warning("nothing was resolved beside the clones: %s", exc)

    @property
    def known(self) -> Known:
        """What was found out."""
        return Known(frozenset(self._builders), frozenset(self._disagree), frozenset(self._fresh))

    def fetched(self) -> FrozenSet[str]:
        """The pinned lines whose packages lie in uv's cache, after what is being fetched is there: nobody fetches it
        twice. Builds are not waited for. Raises RunCancelled."""
        for there in self._fetches:  # uv's own limits are the deadline
            there.wait()
        self._context.check_cancelled()
        return frozenset(self._there)

    def end(self) -> None:
        """Nobody waits for what is still being built. From any thread."""
        self._over.set()

    # -- in threads of its own ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Resolves what is there, again when there is more. Raises RunCancelled, OSError."""
        program = self._uv()
        context = self._context
        if program is None or not context.python or context.python_problem:
            return
        folder = context.task.folder / "early"
        folder.mkdir(exist_ok=True, mode=0o700)
        self._installed = {canonical(name): version for name, version in context.packages.items()}
        beside = Beside(context, program, folder, self._installed, over=self._over, superseded=self._superseded)
        again = False
        while again or self._next(folder):
            items = list(self._known.values())
            finished = self._resolve(beside, items) if items else None
            again = finished is not None and not finished.ok and self._sort_out(items, finished) and not self._stopped
            if finished is not None and finished.ok:
                self._answered(beside, Plan(AGREES, items, changes(finished.output, self._installed)))

    def _resolve(self, beside: Beside, items: Sequence[Wanted]) -> Optional[Finished]:
        """uv's answer; None when it is not waited for any more."""
        try:
            return beside.resolve(items)
        except RunCancelled:
            self._context.check_cancelled()
            return None

    def _sort_out(self, items: Sequence[Wanted], finished: Finished) -> bool:
        """Who cannot be in the first lane is out of it; whether there is anybody. If not it is told when the real plan
        meets it."""
        accused = [] if finished.stopped else suspects(items, finished.output)
        for item in accused:
            del self._known[item.name]
            (self._builders if failed_package(finished.output) else self._disagree).add(item.name)
        return bool(accused)

    def _answered(self, beside: Beside, plan: Plan) -> None:
        """All that uv looked at is fresh in its cache; what is missing is fetched, and built when that is done."""
        self._fresh.update(name for item in plan.items for name in item.names)
        self._fresh.update(canonical(change.package) for change in plan.changes)
        if not self._may_fetch:
            return
        built = beside.built(plan) or frozenset()
        fresh = [change for change in plan.changes if change.new is not None and change.pinned not in self._asked_for]
        self._asked_for.update(change.pinned for change in fresh)
        builds = [change.pinned for change in fresh if canonical(change.package) in built or change.source]
        there = threading.Event()
        self._fetches.append(there)
        wheels = [change.pinned for change in fresh if change.pinned not in builds]
        self._pool.submit(self._bring, beside, wheels, plan.items, there, builds=False)
        self._pool.submit(self._bring, beside, builds, plan.items, threading.Event(), builds=True)

    def _bring(
        self, beside: Beside, pins: Sequence[str], items: Sequence[Wanted], there: threading.Event, *, builds: bool
    ) -> None:
        try:
            if pins:
                with beside.fetched(pins, items, builds=builds) as good:
                    self._there.update(pins if good else ())
                    there.set()
        finally:
            there.set()

    @property
    def _may_fetch(self) -> bool:
        """A plan alone fetches nothing; a lock brings versions of its own."""
        return not self._context.plan_only and split_source(self._context.request.get("manifest"))[0] != "lock"

    def _next(self, folder: Path) -> bool:
        """Waits for more packs, and for those that come right after them, and takes them in; False when no more will
        come."""
        with self._changed:
            begun: Optional[float] = None
            while not self._stopped and (begun is None or time.monotonic() - begun < _GATHER_SECONDS):
                self._changed.wait(_LOOK_SECONDS)
                self._context.check_cancelled()
                begun = begun or (time.monotonic() if self._waiting else None)
            if self._stopped:
                return False
            fresh, self._waiting = self._waiting, []
        for result in fresh:
            self._take(folder, result)
        return True

    def _take(self, folder: Path, result: PackResult) -> None:
        if result.requirements is None:
            return
        try:
            read = read_requirements(result.requirements, result.folder, self._context.packages)
        except OSError:
            return  # it is told when its turn comes
        item = Wanted(result, folder / ("%s.txt" % file_name(result.pack.name)), read.lines)
        from_elsewhere = any(NEEDS_BUILD.search(line) for line in item.lines)
        if read.lines and not read.problem and not from_elsewhere and not item.mismatches(self._installed):
            item.write()
            self._known[item.name] = item
