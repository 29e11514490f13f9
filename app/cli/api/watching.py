"""Watching one task until it has ended: polls, outlives short outages of the service, tells a display."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, ConsoleRenderable
from rich.live import Live
from rich.text import Text

from app.cli.api.client import Api
from app.cli.errors import CliError, ServiceUnreachable
from app.cli.view import line_output
from app.cli.view.console import Cleaned
from app.cli.view.head import Place
from app.cli.view.live_view import LiveView
from app.cli.view.remaining import Remaining

POLL_SECONDS = 0.5
FRESH_SECONDS = 3.0
"""How long an answer is drawn while nothing new happens; then it is asked again, for its times."""
OUTAGE_SECONDS = 60.0
"""How long the service may be away before the watching ends."""
PLACE_SECONDS = 2.0
"""How long until a folder that was not known yet is asked for again."""
DRAWN_A_SECOND = 2.0
"""How often the picture is drawn anew without news: its clock goes on, and figures grow old."""
_OF_ANY_TASK = ("summary", "message_code", "phase")
"""What stays told when a workflow goes on with another task."""

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


class PlaceOfRun:
    """Where a run works, as the service says once it knows; asked again until the folder is known."""

    def __init__(self, api: Api, run_id: str) -> None:
        self._api, self._run_id = api, run_id
        self._asked_at: float | None = None
        self._place: Place | None = None

    def look(self) -> Place | None:
        """The place; None while nothing is known."""
        known = self._place is not None and self._place.folder
        now = time.monotonic()
        if not known and (self._asked_at is None or now - self._asked_at > PLACE_SECONDS):
            self._asked_at = now
            try:
                machine = self._api.run(self._run_id)["machine"]
                self._place = Place(str(machine["name"]), str(machine["ui_home"] or ""))
            except (CliError, KeyError, TypeError):  # an older service has no such route; the picture does without
                self._asked_at = float("inf")
        return self._place


class LiveDisplay:
    """The drawn picture on a terminal. It is drawn anew by itself: a service that hangs does not hold its clock."""

    def __init__(self, place: PlaceOfRun | None = None) -> None:
        self._place = place
        self._known: Place | None = None
        self._remaining = Remaining()
        self._notice = ""
        self._progress: Progress = {}
        self._answered = time.monotonic()
        self.above: Text | None = None
        self.refresh: Callable[[], None] = lambda: None

    def show(self, progress: Progress, ahead: float) -> None:
        """Draw it."""
        now = time.monotonic()
        self._known = self._place.look() if self._place else None
        self._remaining.heard(progress, now - ahead)
        self._progress, self._answered = progress, now - ahead
        self.refresh()

    def notice(self, text: str) -> None:
        """Draw it in the place of the message."""
        if text != self._notice:
            self._notice = text
            self.refresh()

    def picture(self) -> ConsoleRenderable:
        """How it looks now."""
        if not self._progress:
            return Text(self._notice)
        now = time.monotonic()
        ahead = now - self._answered
        progress = self._remaining.told(self._progress, now, ahead)
        return Cleaned(LiveView(progress, ahead, self._notice, self._known, self.above))


class LineDisplay:
    """A line each time something changes."""

    def __init__(self, write: Callable[[str], None], place: PlaceOfRun | None = None) -> None:
        self.write = write
        self._place = place
        self._before: Progress | None = None
        self._notice = ""

    def show(self, progress: Progress, ahead: float) -> None:  # noqa: ARG002  # lines have no clock that goes on
        """Write what is new."""
        if progress is self._before:
            return
        if self._before and self._before.get("task_id") != progress.get("task_id"):
            self._before = {name: self._before[name] for name in _OF_ANY_TASK if name in self._before}
        place = self._place.look() if self._place else None
        if place is not None and place.folder:
            self.write(line_output.at(progress, line_output.place_line(place)))
            self._place = None
        for line in line_output.changes(self._before, progress):
            self.write(line)
        self._before = progress

    def notice(self, text: str) -> None:
        """Write it once."""
        if text and text != self._notice:
            self.write(text)
        self._notice = text


def lines_on(console: Console, *, lines: bool = False, place: PlaceOfRun | None = None) -> LineDisplay | None:
    """A line on each change, where (or with `lines`) the progress is not drawn."""
    if not lines and console.is_terminal and not console.is_dumb_terminal:
        return None
    return LineDisplay(line_writer(console), place)


def line_writer(console: Console) -> Callable[[str], None]:
    """Writes a line as it is."""
    return lambda line: console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


@contextmanager
def display_on(
    console: Console, line_display: LineDisplay | None, drawn: LiveDisplay | None = None
) -> Iterator[LineDisplay | LiveDisplay]:
    """`line_display`, which `lines_on` made, or a drawn one (`drawn`, or a new one) that is gone at the end."""
    if line_display is not None:
        yield line_display
        return
    display = drawn or LiveDisplay()
    with Live(
        console=console, get_renderable=display.picture, refresh_per_second=DRAWN_A_SECOND, transient=True
    ) as live:
        display.refresh = live.refresh
        try:
            yield display
        finally:
            display.refresh = lambda: None
