"""Ending a command in order: the first SIGINT, SIGTERM or SIGHUP becomes an exception, then nothing disturbs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside, the first of these signals raises KeyboardInterrupt (SIGINT) or SystemExit with 128 + its number; those
    that follow are ignored, so that what is being cleared away is cleared away. Main thread only."""
    before = {number: signal.signal(number, _end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """From here on nothing interrupts. `ended_by_signals` puts things back at its end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    ignore_signals()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
