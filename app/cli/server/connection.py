"""Waitress' connection with deadlines, and an end that lets a client read why it was refused.

All but `service` and what waitress itself calls from its threads runs in the server's loop; `service` too for what
can be answered at once.
"""

from __future__ import annotations

import logging
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from app.cli.server.request import JsonErrorTask, Refusal, Request
from app.sync.http.admission import Admitted, note_look, server_answer

if TYPE_CHECKING:
    from app.cli.server.acceptor import Acceptor

LARGE_BYTES = 64 * 1024
"""Of a body: what more of them there is, only a few may keep in memory while they arrive."""
LINGER_BYTES = 64 * 1024 * 1024
LEAST_TAKEN_BYTES = 16 * 1024
_log = logging.getLogger(__name__)
_READ_BYTES = 64 * 1024
_QUIET_SECONDS = 1.0


class LookedAtTask(WSGITask):  # type: ignore[misc]
    """A request's environment, which says when the server has let it in; its answer, whose head and first bytes are
    sent as one, and which may be there already."""

    def get_environment(self) -> dict[str, Any]:
        """As the application gets it."""
        environ: dict[str, Any] = super().get_environment()
        at = self.request.let_in_at
        if at is not None:
            note_look(environ, at)
        return environ

    def execute(self) -> None:
        """Answers the request."""
        ready = self.request.ready
        if ready is None:
            super().execute()
            return
        self.complete, self.status = True, "200 OK"
        self.response_headers, self.content_length = ready.headers, len(ready.body)
        self.write(ready.body)

    def write(self, data: bytes) -> None:
        """Sends a piece of the answer."""
        if self.wrote_header or not data:
            super().write(data)
        else:
            self.channel.hold()
            try:
                super().write(data)
            finally:
                self.channel.write_held()


class Connection(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """One client: it waits, a request arrives (first its head, then its body), and its answer is made and sent."""

    task_class = LookedAtTask
    error_task_class = JsonErrorTask
    server: Acceptor
    request: Request | None
    """The one that arrives."""

    def __init__(self, server: Acceptor, sock: socket.socket, addr: Any, adj: Any, channels: Any) -> None:
        self.since = time.monotonic()
        """When it began to wait; when the first byte of a request came; when its head was complete."""
        self.key = ""
        self._answered = False
        self._arriving = False
        self._taken_bytes = 0
        self._taking_since: float | None = None
        self._refused = False
        self._held: list[bytes] | None = None
        self.arrives = self.is_due = False
        """Whether the loop takes what has come; whether there is a request in it that can be answered now."""
        self._lingering_since: float | None = None
        self._lingered_bytes = 0
        super().__init__(server, sock, addr, adj, channels)
        self.parser_class = partial(Request, look=self._look)
        server.changed.add(self)

    # -- what arrives ----------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> bool:
        """Takes what has come."""
        if not self._arriving:
            self._arriving, self.since = True, time.monotonic()
        waiting = len(self.requests)
        self.arrives = True
        more: bool = super().received(data)
        request = self.request
        if len(self.requests) > waiting or not more:
            self._refused = self._refused or any(each.error for each in self.requests)
            self._arriving, self.since = request is not None, time.monotonic()
        elif request is not None and request.head_at is not None:
            self.since = request.head_at
        self.server.note_large(self, large=request is not None and request.body_bytes_received > LARGE_BYTES)
        while self.is_due:
            self.is_due = False
            self._answer()
        self.arrives = False
        return more

    def _answer(self) -> None:
        """Answers the request in the loop, where that takes no waiting: neither for anything that the answer is made
        of, nor for the client. Everything else is given to a thread."""
        request = self.requests[0]
        environ = request.let_in_environ()
        if environ is not None and not self.total_outbufs_len:
            try:
                request.ready = self.server.at_once(environ)
            except Exception:  # noqa: BLE001 - the loop goes on, and who answers in a thread has a client to tell
                _log.error("answer_failed", exc_info=True)
        if request.ready is not None:
            self.service()
        else:
            self.server.give_to_thread(self)

    def _look(self, request: Request) -> Admitted:
        return self.server.admits.look(WSGITask(self, request).get_environment())

    def service(self) -> None:
        """Answers one request."""
        try:
            super().service()
        finally:
            self._answered, self.since = True, time.monotonic()

    def hold(self) -> None:
        """What is written from now on is kept for `write_held`: each piece by itself would be a packet of its own."""
        self._held = []

    def write_held(self) -> None:
        """Writes it as one."""
        held, self._held = self._held, None
        self.write_soon(b"".join(held or ()))

    def write_soon(self, data: Any) -> int:
        """As waitress does."""
        if self._held is None:
            written: int = super().write_soon(data)
            return written
        self._held.append(data)
        return len(data)

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Sends what the client takes; how much that was."""
        sent: int = super().send(data, do_close)
        self._taken_bytes += sent
        return sent

    # -- deadlines -------------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Ends it where a deadline is over."""
        limits = self.server.limits
        if self._lingering_since is not None:
            if now - self._lingering_since > limits.linger_seconds:
                self.drop()
        elif self._takes_too_long(now):
            self.drop()
        elif self.is_served:
            return
        elif self._arriving:
            reading = self.request is not None and self.request.is_reading_body
            if now - self.since > (limits.body_seconds if reading else limits.head_seconds):
                self.refuse(408)
        elif now - self.since > (limits.idle_seconds if self._answered else limits.head_seconds):
            self.drop()

    @property
    def is_served(self) -> bool:
        """Whether a request waits for its answer, or an answer for being taken."""
        return bool(self.requests or self.total_outbufs_len or self.close_when_flushed or self.will_close)

    def _takes_too_long(self, now: float) -> bool:
        """Whether, for as long as an answer may take, something waited to be taken and next to nothing was."""
        if not self.total_outbufs_len:
            self._taking_since = None
            return False
        if self._taking_since is None:
            self._taking_since, self._taken_bytes = now, 0
            return False
        if now - self._taking_since <= self.server.limits.answer_seconds:
            return False
        slow = self._taken_bytes < LEAST_TAKEN_BYTES
        self._taking_since, self._taken_bytes = now, 0
        return slow

    def rank(self, now: float) -> tuple[int, float] | None:
        """How soon it is shed where there are too many; None for one whose answer is being made."""
        if self._lingering_since is not None:
            return 0, self._lingering_since
        if self.requests:
            return None
        if self.total_outbufs_len:
            return None if self._taking_since is None else (2, self._taking_since)
        idle = not self._arriving and now - self.since > _QUIET_SECONDS
        return (1 if idle else 2), self.since

    # -- its end ---------------------------------------------------------------------------------------------------

    def refuse(self, status: int) -> None:
        """Answers what has come so far, or nothing yet, with an error of the server, and closes."""
        with self.requests_lock:
            request = self.request or self.parser_class(self.adj)
            request.refuse(Refusal(server_answer(status)))
            self.request = None
            self._arriving, self._refused = False, True
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)
        self.server.changed.add(self)
        self.server.note_large(self, large=False)

    def drop(self) -> None:
        """Closes without a word."""
        super().handle_close()

    def del_channel(self, channels: Any = None) -> None:
        """It is closed: the server need not count it any more."""
        super().del_channel(channels)
        self.server.forget(self)

    def handle_close(self) -> None:
        """Closes. After a refusal what still comes is read first: where it stayed unread, the system would throw the
        answer away that is under way to the client."""
        if self._refused and self.connected and self._lingering_since is None:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.drop()
                return
            self._lingering_since = time.monotonic()
            self.will_close = self.close_when_flushed = False
            self.server.changed.add(self)
        else:
            self.drop()

    def readable(self) -> bool:
        """Whether something that comes may be read now."""
        return self._lingering_since is not None or super().readable()

    def writable(self) -> bool:
        """Whether there is something to send."""
        return self._lingering_since is None and bool(super().writable())

    def handle_read(self) -> None:
        """Reads what has come; throws it away after a refusal."""
        if self._lingering_since is None:
            super().handle_read()
            return
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._lingered_bytes += len(data)
        if not data or self._lingered_bytes > LINGER_BYTES:
            self.drop()
