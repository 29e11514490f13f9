"""Writes the journal: one thread numbers the events, appends them, and keeps the progress file in /tmp up to date.

Any thread may `emit`; only this module's thread writes. Each event is a line with the run's seal, where it has one.
A reserve file holds a little room: on a full disk it is given up, so that the end can still be written.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from pathlib import Path
from typing import Callable, Optional, Tuple, TypeVar, Union

from app.protocol import progress_json
from app.protocol.event_body import Body
from app.protocol.events import Event, RunEnded, Warned, encode
from app.protocol.json_fields import ProtocolFault
from app.protocol.reducer import reduce
from app.protocol.seal import Seal
from app.protocol.snapshot import Snapshot
from app.protocol.states import TERMINAL_TASK_STATES, StepStatus
from app.runner.daemon import run_log
from app.runner.daemon.journal_file import JournalFile
from app.runner.daemon.masked_events import without_secrets
from app.runner.daemon.run_files import replace_file
from app.runner.process.private_files import is_ours, private

_SNAPSHOT_SECONDS = 0.5
_RESERVE_BYTES = 256 * 1024
_WRITTEN_SECONDS = 60.0
CHANGED_HINT = (
    "Nothing that it added is believed. Packs have no reason to do that: look at what ran, and do not trust this "
    "machine any more."
)
_log = logging.getLogger("runner")
_T = TypeVar("_T")
_Item = Optional[Union[Tuple[Body, float, float], threading.Event]]


class Journal:
    """The journal of one run.

    The writing thread calls `on_fault` when an event could not be written: once after it has given up the reserve, and
    again if that did not help either."""

    def __init__(
        self,
        path: Path,
        snapshot: Snapshot,
        progress_file: Path,
        on_fault: Callable[[Exception], None],
        seal: Optional[Seal] = None,
    ) -> None:
        self._reserve = path.with_name("reserve")
        # The reserve is filled before the journal is made: a start that fails here may be tried again.
        with open(str(self._reserve), "wb", opener=private) as file:
            file.write(os.urandom(_RESERVE_BYTES))  # zeros might be stored as a hole, or compressed
        self._file = JournalFile(path)
        self._seal = seal
        self._told_of_change = False
        self._snapshot = snapshot
        self._progress_file = progress_file
        # where it goes when somebody else has taken that place
        self._kept_progress = path.with_name("progress.json")
        self._on_fault = on_fault
        self._seq = 0
        self._written_at = float("-inf")
        self._dirty = False
        self._queue: queue.Queue[_Item] = queue.Queue()
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot after all that was emitted so far. From any thread but the writing one: it waits for that one,
        up to a minute, since what a run decides must not depend on how fast the disk is."""
        written, deadline = threading.Event(), time.monotonic() + _WRITTEN_SECONDS
        self._queue.put(written)
        while self._thread.is_alive() and time.monotonic() < deadline and not written.wait(0.1):
            pass
        return self._snapshot

    def emit(self, body: Body) -> None:
        """Something happened just now. From any thread."""
        self._queue.put((body, round(time.time(), 3), round(time.monotonic(), 3)))

    def close(self, timeout: float = 10.0) -> None:
        """Writes the waiting events and the last progress file."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _write_all(self) -> None:
        try:
            while self._write_next():
                pass
            self._save_snapshot()
        except (OSError, ProtocolFault) as exc:
            self._on_fault(exc)
        finally:
            self._file.close()
            self._reserve.unlink(missing_ok=True)

    def _write_next(self) -> bool:
        try:
            item = self._queue.get(timeout=_SNAPSHOT_SECONDS if self._dirty else None)
        except queue.Empty:
            self._save_snapshot()
            return True
        if item is None:
            return False
        if isinstance(item, threading.Event):
            item.set()
            return True
        self._number(*item)
        if time.monotonic() - self._written_at > _SNAPSHOT_SECONDS:
            self._save_snapshot()
        return True

    def _number(self, body: Body, wall: float, mono: float) -> None:
        if self._was_changed(at_end=isinstance(body, RunEnded)) and not self._told_of_change:
            self._told_of_change = True
            self._append(_of_change(self._snapshot), wall, mono)
        self._append(body, wall, mono)

    def _was_changed(self, *, at_end: bool) -> bool:
        return self._with_reserve(lambda: self._file.was_changed(at_end=at_end))

    def _with_reserve(self, action: Callable[[], _T]) -> _T:
        """Does it; a second time with the reserve's room, where it fails. Raises OSError."""
        try:
            return action()
        except OSError as exc:
            if not self._reserve.exists():
                raise
            self._reserve.unlink()
            self._on_fault(exc)
            return action()

    def _append(self, body: Body, wall: float, mono: float) -> None:
        self._seq += 1
        event = without_secrets(Event(body, self._seq, wall, mono))
        line = encode(event)
        if self._seal is not None:
            line = self._seal.line(line)
        self._with_reserve(lambda: self._file.write(line))
        self._snapshot = reduce(self._snapshot, event, event.wall)
        self._dirty = True
        said = run_log.line_of(event.body)
        if said:
            _log.info("%s", said)

    def _save_snapshot(self) -> None:
        """The file is a convenience for people: a failure to write it stops nothing."""
        document = progress_json.progress(self._snapshot, time.time(), heard_at=time.time())
        try:
            replace_file(self._progress_file, json.dumps(document).encode("ascii"))
        except OSError as exc:
            _log.warning("%s: %s", self._progress_file, exc)
            if self._progress_file != self._kept_progress and not is_ours(self._progress_file):
                self._give_way()
                self._save_snapshot()
        self._written_at = time.monotonic()
        self._dirty = False

    def _give_way(self) -> None:
        """Another user's file, or what is no file, is never followed or touched: the progress goes elsewhere."""
        taken, self._progress_file = self._progress_file, self._kept_progress
        message = "The progress is not in %s: something of another user stands there." % taken
        hint = "It is in %s. Find out who put it there: ls -ld %s" % (self._kept_progress, taken)
        if self._snapshot.state not in TERMINAL_TASK_STATES:
            self._number(
                Warned("progress_file_taken", message, hint), round(time.time(), 3), round(time.monotonic(), 3)
            )


def _of_change(snapshot: Snapshot) -> Warned:
    """That somebody else has changed the journal: what ran at that time may have."""
    scripts = [node.name for node in snapshot.nodes.values() if node.script is StepStatus.RUNNING]
    by = " while the install.py of %s ran" % ", ".join(scripts) if scripts else ""
    message = "Something on the instance changed the record of this task%s. The record was put back." % by
    return Warned("journal_changed", message, CHANGED_HINT)
