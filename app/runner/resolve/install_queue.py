"""Carrying plans out in a thread of its own, one after another, while later ones are made."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Callable, List, Optional, Tuple, Type

from app.runner.resolve.installer import Applied
from app.runner.resolve.plan import Plan

Failed = Tuple[Plan, Applied]
"""A plan that could not be carried out, and how that went."""


class InstallQueue:
    """Takes plans in the order in which they are to be carried out. Once one fails the later ones, which were made on
    its success, are not begun. At the end of the block nothing of it runs any more."""

    def __init__(self, carry_out: Callable[[Plan], Applied]) -> None:
        self._carry_out = carry_out
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="install")
        self._taken: List[Future[None]] = []
        self._good = True
        self._failed: Optional[Failed] = None

    def __enter__(self) -> InstallQueue:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for future in self._taken:
            future.cancel()
        self._pool.shutdown()

    def add(self, plan: Plan) -> None:
        """One more plan."""
        self._taken.append(self._pool.submit(self._next, plan))

    @property
    def busy(self) -> bool:
        """Whether something is still to be carried out."""
        return not all(future.done() for future in self._taken)

    @property
    def is_good(self) -> bool:
        """Whether nothing has failed, and nothing is being carried out."""
        return self._good

    def wait(self) -> Optional[Failed]:
        """Until all that was taken is done; what failed, if anything. Raises what carrying out raised."""
        for future in self._taken:
            future.result()
        return self._failed

    def _next(self, plan: Plan) -> None:
        if not self._good:
            return
        self._good = False
        applied = self._carry_out(plan)
        self._good = applied.finished.ok
        if not self._good:
            self._failed = plan, applied
