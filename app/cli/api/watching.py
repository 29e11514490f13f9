"""Watching one task until it has ended: polls, outlives short outages of the service, tells a display."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from app.cli.api.client import Api
from app.cli.errors import ServiceUnreachable
from app.cli.view import line_output
from app.cli.view.console import Cleaned
from app.cli.view.live_view import LiveView

POLL_SECONDS = 0.5
FRESH_SECONDS = 3.0
"""How long an answer is drawn while nothing new happens; then it is asked again, for its times."""
OUTAGE_SECONDS = 60.0
"""How long the service may be away before the watching ends."""

Progress = Mapping[str, Any]


class Display(Protocol):
    """Where the progress goes."""

    def show(self, progress: Progress, ahead: float) -> None:
        """The newest progress; `ahead`: seconds since it was answered."""

    def notice(self, text: str) -> None:
        """Something besides; empty when it is over."""


def watch(
    api: Api,
    task_id: str,
    display: Display,
    *,
    enough: Callable[[Progress], bool] = lambda _progress: False,
    interval: float = POLL_SECONDS,
    outage: float = OUTAGE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """The last progress of the task, after it has ended or is `enough`. Raises ServiceUnreachable when the
    service is away for `outage` seconds, CliError for a task that is not known. Ctrl-C passes through at once."""
    progress: Progress = {}
    answered = heard = clock()
    pause = threading.Event()
    while not progress or (progress.get("in_progress") and not enough(progress)):
        try:
            stale = clock() - answered > FRESH_SECONDS
            answer = api.progress(task_id, None if stale else progress.get("revision"))
            heard = clock()
            display.notice("")
        except ServiceUnreachable as exc:
            if clock() - heard > outage:
                raise
            display.notice(f"{exc.message} Trying again.")
            pause.wait(interval)
            continue
        if not answer.get("unchanged"):
            progress, answered = answer, heard
        display.show(progress, clock() - answered)
        if progress.get("in_progress") and not enough(progress):
            pause.wait(interval)
    return progress


class LiveDisplay:
    """The drawn picture on a terminal."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._notice = ""
        self._view = LiveView({})

    def show(self, progress: Progress, ahead: float) -> None:
        """Draw it."""
        self._view = LiveView(progress, ahead, self._notice)
        self._live.update(Cleaned(self._view), refresh=True)

    def notice(self, text: str) -> None:
        """Draw it in the place of the message."""
        if text != self._notice:
            self._notice = text
            self._view = LiveView(self._view.progress, self._view.ahead, text)
            self._live.update(Cleaned(self._view), refresh=True)


class LineDisplay:
    """A line each time something changes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._before: Progress | None = None
        self._notice = ""

    def show(self, progress: Progress, ahead: float) -> None:  # noqa: ARG002  # lines have no clock that goes on
        """Write what is new."""
        if progress is not self._before:
            for line in line_output.changes(self._before, progress):
                self._write(line)
            self._before = progress

    def notice(self, text: str) -> None:
        """Write it once."""
        if text and text != self._notice:
            self._write(text)
        self._notice = text


def lines_on(console: Console, *, lines: bool = False) -> LineDisplay | None:
    """A line on each change, where (or with `lines`) the progress is not drawn."""
    if not lines and console.is_terminal and not console.is_dumb_terminal:
        return None
    return LineDisplay(lambda line: console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True))


@contextmanager
def display_on(console: Console, line_display: LineDisplay | None) -> Iterator[Display]:
    """`line_display`, which `lines_on` made, or a drawn one that is gone at the end."""
    if line_display is not None:
        yield line_display
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveDisplay(live)
