"""What the benches' command lines have in common: what they print, and how they end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import NoReturn


def say(text: str) -> None:
    """One line or several, at once: whoever waits for it may be a program."""
    print(text, flush=True)


def run(main: Callable[[], int]) -> NoReturn:
    """Calls `main` and ends this process with its exit status. SIGTERM ends it as Ctrl-C does: what was started and
    mounted is taken down, and what was measured stays."""
    signal.signal(signal.SIGTERM, _cut)
    raise SystemExit(main())


def _cut(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
