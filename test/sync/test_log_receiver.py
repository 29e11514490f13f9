"""When a follower hears what is kept of its logs: seldom while little is on its way, at once where it waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.remote.follow import Ended, Frame, LogPiece
from app.storage.errors import StorageError
from app.storage.log_files import Kept, LogFiles, LogWriter
from app.sync.installs import log_receiver
from app.sync.installs.log_receiver import TELL_BYTES, LogReceiver

TASK = "550e8400-e29b-41d4-a716-446655440000"
LINE = b"twenty bytes a line\n"


class Played:
    """A follower that sends what it was given, and notes what it hears. It says that all came once it knows that."""

    def __init__(self, *frames: Frame) -> None:
        self.frames = deque(frames)
        self.heard: list[dict[str, int]] = []
        self.timeouts: list[float] = []

    def resume_logs(self, sizes: Mapping[str, int]) -> None:
        self.heard.append(dict(sizes))

    def next(self, timeout: float) -> Frame | None:
        self.timeouts.append(timeout)
        return self.frames.popleft() if self.frames else None


def lines(count: int) -> list[LogPiece]:
    return [LogPiece("run.log", number * len(LINE), False, LINE) for number in range(count)]


def receiver(folder: Path, follower: Played) -> tuple[LogReceiver, LogWriter]:
    writer = LogFiles(folder)._writer(TASK)
    return LogReceiver(TASK, follower, lambda: writer, threading.Event()), writer  # type: ignore[arg-type]


def test_lines_are_not_answered_one_by_one(tmp_path: Path) -> None:
    """Each answer is a packet to encrypt and send, and hundreds of installs print a line a second."""
    follower = Played()
    logs, _ = receiver(tmp_path, follower)
    count = 2 * TELL_BYTES // len(LINE)
    for piece in lines(count):
        logs.receive(piece)
    assert follower.heard[0] == {}
    assert len(follower.heard) == 2
    assert TELL_BYTES <= follower.heard[1]["run.log"] < TELL_BYTES + len(LINE)


def test_a_follower_hears_of_the_last_line_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose run has died ends when it knows that all is kept: nobody waits for frames for longer than that."""
    follower = Played()
    logs, _ = receiver(tmp_path, follower)
    logs.receive(lines(1)[0])
    assert logs.next(60.0) is None
    assert follower.timeouts[-1] <= log_receiver.TELL_SECONDS
    monkeypatch.setattr(log_receiver, "TELL_SECONDS", 0.0)
    logs.next(60.0)
    assert follower.heard == [{}, {"run.log": len(LINE)}]
    logs.next(60.0)
    assert (follower.timeouts[-1], len(follower.heard)) == (60.0, 2), "it knows everything"


def test_once_the_run_has_ended_each_piece_is_answered(tmp_path: Path) -> None:
    first, *rest = lines(4)
    follower = Played(*rest, Ended("ended"))
    logs, _ = receiver(tmp_path, follower)
    logs.receive(first)
    logs.receive_rest()
    assert [heard.get("run.log") for heard in follower.heard] == [None, *(n * len(LINE) for n in (1, 2, 3, 4))]


def test_what_does_not_fit_is_said_at_once(tmp_path: Path) -> None:
    """The instance has to send from elsewhere."""
    follower = Played()
    logs, _ = receiver(tmp_path, follower)
    logs.receive(LogPiece("run.log", 100, False, LINE))
    assert follower.heard == [{}, {"run.log": 0}]


class Refusing(LogWriter):
    """A database that is away for so many questions."""

    def __init__(self, refusals: int) -> None:
        super().__init__({})
        self.left = refusals
        self.content, self.end = b"", ""

    def _try(self) -> None:
        if self.left:
            self.left -= 1
            raise StorageError("away")

    def _put(self, name: str, content: bytes, kept: Kept) -> Kept:
        self._try()
        self.content += content
        self._kept[name] = kept
        return kept

    def all_came(self) -> None:
        self._try()
        self.end = "all came"

    def mark_incomplete(self) -> None:
        self._try()
        self.end = "incomplete"


@pytest.mark.parametrize(("refusals", "end"), [(2, "all came"), (6, "all came"), (10**6, "")])
def test_a_run_that_ends_while_the_database_is_away_keeps_its_last_lines(
    monkeypatch: pytest.MonkeyPatch, refusals: int, end: str
) -> None:
    """They are nowhere else any more: the end of the log waits for a while."""
    monkeypatch.setattr(log_receiver, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(log_receiver, "HELD_SECONDS", 10.0 if end else 0.05)
    writer, first, *rest = Refusing(refusals), *lines(4)
    logs = LogReceiver(TASK, Played(*rest, Ended("ended")), lambda: writer, threading.Event())  # type: ignore[arg-type]
    logs.receive(first)
    logs.receive_rest()
    assert (writer.content, writer.end) == (LINE * 4 if end else b"", end)


def test_a_service_that_closes_does_not_wait_for_the_database() -> None:
    """What is left is the next one's."""
    writer, closing = Refusing(10**6), threading.Event()
    logs = LogReceiver(TASK, Played(Ended("ended")), lambda: writer, closing)  # type: ignore[arg-type]
    logs.receive(lines(1)[0])
    closing.set()
    logs.receive_rest()
    assert not writer.end
