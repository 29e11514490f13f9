"""One run on a played machine: its journal and logs as they grow, and who makes them grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from app.protocol.event_body import Body
from app.protocol.events import (
    BuildChanged,
    Event,
    QuestionAnswered,
    QuestionAsked,
    RunEnded,
    RunStarted,
    encode,
)
from app.protocol.states import AnswerSource, BuildState, TaskState
from test.support.stage.story import Moment, Scenario

BOOTED_SECONDS = 5000.0
"""What the machine's monotonic clock says at the run's begin."""


class Run:
    """A run that a test or a thread plays. Every method may be called from any thread.

    `obeys`: whether it ends when it is cancelled; `died`: its runner is gone without a word."""

    def __init__(self, task_id: str, scenario: Scenario) -> None:
        self.task_id = task_id
        self.scenario = scenario
        self.obeys = True
        self.is_silent = False
        """No heartbeat and no line comes: the machine hangs, and the line is not cut."""
        self.died = False
        self.is_followed = False
        """Whether the service has followed it, once at least."""
        self.changed = threading.Condition()
        self.lines: list[tuple[int, bytes]] = []
        """Each line of the journal and the byte behind it."""
        self.logs: dict[str, bytearray] = {}
        self.emitted: dict[int, float] = {}
        """When each line was written, by its number and `time.time()`."""
        self.second = 0.0
        """How far it is, by its own clock."""
        self.ended = False
        self._next = 0
        self._seq = 0
        self._asked: str | None = None
        self._stop = threading.Event()
        self._player: threading.Thread | None = None

    @property
    def size(self) -> int:
        """The journal's bytes."""
        return self.lines[-1][0] if self.lines else 0

    # -- for tests ---------------------------------------------------------------------------------------------------

    def emit(self, *bodies: Body) -> None:
        """Events that happen now."""
        for body in bodies:
            self._append(body)

    def log(self, name: str, text: str) -> None:
        """New text of a log."""
        with self.changed:
            self.logs.setdefault(name, bytearray()).extend(text.encode())
            self.changed.notify_all()

    def play(self, until: str | float) -> None:
        """Everything of the scenario up to this mark or second, at once."""
        last = self.scenario.until(until)
        while self._next < len(self.scenario.moments) and self.scenario.moments[self._next].at <= last:
            self._show(self._take())
        self.second = max(self.second, last)

    def play_on(self, speed: float = 1.0) -> None:
        """Plays the rest of the scenario in a thread, so many seconds of it a second. A question waits for its
        answer."""
        self._player = threading.Thread(target=self._play_on, args=(speed,), name="player", daemon=True)
        self._player.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        with self.changed:
            self.changed.notify_all()
        if self._player is not None:
            self._player.join(10)

    def wait(self, until: Callable[[Run], object], timeout: float) -> bool:
        """Waits until something holds."""
        with self.changed:
            return bool(self.changed.wait_for(lambda: until(self), timeout))

    def recall(self, lines: list[bytes], until: float) -> None:
        """These lines of the scenario's first `until` seconds were written before."""
        for line in lines:
            self.lines.append((self.size + len(line), line.rstrip(b"\n")))
        self._seq, self.second = len(lines), until
        moments = self.scenario.moments
        self._next = next((n for n, moment in enumerate(moments) if moment.at > until), len(moments))

    # -- what the service asks for -----------------------------------------------------------------------------------

    def cancel(self) -> None:
        """The service has asked the run to stop."""
        if self.obeys and not self.ended:
            self._stop.set()
            self._append(RunEnded(TaskState.CANCELLED))

    def answer(self, question: str, answer: str) -> None:
        """The service has passed an answer on."""
        if self._asked == question:
            self._append(QuestionAnswered(question, answer, AnswerSource.USER))

    def skip(self, package: str) -> None:
        """The service has asked to skip a build."""
        shown = [moment.body for moment in self.scenario.moments[: self._next]]
        last = next((b for b in reversed(shown) if isinstance(b, BuildChanged) and b.package == package), None)
        if last is not None and last.state in (BuildState.WAITING, BuildState.RUNNING):
            self._append(replace(last, state=BuildState.SKIPPED))

    # -- how it goes on ----------------------------------------------------------------------------------------------

    def _play_on(self, speed: float) -> None:
        began, first = time.monotonic(), self.second
        while self._next < len(self.scenario.moments) and not self._stop.is_set():
            at = self.scenario.moments[self._next].at
            if self._stop.wait(max(0.0, began + (at - first) / speed - time.monotonic())):
                return
            asked = time.monotonic()
            if self._asked is not None and isinstance(self.scenario.moments[self._next].body, QuestionAnswered):
                self.wait(lambda run: run._asked is None or run._stop.is_set(), 86_400)
                began += time.monotonic() - asked
                self._next += 1
                continue
            self._show(self._take())

    def _take(self) -> Moment:
        moment = self.scenario.moments[self._next]
        self._next += 1
        self.second = max(self.second, moment.at)
        return moment

    def _show(self, moment: Moment) -> None:
        if moment.body is None:
            self.log(moment.log, moment.text)
        else:
            self._append(moment.body)

    def _append(self, body: Body) -> None:
        with self.changed:
            if self.ended:
                return
            self._seq += 1
            body = replace(body, task_id=self.task_id) if isinstance(body, RunStarted) else body
            line = encode(Event(body, self._seq, time.time(), BOOTED_SECONDS + self.second))
            self.emitted[self._seq] = time.time()
            self.lines.append((self.size + len(line), line.rstrip(b"\n")))
            self.ended = isinstance(body, RunEnded)
            if isinstance(body, QuestionAsked):
                self._asked = body.question.id
            elif isinstance(body, QuestionAnswered):
                self._asked = None
            self.changed.notify_all()
