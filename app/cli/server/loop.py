"""The loop that waits for all connections. Waitress' own asks each of them in each round what it waits for; a thousand
that are idle then cost more than the requests of the others.
"""

from __future__ import annotations

import select
from typing import Any, Protocol

from waitress import wasyncore

_READ = select.POLLIN | select.POLLPRI


class Server(Protocol):
    """Whose connections these are."""

    changed: set[Any]
    """Those that may wait for something else than in the round before."""

    def attend(self) -> None:
        """What is to be done between two rounds."""


class Loop:
    """Calls connections when something happens. `channels`: all of them by their file, and what else waitress waits
    for; they are changed by whoever opens and closes one."""

    def __init__(self, server: Server, channels: dict[int, Any]) -> None:
        self._server = server
        self._channels = channels
        self._poll = select.poll()
        self._waits_for: dict[int, int] = {}
        server.changed.update(channels.values())

    def round(self, seconds: float) -> None:
        """Waits until something happens, at most so long, and lets it be dealt with."""
        changed = self._server.changed
        for channel in list(changed):
            # in this order: threads only ever make a busy one idle, so that one that is idle here stays as it is
            if not getattr(channel, "is_served", False):
                changed.discard(channel)
            self._register(channel)
        for file, events in self._poll.poll(int(seconds * 1000)):
            channel = self._channels.get(file)
            if channel is None:  # closed
                self._wait_for(file, 0)
                continue
            changed.add(channel)
            wasyncore.readwrite(channel, events)
        self._server.attend()

    def _register(self, channel: Any) -> None:
        file: int | None = channel._fileno  # noqa: SLF001 - waitress names it so, and only so
        if file not in self._channels or self._channels[file] is not channel:  # closed
            return
        wanted = _READ if channel.readable() else 0
        if channel.writable() and not channel.accepting:
            wanted |= select.POLLOUT
        self._wait_for(file, wanted)

    def _wait_for(self, file: int, wanted: int) -> None:
        if wanted == self._waits_for.get(file, 0):
            return
        if wanted:
            self._poll.register(file, wanted)
            self._waits_for[file] = wanted
        else:
            self._poll.unregister(file)
            del self._waits_for[file]
