"""Resolving beside the clones: when the last pack is there, the resolver's cache knows what most of them need.

Nothing of it is kept but the cache: the plan itself is made when all requirements are known.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, Optional

from app.runner.context import Context, PackResult
from app.runner.daemon.places import file_name
from app.runner.packages.blame import suspects
from app.runner.packages.plan import Wanted, write_lines
from app.runner.packages.requirement_files import canonical, constraints, never, read_requirements
from app.runner.packages.resolver import frozen
from app.runner.packages.uv import Uv

_log = logging.getLogger("runner")
_LOOK_SECONDS = 0.2


class EarlyResolution:
    """`add` from the clones' threads, `stop` when they are done; what is between runs in a thread of its own."""

    def __init__(self, context: Context, pool: ThreadPoolExecutor, uv: Callable[[], Optional[str]]) -> None:
        """`uv`: waits for its path; called in the thread of its own."""
        self._context = context
        self._pool = pool
        self._uv = uv
        self._working: Optional[Future[None]] = None
        self._changed = threading.Condition()
        self._waiting: List[PackResult] = []
        self._stopped = False
        self._installed: Dict[str, str] = {}

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

    def _work(self) -> None:
        """Resolves what is there, again when there is more. Raises RunCancelled, OSError."""
        program = self._uv()
        context = self._context
        if program is None or not context.python or context.python_problem:
            return
        folder = context.task.folder / "early"
        folder.mkdir(exist_ok=True, mode=0o700)
        resolver = Uv(context.children, program, context.python, folder, context.tuning.packages)
        held = self._held(folder)
        known: Dict[str, Wanted] = {}
        while self._next(folder, known):
            items = list(known.values())
            finished = resolver.plan(
                [item.file for item in items],
                folder / "early.log",
                constraints=held[:1],
                overrides=held[1:],
                builds=False,
            )
            accused = [] if finished.ok else suspects(items, finished.output)
            if not finished.ok and not accused:
                return  # it is told when the real plan meets it
            for item in accused:
                del known[item.name]

    def _held(self, folder: Path) -> List[Path]:
        context = self._context
        self._installed = {canonical(name): version for name, version in context.packages.items()}
        pins, overrides = folder / "constraints.txt", folder / "overrides.txt"
        write_lines(pins, [*constraints(context.packages, context.ui_home), *frozen(self._installed)])
        write_lines(overrides, never(context.packages) if context.python["system_site"] else [])
        return [pins, overrides]

    def _next(self, folder: Path, known: Dict[str, Wanted]) -> bool:
        """Waits for more packs, and takes them in; False when no more will come."""
        with self._changed:
            while not self._waiting and not self._stopped:
                self._changed.wait(_LOOK_SECONDS)
                self._context.check_cancelled()
            if self._stopped:
                return False
            fresh, self._waiting = self._waiting, []
        for result in fresh:
            self._take(folder, result, known)
        return True

    def _take(self, folder: Path, result: PackResult, known: Dict[str, Wanted]) -> None:
        if result.requirements is None:
            return
        try:
            read = read_requirements(result.requirements, result.folder, self._context.packages)
        except OSError:
            return  # it is told when its turn comes
        item = Wanted(result, folder / ("%s.txt" % file_name(result.pack.name)), read.lines)
        if read.lines and not read.problem and not item.mismatches(self._installed):
            item.write()
            known[item.name] = item
