"""Watching a fleet until it has ended: a line for all of it, and each machine that needs somebody when it begins to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live

from app.cli.api.client import Api
from app.cli.api.interactive_watch import WatchingEnded, wants_stop
from app.cli.api.watching import OUTAGE_SECONDS
from app.cli.errors import CliError, ServiceUnreachable
from app.cli.view.console import Cleaned
from app.cli.view.fleet import fleet_sentence, head_line, machine_line
from app.cli.view.result import show_text
from app.words import word

POLL_SECONDS = 1.0
LINE_SECONDS = 10.0
"""How often a line is printed where nothing can be drawn."""
_NAMED = 20
"""Machines that are named while it goes on; the others at the end."""
_PAGE = 200


def follow_fleet(api: Api, fleet_id: str, console: Console, *, lines: bool = False) -> Mapping[str, Any]:
    """The last progress of a fleet, after it has ended. Ctrl-C asks what to stop. Raises WatchingEnded."""
    watch = _Watch(api, fleet_id, console)
    while True:
        try:
            with _display(console, watch, lines=lines or not console.is_terminal):
                return watch.to_end()
        except KeyboardInterrupt:
            if not wants_stop(console, "cli.ask_fleet_stop"):
                raise WatchingEnded from None
        try:
            api.cancel_fleet(fleet_id)
        except CliError as exc:
            if exc.code != "task_not_cancellable":  # all have ended meanwhile
                raise
        console.print("Cancelling the installs on their machines.")


def all_instances(api: Api, fleet_id: str, **filters: str) -> list[Mapping[str, Any]]:
    """Every instance of a fleet, page by page."""
    found: list[Mapping[str, Any]] = []
    offset: int | None = 0
    while offset is not None:
        page = api.fleet(fleet_id, limit=_PAGE, offset=offset, **filters)
        found += page["instances"]
        offset = page["page"]["next_offset"]
    return found


class _Watch:
    """What is known of the fleet, and where it is shown."""

    def __init__(self, api: Api, fleet_id: str, console: Console) -> None:
        self._api, self._fleet_id, self._console = api, fleet_id, console
        self._named: set[str] = set()
        self._said = ("", float("-inf"))
        self._began = time.monotonic()
        self.progress: Mapping[str, Any] = {}
        self.live: Live | None = None

    def to_end(self) -> Mapping[str, Any]:
        """The last progress. Raises ServiceUnreachable when the service is away for long."""
        pause = threading.Event()
        heard = time.monotonic()
        while True:
            try:
                answer = self._api.fleet(
                    self._fleet_id, since=self.progress.get("revision"), needing="true", limit=_PAGE
                )
                heard = time.monotonic()
            except ServiceUnreachable:
                if time.monotonic() - heard > OUTAGE_SECONDS:
                    raise
                answer = {"unchanged": True}
            if not answer.get("unchanged"):
                self.progress = answer
            self._show()
            if self.progress and not self.progress["in_progress"]:
                return self.progress
            pause.wait(POLL_SECONDS)

    def picture(self) -> Cleaned:
        """The line for all of it, as it is now."""
        seconds = int(time.monotonic() - self._began)
        clock = f"{seconds // 60}:{seconds % 60:02}"
        return Cleaned(head_line(self.progress, self._console.width, clock))

    def _show(self) -> None:
        for each in self.progress.get("instances") or ():
            key = f"{each['task_id']} {each['summary']['kind']}"
            if key not in self._named:
                self._named.add(key)
                self._name(each)
        sentence, at = self._said
        now = fleet_sentence(self.progress)
        if self.live is None and now != sentence and (time.monotonic() - at >= LINE_SECONDS):
            self._said = (now, time.monotonic())
            show_text(self._console, now)

    def _name(self, instance: Mapping[str, Any]) -> None:
        if len(self._named) <= _NAMED:
            show_text(self._console, machine_line(instance), style="yellow")
        elif len(self._named) == _NAMED + 1:
            show_text(self._console, word("cli.fleet_more_later"), style="yellow")


@contextmanager
def _display(console: Console, watch: _Watch, *, lines: bool) -> Iterator[None]:
    """The line is drawn below what is printed; as lines nothing is drawn."""
    if lines:
        yield
        return
    with Live(get_renderable=watch.picture, console=console, refresh_per_second=2, transient=True) as live:
        watch.live = live
        try:
            yield
        finally:
            watch.live = None
