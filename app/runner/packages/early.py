"""What can be done for the packages beside the clones: resolved, fetched and built into uv's cache, installed nowhere.

The plans themselves are made when all requirements are known. Kept are the cache, and who cannot be in the first lane.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Set

from app.protocol.log_names import file_name
from app.protocol.manifest import split_source
from app.runner.context import Context, PackResult
from app.runner.daemon.children import Finished
from app.runner.packages.beside import Beside
from app.runner.packages.blame import suspects
from app.runner.packages.lanes import Known, needs_build
from app.runner.packages.plan import Wanted, changes
from app.runner.packages.requirement_files import canonical, read_requirements

_log = logging.getLogger("runner")
_LOOK_SECONDS = 0.2


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
        self._fetches: List[threading.Event] = []
        self._building: Optional[Future[None]] = None
        self._fetched: Set[str] = set()
        self._installed: Dict[str, str] = {}
        self._known: Dict[str, Wanted] = {}
        self._builders: Dict[str, Wanted] = {}
        self._disagree: Set[str] = set()

    def add(self, result: PackResult) -> None:
        """A pack with requirements is there."""
        with self._changed:
            self._waiting.append(result)
            self._changed.notify()
            if self._working is None:
                self._working = self._pool.submit(self._work)

    def stop(self) -> None:
        """All clones are done: waits for the resolution that runs: its answers are needed next. Raises RunCancelled."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        try:
            if self._working:
                self._working.result()
        except OSError as exc:
            _log.warning("nothing was resolved beside the clones: %s", exc)

    @property
    def known(self) -> Known:
        """Who cannot be in the first lane, as far as it was found out."""
        return Known(frozenset(self._builders), frozenset(self._disagree))

    def wait_for_wheels(self) -> None:
        """Until what is being fetched is there: nobody fetches it twice. Builds are not waited for. Raises
        RunCancelled."""
        for there in self._fetches:  # uv's own limits are the deadline
            there.wait()
        self._context.check_cancelled()

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
        beside = Beside(context, program, folder, self._installed, self._over)
        changed = False
        while changed or self._next(folder):
            items = list(self._known.values())
            finished = beside.resolve(items, builds=False) if items else None
            changed = finished is not None and not finished.ok and self._sort_out(items, finished)
            if finished is not None and finished.ok:
                self._fetch(beside, items, finished)
            if not changed:
                self._build(beside)
            changed = changed and not self._stopped

    def _sort_out(self, items: Sequence[Wanted], finished: Finished) -> bool:
        """Who cannot be in the first lane is out of it; whether there is anybody. If not it is told when the real plan
        meets it."""
        accused = suspects(items, finished.output)
        for item in accused:
            del self._known[item.name]
            if needs_build(finished):
                self._builders[item.name] = item
            else:
                self._disagree.add(item.name)
        return bool(accused)

    def _fetch(self, beside: Beside, items: Sequence[Wanted], finished: Finished) -> None:
        fresh = [pin for pin in self._pins(finished) if pin not in self._fetched]
        if fresh and self._may_fetch:
            self._fetched.update(fresh)
            there = threading.Event()
            self._fetches.append(there)
            self._pool.submit(self._bring, beside, fresh, items, there)

    @staticmethod
    def _bring(beside: Beside, pins: Sequence[str], items: Sequence[Wanted], there: threading.Event) -> None:
        try:
            with beside.fetched(pins, items, builds=False):
                there.set()
        finally:
            there.set()

    def _build(self, beside: Beside) -> None:
        """What has no wheel, beside what goes with the others; one after another, since builds take all of a
        machine."""
        items = [*self._known.values(), *self._builders.values()]

        def build() -> None:
            finished = beside.resolve(items, builds=True)
            if finished.ok:
                with beside.fetched(self._pins(finished), items, builds=True):
                    pass

        if self._builders and self._may_fetch and (self._building is None or self._building.done()):
            self._building = self._pool.submit(build)

    def _pins(self, finished: Finished) -> List[str]:
        return [change.pinned for change in changes(finished.output, self._installed) if change.new is not None]

    @property
    def _may_fetch(self) -> bool:
        """A plan alone fetches nothing; a lock brings versions of its own."""
        return not self._context.plan_only and split_source(self._context.request.get("manifest"))[0] != "lock"

    def _next(self, folder: Path) -> bool:
        """Waits for more packs, and takes them in; False when no more will come."""
        with self._changed:
            while not self._waiting and not self._stopped:
                self._changed.wait(_LOOK_SECONDS)
                self._context.check_cancelled()
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
        if read.lines and not read.problem and not item.mismatches(self._installed):
            item.write()
            self._known[item.name] = item
