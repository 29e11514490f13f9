"""What a command of the runner sends: frames in the lines of its output, found whatever a shell prints besides.

A frame has a marker with a random nonce before it. docs/journal.md describes the frames. Everything else in an output
is noise: a little of it is let pass.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from app.domain.errors import ConnectionLost, RunnerProtocolError, RunnerStartFailed, TooMuchOutput
from app.protocol import budgets
from app.protocol.clean_text import clean_block, clean_line
from app.protocol.json_fields import ProtocolFault, loads_bounded
from app.protocol.log_names import is_log_name
from app.protocol.reason import About
from app.protocol.reasons import find
from app.remote.pace import Bucket
from app.remote.stream import RemoteStream

NOISE_BYTES = 256 * 1024
"""What a login shell may print into one command's output. A long banner has 4 KB."""
FRAMES_PER_SECOND, FRAMES_AT_ONCE = 1000, 20_000
"""How fast frames are taken. A run with 16 downloads sends 64 a second; what was missed while the line was cut comes
at once."""
_MARGIN_SECONDS = 0.01
_PING_SECONDS = 15.0
"""The follower ends after 60 s without a byte on its input."""


class JournalLine(NamedTuple):
    """One line of the journal; `offset` is the journal's byte behind it."""

    offset: int
    line: bytes


class Heartbeat(NamedTuple):
    """The follower is alive and has nothing new."""


class CancelNoted(NamedTuple):
    """The run was asked to stop: the instance has the cancel."""


class LogPiece(NamedTuple):
    """A new piece of one of the run's logs, from byte `at` on. `anew`: the log began again at byte 0."""

    log: str
    at: int
    anew: bool
    content: bytes


class Ended(NamedTuple):
    """Nothing more will come: the run has `ended`, or it `died`."""

    status: str


Frame = JournalLine | Heartbeat | CancelNoted | LogPiece | Ended


@dataclass(frozen=True, slots=True)
class Marker:
    """Finds the frames of one command in its output."""

    nonce: str

    def find(self, line: bytes) -> tuple[str, bytes] | None:
        """Type and payload of a frame, whatever stands before it in its line; None for noise."""
        _, found, rest = line.partition(b"\x1eNF" + self.nonce.encode("ascii") + b" ")
        if not found or rest[1:2] != b" ":
            return None
        return rest[:1].decode("latin-1"), rest[2:].rstrip(b"\r\n")

    def all(self, output: bytes) -> dict[str, bytes]:
        """The last payload of each type in a whole output."""
        return dict(found for found in map(self.find, output.split(b"\n")) if found)


class Noise:
    """Counts what a command prints that is no frame."""

    def __init__(self) -> None:
        self._left = NOISE_BYTES

    def add(self, line: bytes) -> None:
        """So much more of it. Raises TooMuchOutput."""
        self._left -= len(line)
        if self._left < 0:
            raise TooMuchOutput("The instance prints without end where Nodeferry's runner should answer.")

    def forgive(self) -> None:
        """A frame came. The runner begins each in a line of its own, which may have left an empty one."""
        self._left = min(NOISE_BYTES, self._left + 1)


class CancelRequest:
    """A cancel that is on its way to the run, as a command of its own."""

    def __init__(self, stream: RemoteStream, marker: Marker) -> None:
        self._stream = stream
        self._marker = marker
        self._noise = Noise()
        self._over = False

    def is_noted(self) -> bool:
        """Whether something new says that the instance has it. Does not wait. Raises ConnectionLost, TooMuchOutput."""
        noted = False
        while not self._over and (line := self._stream.read_line(0.0)) is not None:
            self._noise.add(line)
            self._over = line == b""
            found = self._marker.find(line)
            noted = noted or bool(found and found[0] in "cr")
        return noted


class Follow:
    """The frames of one follower. For one thread; a context manager that closes the stream."""

    def __init__(self, stream: RemoteStream, marker: Marker, silence: float) -> None:
        """`silence`: seconds without any frame after which the line counts as dead."""
        self._stream = stream
        self._marker = marker
        self._silence = silence
        self._heard = self._pinged = time.monotonic()
        self._noise = Noise()
        self._pace = Bucket(FRAMES_PER_SECOND, FRAMES_AT_ONCE)
        self._rest_until = 0.0
        self._never = threading.Event()

    def next(self, timeout: float) -> Frame | None:
        """The next frame; None when `timeout` seconds brought none, whatever else came.

        Raises ConnectionLost, also for a line that was silent for too long and for a follower that ended without
        saying so, RunnerProtocolError and TooMuchOutput."""
        end = min(time.monotonic() + timeout, self._heard + self._silence + _MARGIN_SECONDS)
        self._ping()
        if not self._rest(end):
            return None
        while True:
            line = self._stream.read_line(max(0.0, end - time.monotonic()))
            if line == b"":
                raise ConnectionLost(
                    f"The connection to the running install broke off{tail(self._stream.stderr_tail)}."
                )
            frame = self._frame(line) if line else None
            now = time.monotonic()
            if frame is not None:
                self._heard = now
                self._noise.forgive()
                self._rest_until = now + self._pace.spend(1)
                return frame
            self._noise.add(line or b"")
            if now - self._heard > self._silence:
                raise ConnectionLost(f"The instance has sent nothing for {self._silence:g} s.")
            if line is None or now >= end:
                return None

    def interrupt(self) -> None:
        """Ends a `next` that waits: there is something else to do. Any thread."""
        self._stream.interrupt()

    def rested(self, seconds: float) -> None:
        """Nobody has asked for frames for so long: that was no silence of the instance. Raises ConnectionLost.

        Only the rest is left out. Short rests come all the time: to count from each of them would end no silence."""
        self._heard = min(time.monotonic(), self._heard + seconds)
        self._ping()

    def _ping(self) -> None:
        if time.monotonic() - self._pinged >= _PING_SECONDS:
            self._pinged = time.monotonic()
            self._stream.send(b"\n")

    def _rest(self, end: float) -> bool:
        """Waits where frames come too fast, until `end` at most. Whether the next one may be taken."""
        left = min(end, self._rest_until) - time.monotonic()
        if left > 0:
            self._never.wait(left)
        return time.monotonic() >= self._rest_until

    def resume_logs(self, sizes: Mapping[str, int]) -> None:
        """Tells the follower how much of each log we have (-1: we want no more of it). Until the first call it sends no
        logs, and after each call it sends the next piece. Raises ConnectionLost."""
        self._stream.send(json.dumps({"logs": dict(sizes)}).encode("ascii") + b"\n")

    def request_cancel(self) -> None:
        """Asks the run to stop. The follower is running already, so that this arrives sooner than a command. Raises
        ConnectionLost."""
        self._stream.send(b'{"cancel": true}\n')

    def close(self) -> None:
        """Ends the follower; the run goes on."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _frame(self, line: bytes) -> Frame | None:
        found = self._marker.find(line)
        if found is None:
            return None
        kind, payload = found
        if kind == "j":
            offset, _, rest = payload.partition(b" ")
            if not re.fullmatch(rb"[0-9]{1,18}", offset):
                raise not_understood(payload)
            return JournalLine(int(offset), rest)
        if kind == "l":
            return _log_piece(payload)
        if kind == "e":
            return Ended("died" if answer_of(payload).get("status") == "died" else "ended")
        if kind == "r":  # it could not follow: the next attach finds out what there is
            raise ConnectionLost(f"The running install cannot be followed: {problem_of(answer_of(payload)).message}")
        return CancelNoted() if kind == "c" else Heartbeat()


def _log_piece(payload: bytes) -> LogPiece:
    value = answer_of(payload)
    log, at, anew, encoded = (value.get(name) for name in ("log", "at", "anew", "bytes"))
    if not isinstance(log, str) or not is_log_name(log) or type(at) is not int or not isinstance(encoded, str):
        raise not_understood(payload)
    return LogPiece(log, at, anew is True, decoded(encoded))


def decoded(payload: bytes | str) -> bytes:
    """The bytes of base64 text. Raises RunnerProtocolError."""
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError as exc:
        raise not_understood(payload) from exc


def answer_of(payload: bytes) -> dict[str, Any]:
    """The JSON object of a frame. Raises RunnerProtocolError."""
    try:
        value = loads_bounded(payload, most_bytes=budgets.MAX_ANSWER_BYTES)
    except ProtocolFault as exc:
        raise not_understood(payload) from exc
    if not isinstance(value, dict):
        raise not_understood(payload)
    return value


def not_understood(payload: bytes | str) -> RunnerProtocolError:
    """The error for something that the runner does not send."""
    return RunnerProtocolError(f"The runner sent something unknown: {payload[:80]!r}.")


@dataclass(frozen=True, slots=True)
class RunnerProblem:
    """Why the runner could not do something, in its words, which are cleaned here."""

    code: str
    message: str
    hint: str

    def as_error(self) -> RunnerStartFailed:
        """The error to raise."""
        return RunnerStartFailed(self.message, hint=self.hint, code=self.code)


def problem_of(answer: Mapping[str, Any]) -> RunnerProblem:
    """The `error` of an answer. Its code is one that a run can have: what a code of the service's own does, a status
    over HTTP among it, is not the instance's to say."""
    raw = answer.get("error")
    error = raw if isinstance(raw, dict) else {}
    code, message, hint = (value if isinstance(value, str) else "" for value in map(error.get, _PROBLEM))
    return RunnerProblem(
        code if is_of_runner(code) else RunnerStartFailed.code,
        clean_block(message, budgets.LONG) or "The runner gave no reason.",
        clean_block(hint, budgets.LONG),
    )


_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PROBLEM = ("code", "message", "hint")
_OF_SERVICE = frozenset(
    {
        *("connect_failed", "connection_lost", "command_timed_out", "transfer_failed", "authentication_failed"),
        *("host_key_unknown", "default_list_unavailable"),
        *("no_ssh_key", "host_key_mismatch", "host_key_revoked", "too_many_jumps", "ssh_config_invalid"),
        *("proxy_command_unsupported", "exec_not_supported", "remote_error", "runner_lost", "runner_unsupported"),
        *("runner_protocol_error", "journal_changed", "too_much_output", "run_stalled", "cancelled"),
        *("cancel_unconfirmed", "record_unreadable", "no_thread", "step_timed_out", "comfyui_not_running"),
    }
)
"""What only the service can know of an instance."""


def is_of_runner(code: str) -> bool:
    """Whether a reason code is one that the runner may answer with."""
    return _CODE.fullmatch(code) is not None and code not in _OF_SERVICE and find(code).about in (About.NODE, About.RUN)


def tail(stderr: bytes) -> str:
    """The last line of an error output, for a message."""
    line = clean_line(stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][-300:], 300)
    return f": {line}" if line else ""
