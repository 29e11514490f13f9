"""What can be done for the packages beside the clones: resolved, and fetched into uv's cache, installed nowhere.

Kept are the cache, what lies in it, who cannot be in the first stage, and the answer for all the others. New packs are
asked for alone first: then all together are resolved by the cache, since an index that sends no cache headers would be
asked for everything again with each pack that comes.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterable, List, Optional, Sequence, Set, Tuple

from app.protocol.log_names import file_name
from app.protocol.manifest import split_source
from app.runner.context import Context, PackResult
from app.runner.process.children import Finished
from app.runner.requirements.left_out import LeftOut
from app.runner.requirements.lines import canonical
from app.runner.resolve.background_uv import BackgroundUv
from app.runner.resolve.bad_lines import leave_out_unknown
from app.runner.resolve.blame import failed_package, suspects
from app.runner.resolve.compatible_sets import NEEDS_BUILD, PrefetchResult
from app.runner.resolve.kept_versions import keep_installed
from app.runner.resolve.line_gate import LineGate
from app.runner.resolve.plan import AGREES, WANTS_CHANGE, Change, PackRequirements, Plan, changes
from app.runner.resolve.protection import read_requirements
from app.runner.resolve.split_builds import by_wheels

_log = logging.getLogger("runner")
_LOOK_SECONDS = 0.1
_QUIET_SECONDS = 0.5
"""No pack came for so long: who is there is resolved. Clones come in bursts, and each resolution takes seconds."""
_MOST_AGAIN = 4
"""How often all is asked for again without lines that nobody can have."""
_GATHER_SECONDS = 2.0
"""How long the first pack waits for others that keep coming."""


class _Fetch:
    """Wheels that are being fetched, and whether that is over."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.over = threading.Event()


class Prefetch:
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
        self._fetches: List[_Fetch] = []
        self._asked_for: Set[str] = set()
        self._present: Set[str] = set()
        self._fresh: FrozenSet[str] = frozenset()
        self._installed: Dict[str, str] = {}
        self._known: Dict[str, PackRequirements] = {}
        self._others: List[PackRequirements] = []
        self._looking: Optional[Future[None]] = None
        self._python = ""
        self._tries = 0
        self._left_out: Dict[str, List[LeftOut]] = {}
        self._builders: Set[str] = set()
        self._disagree: Set[str] = set()
        self._failed: List[Finished] = []
        self._resolved: Set[str] = set()
        """The packs whose own batch was resolved."""
        self._answer: Tuple[Dict[str, List[str]], Optional[Finished]] = ({}, None)
        """For whom, and what; one value, since others read it meanwhile."""

    def add(self, result: PackResult) -> None:
        """A pack with requirements is there."""
        with self._changed:
            self._waiting.append(result)
            self._changed.notify()
            if self._working is None:
                self._working = self._pool.submit(self._work)

    def stop(self) -> None:
        """All clones are done: waits until all that came is resolved, since the answer is needed next. uv's own limits
        are the deadline. Raises RunCancelled."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        try:
            if self._working:
                self._working.result()
        except OSError as exc:
            _log.warning("nothing was resolved beside the clones: %s", exc)

    def known(self, *, of_all: bool = False) -> PrefetchResult:
        """What was found out; `of_all`: after it was looked at what is not for the first stage. Raises RunCancelled."""
        if of_all and self._looking:
            self._looking.result()
        found = frozenset(self._builders), frozenset(self._disagree), self._fresh
        answered, answer = self._answer
        failed = tuple(self._failed)
        if self._is_lock:
            return PrefetchResult(*found, failed)
        return PrefetchResult(*found, failed, self._left_out, answered=answered, answer=answer)

    def fetched(self, pins: Sequence[str]) -> FrozenSet[str]:
        """The pinned lines whose packages lie in uv's cache, after what is being fetched of these is there: nobody
        fetches it twice. Raises RunCancelled."""
        for fetch in list(self._fetches):  # uv's own limits are the deadline
            if not set(pins).isdisjoint(fetch.plan.pins):
                fetch.over.wait()
        self._context.check_cancelled()
        return frozenset(self._present)

    def end(self) -> None:
        """Nobody waits for what is still being looked at. From any thread."""
        self._over.set()

    # -- in threads of its own ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Resolves what is there, again when there is more. Raises RunCancelled, OSError."""
        program = self._uv()
        context = self._context
        if program is None or not context.environment or context.python_problem:
            return
        folder = context.task.folder / "early"
        folder.mkdir(exist_ok=True, mode=0o700)
        self._installed = dict(context.packages)
        self._python = context.environment.version
        background = BackgroundUv(context, program, folder, self._installed, over=self._over)
        while came := self._next(folder):
            self._resolve_batch(background, came)
            others, self._others = self._others, []
            if others:
                self._looking = self._pool.submit(self._look_at, background, others, after=self._looking)

    def _resolve_batch(self, background: BackgroundUv, came: Sequence[str]) -> None:
        """The packs of one batch, and then all that were resolved, together. One batch after the other: two uv at once
        take the machine from each other, and from the clones. Raises RunCancelled, OSError."""
        plan = self._ask(background, came)
        if plan is not None:
            self._resolved.update(item.name for item in plan.items)
        names = [name for name in self._known if name in self._resolved]
        if plan is None or len(names) > len(plan.items):
            plan = self._ask(background, names, offline=True) or self._ask(background, names)
        if plan is not None:
            self._fetch(background, plan)

    def _ask(self, background: BackgroundUv, names: Iterable[str], *, offline: bool = False) -> Optional[Plan]:
        """uv's plan for those of these packs that are still in; who does not fit is out, and it is asked again. None
        where there is none: it is told when the real plan meets it."""
        while items := [self._known[name] for name in names if name in self._known]:
            began = time.monotonic()
            finished = background.resolve(items, offline=offline)
            said = "good" if finished.ok else "no"
            _log.info("%d packs beside the clones: %s, %.1f s", len(items), said, time.monotonic() - began)
            if finished.ok:
                return self._noted(items, finished)
            if offline or not self._sort_out(items, finished):
                return None
        return None

    def _noted(self, items: List[PackRequirements], finished: Finished) -> Plan:
        plan = Plan(AGREES, items, changes(finished.output, self._installed))
        self._is_fresh(plan)
        self._answer = {item.name: item.lines for item in items}, finished
        return plan

    def _is_fresh(self, plan: Plan) -> None:
        """uv has asked for all that it looked at: its cache is true of it."""
        named = {name for item in plan.items for name in item.names}
        with self._changed:
            self._fresh |= named | {canonical(change.package) for change in plan.changes}

    def _sort_out(self, items: Sequence[PackRequirements], finished: Finished) -> bool:
        """Who cannot be in the first stage is out of it; whether there is anybody."""
        if self._tries < _MOST_AGAIN and leave_out_unknown(items, finished, self._python):
            self._tries += 1
            self._left_out.update({item.name: list(item.left_out.found) for item in items})
            return True
        accused = [] if finished.stopped else suspects(items, finished.output)
        if failed_package(finished.output):
            self._failed.append(finished)
        for item in accused:
            del self._known[item.name]
            (self._builders if failed_package(finished.output) else self._disagree).add(item.name)
        return bool(accused)

    def _look_at(
        self, background: BackgroundUv, others: Sequence[PackRequirements], after: Optional[Future[None]]
    ) -> None:
        """What packs want that cannot be in the first stage is in uv's cache when their turn comes. Raises
        RunCancelled."""
        if after is not None:
            after.result()
        try:
            for item in others:
                finished = background.resolve_changing(item)
                if finished.ok:
                    self._is_fresh(Plan(WANTS_CHANGE, [item], changes(finished.output, self._installed)))
        except OSError as exc:  # a full disk: whoever resolves next meets it too, and tells
            _log.warning("nothing was looked at beside the clones: %s", exc)

    def _fetch(self, background: BackgroundUv, plan: Plan) -> None:
        """The wheels that are missing. Nothing is built yet: uv locks what it builds, and the next packs' resolution
        would wait for that, and the first stage with it."""
        if not self._may_fetch:
            return
        plan.details = background.details(plan, len(self._fetches))
        fetches = []
        for part in by_wheels(plan) or (plan, None):
            wheels = self._missing_wheels(part) if part else []
            if part and wheels:
                fetches.append(_Fetch(replace(part, changes=wheels)))
        self._fetches += fetches
        self._asked_for.update(pin for fetch in fetches for pin in fetch.plan.pins)
        if fetches:
            self._pool.submit(self._bring, background, fetches)

    def _missing_wheels(self, plan: Plan) -> List[Change]:
        built = (plan.details.built if plan.details else None) or frozenset()
        return [
            change
            for change in plan.changes
            if change.new is not None
            and change.pinned not in self._asked_for
            and canonical(change.package) not in built
            and not change.source
        ]

    def _bring(self, background: BackgroundUv, fetches: Sequence[_Fetch]) -> None:
        """One after the other: what is installed first is there first."""
        try:
            for fetch in fetches:
                with background.fetched(fetch.plan) as good:
                    self._present.update(fetch.plan.pins if good else ())
                    fetch.over.set()
        finally:
            for fetch in fetches:
                fetch.over.set()

    @property
    def _may_fetch(self) -> bool:
        """A plan alone fetches nothing."""
        return not self._context.options.plan_only and not self._is_lock

    @property
    def _is_lock(self) -> bool:
        """A lock brings versions of its own: what packs want without it is not the answer."""
        return split_source(self._context.request.get("manifest"))[0] == "lock"

    def _next(self, folder: Path) -> List[str]:
        """Waits for more packs, and for those that come right after them, and takes them in: their names, of those that
        may be in the first stage. Empty when no more will come."""
        while True:
            with self._changed:
                self._gather()
                came, self._waiting = self._waiting, []
            taken = [result.pack.name for result in came if self._add(folder, result)]
            if taken or not came:
                return taken

    def _gather(self) -> None:
        """Until packs are there and no others came for a moment, or the first one has waited long enough."""
        number, first, last = 0, 0.0, 0.0
        while not self._stopped:
            now = time.monotonic()
            if len(self._waiting) > number:
                first = first if number else now
                number, last = len(self._waiting), now
            if number and (now - last >= _QUIET_SECONDS or now - first >= _GATHER_SECONDS):
                return
            self._changed.wait(_LOOK_SECONDS)
            self._context.check_cancelled()

    def _add(self, folder: Path, result: PackResult) -> bool:
        """Whether it may be in the first stage."""
        if result.requirements is None:
            return False
        try:
            read = read_requirements(result.requirements, result.folder, self._context.packages, python=self._python)
            keep_installed(self._context, result, read)
        except OSError:
            return False  # it is told when its turn comes
        item = PackRequirements(result, folder / ("%s.txt" % file_name(result.pack.name)), read.lines)
        from_elsewhere = any(NEEDS_BUILD.search(line) for line in item.lines)
        if not read.lines or read.problem or from_elsewhere or read.options.are_any:
            return False
        if not LineGate(self._context).may_be_looked_up(item):
            return False
        item.write()
        agrees = not item.mismatches(self._installed)
        if agrees:
            self._known[item.name] = item
        else:
            self._others.append(item)
        return agrees
