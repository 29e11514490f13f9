"""Builds that the user wants skipped, on their way from a request to the instance.

The install's thread records each in the snapshot and sends it over its own connection. One that a lost connection or a
restart of the service keeps from arriving is sent over the next.
"""

from __future__ import annotations

import threading
from functools import partial

from app.protocol.builds import live
from app.protocol.events import SkipRequested
from app.protocol.seal import SKIP
from app.remote.runner_client import RunnerClient
from app.sync.installs.recorder import Recorder
from app.sync.installs.user_commands import CommandStream
from app.sync.installs.wakers import Wakers


class SkipRequests:
    """The packages that requests have named since the install's thread last looked. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.wakers = Wakers()
        """Told of each that comes."""
        self._packages: dict[str, None] = {}

    def add(self, package: str) -> None:
        """One more; one that is already here changes nothing."""
        with self._lock:
            self._packages[package] = None
        self.wakers.notify()

    def drain(self) -> list[str]:
        """What has come, in its order; nothing is left."""
        with self._lock:
            packages, self._packages = self._packages, {}
        return list(packages)


def send_skips(recorder: Recorder, requests: SkipRequests, stream: CommandStream, client: RunnerClient | None) -> None:
    """Records what requests have named and, on a connection, sends what the runner has not noted yet. For the install's
    thread; does not wait. Raises ConnectionLost, LeaseLost."""
    for package in requests.drain():
        if package in live(recorder.snapshot):
            recorder.emit(SkipRequested(package))
    if client is None:
        return
    known = recorder.snapshot.builds
    for package in live(recorder.snapshot):
        if known[package].skip_requested:
            mark = recorder.seal.word(SKIP, package) if recorder.seal else ""
            stream.send(("skip", package), partial(client.request_skip, recorder.task_id, package, mark))
