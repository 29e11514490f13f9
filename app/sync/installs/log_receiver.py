"""Stores the logs that a follower sends over one connection. An install goes on when the disk refuses its logs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from app.domain.errors import RemoteError
from app.remote.follow import Ended, Follow, Frame, LogPiece
from app.storage.errors import StorageError
from app.storage.log_files import Logs, LogWriter

REFUSED_SECONDS = 5.0
"""How long to wait until a disk that has refused a piece of a log is asked again."""
MAX_REFUSED_BYTES = 256 * 1024
MAX_REFUSED_PIECES = 1_000
"""What is held of logs meanwhile. A follower has sent 64 KiB at most that it has not heard of."""
TELL_SECONDS = 2.0
TELL_BYTES = 16 * 1024
"""How soon the follower hears what is kept, which it need not know before a good part of those 64 KiB is on its way: a
run that prints a line a second would otherwise be answered each second."""
REST_SECONDS = 8.0
"""How long to wait for the rest of the logs after the run has ended. The runner sends them for 5 s at most."""
HELD_SECONDS = 15.0
"""How long the end of a run's logs waits for a disk, or a database, that refuses them."""
_LISTEN_SECONDS = 0.5
_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class LogReceiver:
    """For the thread that follows the run."""

    def __init__(self, task_id: str, frames: Follow, opens: Callable[[], LogWriter], closing: threading.Event) -> None:
        """`opens`: raises StorageError; it is then called again later. `closing`: the service closes: what is left is
        the next one's. Raises ConnectionLost."""
        self._task_id = task_id
        self._frames = frames
        self._closing = closing
        self._opens: Callable[[], LogWriter] | None = opens
        """None once logs are kept, or never will be."""
        self._writer: LogWriter | None = None
        self._refused: list[LogPiece] = []
        self._refused_until = 0.0
        self._untold: dict[str, int] = {}
        """How much of each log is kept, where the follower does not know."""
        self._untold_bytes = 0
        self._told_at = time.monotonic()
        self._is_over = False
        """Whether the run has ended: the follower waits then until it knows that all is kept."""
        self._hears = True
        """Whether the follower still wants to hear anything."""
        self._open(opens)

    def receive(self, piece: LogPiece) -> None:
        """Keeps one piece and lets the follower send on; where the disk refuses it, it is held, and the follower
        waits. Raises ConnectionLost."""
        if self._writer is None:
            return
        self._refused.append(piece)
        if len(self._refused) == 1:
            self._keep()
        elif (
            len(self._refused) > MAX_REFUSED_PIECES
            or sum(len(each.content) for each in self._refused) > MAX_REFUSED_BYTES
        ):
            _log.error("task %s: its logs are not kept over this connection: the disk refuses them", self._task_id)
            self._writer = None
            self._refused.clear()

    def next(self, timeout: float) -> Frame | None:
        """As of `Follow`; what is due meanwhile is done."""
        soon = self._told_at + TELL_SECONDS - time.monotonic() if self._untold else timeout
        frame = self._frames.next(max(0.0, min(timeout, soon)))
        self.look()
        return frame

    def look(self) -> None:
        """What is due: the follower hears what is kept, and a disk that has refused something is asked again. Called
        now and then. Raises ConnectionLost."""
        if self._untold and time.monotonic() - self._told_at >= TELL_SECONDS:
            self._tell_follower()
        if time.monotonic() < self._refused_until:
            return
        if self._opens is not None:
            self._open(self._opens)
        elif self._refused:
            self._keep()

    def _open(self, opens: Callable[[], LogWriter]) -> None:
        """The follower sends nothing of the logs before it hears what there is of them."""
        try:
            self._writer = opens()
        except StorageError as exc:
            _log.error("task %s: its logs cannot be kept yet: %s", self._task_id, exc)
            self._refused_until = time.monotonic() + REFUSED_SECONDS
            return
        self._opens = None
        self._frames.resume_logs(self._writer.sizes())

    def _keep(self) -> None:
        while self._writer and self._refused:
            piece = self._refused[0]
            try:
                kept = self._writer.append(piece.log, piece.at, piece.content, anew=piece.anew)
            except StorageError as exc:
                _log.error("task %s: its logs cannot be kept now: %s", self._task_id, exc)
                self._refused_until = time.monotonic() + REFUSED_SECONDS
                return
            self._refused.pop(0)
            self._untold[piece.log] = kept
            self._untold_bytes += len(piece.content)
            is_much = self._untold_bytes >= TELL_BYTES or self._is_over
            if self._hears and (is_much or kept != piece.at + len(piece.content)):
                self._tell_follower()

    def _tell_follower(self) -> None:
        untold, self._untold, self._untold_bytes = self._untold, {}, 0
        self._told_at = time.monotonic()
        self._frames.resume_logs(untold)

    def receive_rest(self) -> None:
        """After the run has ended: receives what the follower still has, until it says that this was all. If that does
        not come, the log says so."""
        deadline = time.monotonic() + REST_SECONDS
        all_came, self._is_over = False, True
        try:
            if self._untold:
                self._tell_follower()
            while self._writer and not all_came and time.monotonic() < deadline and not self._closing.is_set():
                frame = self.next(_LISTEN_SECONDS)
                if isinstance(frame, LogPiece):
                    self.receive(frame)
                all_came = isinstance(frame, Ended)
        except RemoteError as exc:
            _log.info("task %s: the line was cut before the last of its logs: %s", self._task_id, exc.message)
        if self._writer:
            self._end(self._writer, all_came=all_came)

    def all_came(self) -> None:
        """The follower has said that this was all, also of a run that died."""
        if self._writer:
            self._end(self._writer, all_came=True)

    def _end(self, writer: LogWriter, *, all_came: bool) -> None:
        """What is held is kept first, once the disk takes it again: nobody has it any more but us."""
        self._hears, deadline = False, time.monotonic() + HELD_SECONDS
        while not self._closing.is_set():
            self._keep()
            is_last = time.monotonic() >= deadline
            if (self._refused and not is_last) or not self._is_ended(writer, all_came=all_came, is_last=is_last):
                self._closing.wait(_PAUSE_SECONDS)
            else:
                return

    def _is_ended(self, writer: LogWriter, *, all_came: bool, is_last: bool) -> bool:
        try:
            if all_came and not self._refused:
                writer.all_came()
            else:
                writer.mark_incomplete()
        except (StorageError, OSError) as exc:
            if is_last:
                _log.error("task %s: the end of its logs is not kept: %s", self._task_id, exc)
            return is_last
        return True


@contextmanager
def receiving_logs(files: Logs, task_id: str, frames: Follow, closing: threading.Event) -> Iterator[LogReceiver]:
    """Keeps the logs of a task for the block. `closing`: as of `LogReceiver`. Raises ConnectionLost."""
    with ExitStack() as opened:
        yield LogReceiver(task_id, frames, lambda: opened.enter_context(files.writing(task_id)), closing)
