"""Carrying a plan out: exactly its packages, with the live count that users see."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import AbstractSet, Callable, Dict, List, Optional, Sequence, Tuple

from app.protocol.events import PackagesProgress
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.environment import transaction
from app.runner.environment.transaction import Transaction
from app.runner.process.children import Finished
from app.runner.resolve import stuck
from app.runner.resolve.background_uv import fetched, options_of
from app.runner.resolve.plan import LONG_BUILD, Plan, own_of, write_lines
from app.runner.resolve.uv import Uv, is_for_want_of_network

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Applied:
    """How it went. `stuck`: the installed package that cannot be replaced, and why, where that is what went wrong."""

    finished: Finished
    stuck: Optional[Tuple[str, Problem]] = None


class Applier:
    """Installs plans one after another, each of them whole or not at all, and counts on from one to the next."""

    def __init__(self, context: Context, uv: Uv, fetched: Callable[[Sequence[str]], AbstractSet[str]]) -> None:
        """`fetched`: waits for what is being fetched already of these pinned lines; gives those that lie in uv's cache.
        Raises RunCancelled."""
        self._context = context
        self._uv = uv
        self._fetched = fetched
        self._counter = Counter(context)
        self._number = 0

    def waiting(self, count: int) -> None:
        """So many packages are still to come, behind builds."""
        self._counter.waiting(count)

    def apply(self, plan: Plan, log: Path) -> Applied:
        """Installs a plan's packages. uv fetches and builds all before it changes anything; where it fails after that,
        is killed or cancelled, all is put back as it was. Raises RunCancelled."""
        self._number += 1
        file = self._context.task.folder / ("plan-%d.txt" % self._number)
        pins = plan.pins
        if not pins:
            return Applied(Finished(0, b""))
        environment = self._context.environment
        assert environment is not None  # without one there is no plan
        names = [each.package for each in plan.changes]
        for package, version in transaction.listed_nowhere(environment, names).items():
            return Applied(Finished(1, b""), (package, stuck.without_list(package, version, plan)))
        write_lines(file, [*options_of(plan.items), *plan.hashed(pins)])
        self._counter.expect(len(pins))
        applied: Optional[Applied] = None
        is_cached = self._is_cached(plan, log)
        with self._context.environment_lock.for_packages():
            if is_cached:
                applied = self._change(plan, names, file, log, offline=True)
            if applied is None or is_for_want_of_network(applied.finished):
                applied = self._change(plan, names, file, log, offline=False)
        self._counter.ended(len(pins), ok=applied.finished.ok)
        return applied

    def _change(self, plan: Plan, names: List[str], file: Path, log: Path, *, offline: bool) -> Applied:
        """One try, whole or not at all. `offline`: by uv's cache alone."""
        assert self._context.environment is not None  # as above
        try:
            change = transaction.begin(self._context.environment, names, self._context.task.task_id)
        except OSError as exc:
            return Applied(nothing_kept(exc))
        try:
            builds = plan.stage == LONG_BUILD
            uv = self._uv.with_sources(own_of(plan.items))
            gone = [change.package for change in plan.changes if change.new is None]
            finished = uv.uninstall(gone, log) if gone else Finished(0, b"")
            if finished.ok:  # what goes owns files of what comes: it goes first
                finished = uv.install(file, log, self._counter, builds=builds, offline=offline)
        except BaseException:
            self._roll_back(change)
            raise
        tell_unreadable(self._context, uv)
        if finished.ok:
            change.commit()
            return Applied(finished)
        named = stuck.of_output(finished.output, change, plan)
        self._roll_back(change)
        return Applied(finished, named)

    def _roll_back(self, change: Transaction) -> None:
        """What cannot be put back now may be later: a full disk has room again."""
        if change.roll_back():
            self._context.unfinished.append(change)

    def _is_cached(self, plan: Plan, log: Path) -> bool:
        """Whether all lies in uv's cache, after the rest was brought there where a part does: nothing is asked for
        twice. Nor does a script wait for the network."""
        known = self._fetched(plan.pins)
        missing = [pin for pin in plan.pins if pin not in known]
        some_are_there = len(missing) < len(plan.pins) or plan.stage == LONG_BUILD
        if not missing or not (some_are_there or self._context.environment_lock.is_contended):
            return not missing
        return self._bring(plan, missing, log)

    def _bring(self, plan: Plan, pins: List[str], log: Path) -> bool:
        place = self._context.task.folder / ("brought-%d" % self._number)
        lines = [*options_of(plan.items), *plan.hashed(pins)]
        with fetched(
            self._uv.with_sources(own_of(plan.items)),
            place,
            lines,
            log,
            builds=plan.stage == LONG_BUILD,
            on_line=self._counter.fetched,
        ) as good:
            return good


def nothing_kept(exc: OSError) -> Finished:
    """In the words that uv has for such errors, so that one place finds the reason."""
    text = "error: what would be replaced could not be kept before: %s (os error %d)" % (exc.strerror, exc.errno or 0)
    return Finished(1, text.encode("utf-8", "replace"))


def tell_unreadable(context: Context, uv: Uv) -> None:
    """Tells once that uv does not install beside one of the environment's packages, and what was done about it."""
    if uv.unreadable is not None and not uv.told_unreadable:
        uv.told_unreadable = True
        text = "uv cannot read the package %s, and installs nothing beside it. Nodeferry put packages in place itself."
        hint = "Nothing has to be done: that package was left as it is. Remove or reinstall it, if you use uv yourself."
        context.warn("unreadable_package", text % os.path.basename(uv.unreadable), hint)


class Counter:
    """Packages done of total, from uv's own `+ name==version` lines, and bytes where it tells them."""

    _ADDED = re.compile(r"^ [+~] \S+")
    _SIZE = re.compile(r"^\s*Downloading (\S+) \(([0-9.]+) ?([KMG]iB|B)\)")
    _FETCHED = re.compile(r"^\s*Downloaded (\S+)")

    def __init__(self, context: Context) -> None:
        self._journal = context.journal
        self._done = self._total = self._before = self._waiting = 0
        self._sizes: Dict[str, int] = {}
        self._fetched: List[str] = []

    def expect(self, count: int) -> None:
        """So many more are to come."""
        self._before = self._done
        self._total += count
        self._emit()

    def waiting(self, count: int) -> None:
        """So many more are known to come later."""
        if count != self._waiting:
            self._waiting = count
            self._emit()

    def ended(self, count: int, *, ok: bool) -> None:
        """They came; or all is as it was, and they are expected no more."""
        self._done = self._before + count if ok else self._before
        self._total -= 0 if ok else count
        self._emit()

    def fetched(self, line: str) -> None:
        """One line that uv printed while it only fetched."""
        if not self._ADDED.match(line):
            self(line)

    def __call__(self, line: str) -> None:
        """One line that uv printed."""
        size, fetched = self._SIZE.match(line), self._FETCHED.match(line)
        if self._ADDED.match(line) and self._done < self._total:
            self._done += 1
        elif size:
            self._sizes[size.group(1)] = int(float(size.group(2)) * _UNITS[size.group(3)])
        elif fetched:
            self._fetched.append(fetched.group(1))
        else:
            return
        self._emit()

    def _emit(self) -> None:
        total: Optional[int] = sum(self._sizes.values()) if self._sizes else None
        done = sum(self._sizes.get(name, 0) for name in self._fetched) if self._sizes else None
        self._journal.emit(PackagesProgress(self._done, self._total + self._waiting, done, total))
