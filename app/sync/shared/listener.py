"""Hears what other processes on the same PostgreSQL say, over one connection.

What is said while nobody listens is lost, so after each new connection everything that is held or shown is read again.
A connection that seems to be there and hears nothing (a line that was cut without a word, a pooler that gives each
transaction another connection) is found by a ping over the ordinary connections.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Engine

from app.storage.errors import StorageError
from app.storage.listening import Listening, Note, listening
from app.storage.signals import PING, SignalStore
from app.sync.background_tasks import BackgroundTaskManager

PING_SECONDS = 5.0
"""After so long without a word a ping is sent."""
HEARD_SECONDS = 3.0
"""How long a ping may take."""
_RECEIVE_SECONDS = 0.5
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between tries to connect; the last one goes on."""

_log = logging.getLogger(__name__)
Hears = Callable[[Sequence[str]], None]


class _Unheard(Exception):
    """The connection stands, and no ping comes over it."""


class _Ping:
    """Goes over another connection than the one that listens: a pooler may give both the same one only by chance."""

    def __init__(self, store: SignalStore) -> None:
        self._store = store
        self._heard_at = self._sent_at = 0.0
        self._word: str | None = None
        self._send()

    def came_back(self, notes: Sequence[Note]) -> bool:
        """Whether these are proof that everything is heard. Raises _Unheard when that is overdue."""
        now = time.monotonic()
        if notes:
            self._heard_at = now
        if self._word is None:
            if now - self._heard_at > PING_SECONDS:
                self._send()
            return False
        if any(note.channel == PING and note.payload == self._word for note in notes):
            self._word = None
            return True
        if now - self._sent_at > HEARD_SECONDS:
            raise _Unheard
        return False

    def _send(self) -> None:
        word = self._word = uuid.uuid4().hex
        self._sent_at = time.monotonic()
        self._store.notify(PING, [word])


class Listener:
    """The listener of one process, with a thread of its own from `begin` to `close`. `hears`: by channel what is called
    with the payloads that came, in the listener's thread."""

    def __init__(
        self,
        engine: Engine,
        background: BackgroundTaskManager,
        hears: Mapping[str, Hears],
        *,
        when_live: Callable[[bool], None],
        while_down: Callable[[], None],
        each_round: Callable[[], None] = lambda: None,
    ) -> None:
        """`when_live`: called with True once everything that is said from then on is heard, and with False when that
        ends; `while_down`: called about twice a second while it is not so; `each_round`: as often while the connection
        stands, may raise StorageError."""
        self._engine = engine
        self._store = SignalStore(engine)
        self._background = background
        self._hears = hears
        self._when_live = when_live
        self._while_down = while_down
        self._each_round = each_round
        self._closing = threading.Event()
        self._thread = f"listener-{uuid.uuid4()}"
        self._warned = False
        self.connections = 0
        """How often a connection was made."""
        self.is_live = False

    def begin(self) -> None:
        """Listens from now on."""
        self._background.start_task(self._thread, self._run)

    def close(self, timeout: float) -> None:
        """Ends the thread within `timeout` seconds."""
        self._closing.set()
        self._background.wait(self._thread, timeout)

    def _run(self) -> None:
        tries = 0
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                with listening(self._engine, [*self._hears, PING]) as connection:
                    self._listen(connection)
            except StorageError as exc:
                self._say(f"what other processes say is not heard: {exc.message}")
            except _Unheard:
                self._say(
                    "notifications do not come through: between here and PostgreSQL is a pooler that gives each "
                    "transaction another connection, or the line is cut. Use a direct connection or session pooling. "
                    "Until then progress is read with each poll"
                )
            finally:
                self._down()
            tries = 0 if time.monotonic() - began > PING_SECONDS else tries + 1
            self._closing.wait(_PAUSES[min(tries, len(_PAUSES) - 1)])

    def _say(self, words: str) -> None:
        """Once: it is tried again every two seconds."""
        if not self._warned and not self._closing.is_set():
            self._warned = True
            _log.warning("%s", words)

    def _down(self) -> None:
        if self.is_live:
            self.is_live = False
            self._when_live(False)
        if not self._closing.is_set():
            self._while_down()

    def _listen(self, connection: Listening) -> None:
        """Raises StorageError and _Unheard."""
        ping = _Ping(self._store)
        while not self._closing.is_set():
            notes = connection.receive(_RECEIVE_SECONDS)
            if ping.came_back(notes):
                self._up()
            self._each_round()
            for channel, receive in self._hears.items():
                payloads = [note.payload for note in notes if note.channel == channel]
                if payloads:
                    receive(payloads)
            if not self.is_live:
                self._while_down()

    def _up(self) -> None:
        if self.is_live:
            return
        self.connections += 1
        if self._warned:
            _log.warning("what other processes say is heard again")
            self._warned = False
        self.is_live = True
        self._when_live(True)
