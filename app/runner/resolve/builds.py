"""What has to be built: each package by itself, beside everything else, at the lowest priority.

uv builds into its cache, from where the package is installed later, when all that its pack needs is there. What failed
once is not built again in this run.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

from app.protocol.events import BuildChanged
from app.protocol.log_names import file_name
from app.protocol.snapshot import Problem
from app.protocol.states import BuildState
from app.runner.context import Context
from app.runner.hints import build_reasons
from app.runner.machine.memory import free_memory
from app.runner.process.children import Finished, Limits
from app.runner.process.errors import RunCancelled
from app.runner.requirements.lines import canonical
from app.runner.resolve import blame
from app.runner.resolve.build_output import build_detail
from app.runner.resolve.own_sources import OwnSources
from app.runner.resolve.plan import Change, write_lines
from app.runner.resolve.uv import Uv

_log = logging.getLogger("runner")
_MOST_AT_ONCE = 4
_MEMORY = 2 << 30
"""Bytes that have to be free before another build begins beside one: a compiler of templates takes one or two GiB."""
_LOOK_SECONDS = 0.5
_DETAIL_SECONDS = 1.0


@dataclass(frozen=True)
class Built:
    """How a build ended; `problem`: why there is no wheel."""

    finished: Finished
    problem: Optional[Problem] = None


class Build:
    """One package that is being built. Written by `Builds`, under its lock."""

    def __init__(self, change: Change, own: Optional[OwnSources], packs: Sequence[str]) -> None:
        """`own`: where the pack says itself where its packages are."""
        self.package = canonical(change.package)
        self.version = "" if change.source else change.new or ""
        self.own = own
        self.lines = [*(own.lines if own else []), change.pinned]
        self.packs: Tuple[str, ...] = tuple(sorted(packs))
        self.over = threading.Event()
        """Ends what runs: it is not wanted any more."""
        self.began: Optional[float] = None
        self.detail = ""
        self.ended: Optional[Built] = None


class Builds:
    """The builds of one run. `want` from one thread; the rest from any."""

    def __init__(self, context: Context, uv: Uv, on_end: Callable[[], None]) -> None:
        """`on_end` is called after each build, in its thread."""
        self._context = context
        self._uv = uv.low_priority()
        self._on_end = on_end
        self._lock = threading.RLock()
        self._builds: Dict[str, Build] = {}
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="build")
        self._work_done: List[Future[None]] = []
        self._running = 0
        self._at_once = max(1, min(_MOST_AT_ONCE, os.cpu_count() or 1))

    def want(self, change: Change, own: Optional[OwnSources], packs: Sequence[str]) -> Build:
        """The build of one package for these packs; it is begun when there is room."""
        with self._lock:
            build = self._builds.get(change.pinned)
            if build is None:
                build = self._builds[change.pinned] = Build(change, own, packs)
                self._emit(build, BuildState.WAITING)
                self._begin_some()
            elif not set(packs) <= set(build.packs):
                build.packs = tuple(sorted({*build.packs, *packs}))
                if build.ended is None:
                    self._emit(build, BuildState.RUNNING if build.began is not None else BuildState.WAITING)
            return build

    def ended(self, pinned: str) -> Optional[Built]:
        """How the build of a pinned line ended; None while it goes on, and where none was wanted. Raises what a build's
        thread raised."""
        with self._lock:
            for future in self._work_done:
                if future.done():
                    future.result()
            build = self._builds.get(pinned)
            return build.ended if build else None

    @property
    def at_work(self) -> FrozenSet[str]:
        """The packages (canonical names) whose builds have not ended. uv locks what it builds: a resolution that needs
        one of them would wait for its build."""
        with self._lock:
            return frozenset(build.package for build in self._builds.values() if build.ended is None)

    def keep_only(self, pinned: Sequence[str]) -> None:
        """Nobody wants the others any more: those that are not begun never are, and those that run are ended."""
        with self._lock:
            for line, build in list(self._builds.items()):
                if line not in pinned and build.ended is None:
                    build.over.set()
                    if build.began is None:
                        self._forget(build)

    def end(self) -> None:
        """Ends what runs, and waits for it."""
        with self._lock:
            for build in self._builds.values():
                build.over.set()
        self._pool.shutdown()  # each ends its child at once

    # -- in threads of their own -------------------------------------------------------------------------------------

    def _begin_some(self) -> None:
        for build in list(self._builds.values()):
            is_waiting = build.began is None and build.ended is None and not build.over.is_set()
            if is_waiting and self._has_room():
                build.began = time.monotonic()
                self._running += 1
                self._emit(build, BuildState.RUNNING)
                self._work_done.append(self._pool.submit(self._work, build))

    def _has_room(self) -> bool:
        if self._running == 0:
            return True
        free = free_memory()
        return self._running < self._at_once and (free is None or free >= _MEMORY)

    def _work(self, build: Build) -> None:
        try:
            self._build(build)
        finally:
            with self._lock:
                self._running -= 1
                self._begin_some()
            self._on_end()

    def _build(self, build: Build) -> None:
        """Twice where somebody else ended uv (the kernel, for want of memory)."""
        watch = threading.Thread(target=self._watch, args=[build], name="skip", daemon=True)
        watch.start()
        try:
            finished = self._run(build)
            if finished.code < 0 and finished.stopped is None:
                finished = self._run(build)
        except RunCancelled:
            if self._context.cancelled.is_set():
                return
            if not self._context.skips.asked(build.package):
                self._forget(build)
                return
            self._end(build, Built(Finished(1, b""), build_reasons.of_skip(build.package)), BuildState.SKIPPED)
            return
        finally:
            build.over.set()
            watch.join()
        problem = None if finished.ok else _problem(build, finished, self._context.limits.packages)
        self._end(build, Built(finished, problem), BuildState.DONE if finished.ok else BuildState.FAILED)

    def _forget(self, build: Build) -> None:
        """Nobody wants it any more; who wants it later gets another one."""
        with self._lock:
            self._end(build, Built(Finished(1, b"")), BuildState.SKIPPED, "no pack needs it any more")
            self._builds = {line: each for line, each in self._builds.items() if each is not build}

    def _watch(self, build: Build) -> None:
        """Until the build is over, or is to be skipped."""
        while not build.over.wait(_LOOK_SECONDS):
            if self._context.skips.asked(build.package):
                build.over.set()

    def _run(self, build: Build) -> Finished:
        """uv builds only by installing somewhere: links to its cache go into a folder that is thrown away."""
        folder = self._context.task.folder / "builds"
        place = folder / file_name("%s-%s" % (build.package, build.version or "source"))
        file = place.with_name(place.name + ".txt")
        log = self._context.task.node_log(build.packs[0]) if len(build.packs) == 1 else folder.parent / "packages.log"
        last = 0.0

        def on_line(line: str) -> None:
            nonlocal last
            detail = build_detail(line)
            if detail and detail != build.detail:
                build.detail = detail
                if time.monotonic() - last >= _DETAIL_SECONDS:
                    last = time.monotonic()
                    self._emit(build, BuildState.RUNNING)

        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            write_lines(file, build.lines)
            uv = self._uv.with_sources(build.own).ended_by(build.over)
            return uv.install(file, log, on_line, target=place)
        except OSError as exc:
            _log.warning("%s was not built: %s", build.package, exc)
            return Finished(1, ("error: %s (os error %d)" % (exc.strerror or exc, exc.errno or 0)).encode())
        finally:
            shutil.rmtree(str(place), ignore_errors=True)

    def _end(self, build: Build, built: Built, state: BuildState, detail: str = "") -> None:
        with self._lock:
            build.ended = built
            build.detail = detail or (built.problem.message if built.problem else "")
            self._emit(build, state)

    def _emit(self, build: Build, state: BuildState) -> None:
        seconds = None
        if build.ended is not None and build.began is not None:
            seconds = round(time.monotonic() - build.began, 1)
        self._context.journal.emit(
            BuildChanged(build.package, build.version, state, build.packs, build.detail, seconds)
        )


def _problem(build: Build, finished: Finished, limits: Limits) -> Problem:
    """Why it could not be built."""
    problem = build_reasons.of_build(build.package, finished, limits)
    return problem if finished.stopped else blame.of_package(build.package, finished)
