"""Who is to be woken when something is wanted of an install."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol


class Wakers:
    """The callables that wake whoever waits. Any thread."""

    def __init__(self) -> None:
        self._all: list[Callable[[], None]] = []

    @contextmanager
    def telling(self, wake: Callable[[], None]) -> Iterator[None]:
        """For the block, `notify` calls `wake`, from any thread."""
        self._all.append(wake)
        try:
            yield
        finally:
            self._all.remove(wake)

    def notify(self) -> None:
        """There is something new."""
        for wake in tuple(self._all):
            wake()


class _Requests(Protocol):
    @property
    def wakers(self) -> Wakers: ...


@contextmanager
def woken_by(*requests: _Requests, wake: Callable[[], None]) -> Iterator[None]:
    """For the block, whatever is new in `requests` calls `wake`."""
    with ExitStack() as told:
        for each in requests:
            told.enter_context(each.wakers.telling(wake))
        yield
