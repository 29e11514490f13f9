"""Companions of torch that other packages ask for, and of which no version fits the torch that is kept: what asks for
them comes without, which is told.
"""

from __future__ import annotations

import threading
from typing import FrozenSet, List, Optional, Sequence, Set

from app.runner.context import Context
from app.runner.environment.torch_companions import BUILT_BY_HAND, absent
from app.runner.process.children import Finished
from app.runner.requirements.lines import canonical
from app.runner.resolve import blame
from app.runner.resolve.plan import Change


class LeftOut:
    """One run's. From any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._absent = absent(context.packages)
        self._torch = context.packages.get("torch", "")
        self._lock = threading.Lock()
        self._names: Set[str] = set()

    @property
    def overrides(self) -> List[str]:
        """What keeps them out of every resolution from now on."""
        return ["%s ; sys_platform == 'never'" % name for name in sorted(self._names)]

    def unwanted(self, planned: Sequence[Change], finished: Optional[Finished] = None) -> FrozenSet[str]:
        """The companions that a plan brings and should not, or that a failed resolution says are in the way."""
        brought = {canonical(change.package) for change in planned if change.new is not None}
        out = brought & BUILT_BY_HAND & self._absent
        if finished is not None and not finished.ok and finished.stopped is None:
            failed = blame.failed_package(finished.output)
            out |= ({failed} if failed else blame.named(finished.output)) & self._absent
        return frozenset(out - self._names)

    def add(self, names: FrozenSet[str]) -> None:
        """Without these there is an answer."""
        with self._lock:
            fresh = sorted(names - self._names)
            self._names.update(fresh)
        if fresh:
            text = "%s: a package asks for it, and it was not installed, because no ready-made version fits torch %s."
            hint = "If a pack needs it, install a build for your torch yourself."
            self._context.warn("protected_package_left_out", text % (", ".join(fresh), self._torch), hint)
