"""Calls the runner's command line over one connection. docs/journal.md describes its commands and frames.

Lines for us begin with a marker that has a random nonce, so that banners and shell output do no harm.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from app.domain.errors import ConnectionLost, RunnerProtocolError, RunnerStartFailed, RunnerUnsupported
from app.remote.host import RemoteHost
from app.remote.packer import Packed
from app.remote.stream import RemoteStream
from app.settings import Timeouts

FOLDER = "~/.local/state/nodeferry/bin"
_PING_SECONDS = 15.0
"""The follower ends after 60 s without a byte on its input."""

_FIND = r"""
nonce=$1 folder=$2 name=$3
say() { printf '\n\036NF%s %s %s\n' "$nonce" "$1" "$2"; }
say s "$(uname -s)"
case $folder in "~/"*) folder=$HOME/${folder#"~/"} ;; esac
for each in "${folder%/*}" "$folder"; do [ ! -d "$each" ] || chmod 700 "$each" 2>/dev/null; done
for python in /usr/bin/python3 /usr/local/bin/python3 "$(command -v python3)" "$(command -v python3.13)" \
  "$(command -v python3.12)" "$(command -v python3.11)" "$(command -v python3.10)" "$(command -v python3.9)" \
  /venv/main/bin/python /opt/venv/bin/python /opt/environments/python/comfyui/bin/python \
  /opt/conda/bin/python "$HOME/miniconda3/bin/python" /opt/miniconda3/bin/python; do
  [ -x "$python" ] || continue
  "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' </dev/null >/dev/null 2>&1 || continue
  say p "$python"
  [ -f "$folder/$name" ] || exit 0
  sum=$("$python" -I -S -c 'if True:
    import hashlib, os, sys
    folder, file = os.stat(os.path.dirname(sys.argv[1])), os.lstat(sys.argv[1])
    ours = file.st_uid in (os.geteuid(), 65534) and not (folder.st_mode | file.st_mode) & 0o022
    print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest() if ours else "")' "$folder/$name")
  say h "$sum"
  say f "$folder/$name"
  exit 0
done
"""
"""Arguments: nonce, folder, file name. Makes the folder private, where it is not. Says the system, the first Python
that can run the runner, and the hash and the path of a runner that is there already and that nobody else can change."""


class JournalLine(NamedTuple):
    """One line of the journal; `offset` is the journal's byte behind it."""

    offset: int
    line: bytes


class Heartbeat(NamedTuple):
    """The follower is alive and has nothing new."""


class LogPiece(NamedTuple):
    """A new piece of one of the run's logs, from byte `at` on. `anew`: the log began again at byte 0."""

    log: str
    at: int
    anew: bool
    content: bytes


class Ended(NamedTuple):
    """Nothing more will come: the run has `ended`, or it `died`."""

    status: str


Frame = JournalLine | Heartbeat | LogPiece | Ended


@dataclass(frozen=True, slots=True)
class _Marker:
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


class RunnerClient:
    """The runner on one connected instance. For the thread that uses the connection."""

    def __init__(self, host: RemoteHost, packed: Packed, timeouts: Timeouts) -> None:
        self._host = host
        self._packed = packed
        self._timeouts = timeouts
        self._command: tuple[str, ...] = ()

    def ensure_uploaded(self) -> None:
        """Finds a Python, and uploads the runner unless it is there. Raises RunnerUnsupported, RemoteError."""
        marker = _Marker(secrets.token_hex(8))
        args = [marker.nonce, FOLDER, self._packed.name]
        result = self._host.run_script(_FIND, args=args, timeout=self._timeouts.command)
        said = {kind: payload.decode("utf-8", "surrogateescape") for kind, payload in marker.all(result.stdout).items()}
        if "s" not in said:
            raise RunnerUnsupported(f"The instance's login shell does not run sh commands{_tail(result.stderr)}.")
        if said["s"] != "Linux":
            raise RunnerUnsupported(f"The instance runs {said['s']}, not Linux.")
        if "p" not in said:
            raise RunnerUnsupported("The instance has no Python 3.9 or newer.")
        path = said.get("f", "")
        if not path or said.get("h") != self._packed.sha256:
            path = self._host.upload(
                self._packed.content,
                folder=FOLDER,
                name=self._packed.name,
                sha256=self._packed.sha256,
                timeout=self._timeouts.command,
            )
        self._command = (said["p"], "-I", "-S", path)

    def start(self, task_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Starts the run, or finds the one that was started before: its `status` and the journal's size, `offset`.

        Raises RunnerStartFailed (with the runner's own reason), RunnerProtocolError, RemoteError."""
        return self._ask("start", task_id, stdin=json.dumps(request).encode("utf-8"))

    def status(self, task_id: str) -> dict[str, Any]:
        """`status` running, ended, died or unknown. Raises as `start`."""
        return self._ask("status", task_id)

    def cancel(self, task_id: str) -> dict[str, Any]:
        """Stops the run and waits for its end, 10 s at most: the `status` after that. Raises as `start`."""
        return self._ask("cancel", task_id)

    def sweep(self, task_id: str) -> dict[str, Any]:
        """After `died`: ends what the killed run left and removes its staging. Raises as `start`."""
        return self._ask("sweep", task_id)

    def probe(
        self, ui_home: str | None = None, venv_path: str | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """What the instance has: ComfyUI, interpreter, torch, GPU, disk. `timeout`: seconds. Raises as `start`."""
        options = [*(["--ui-home", ui_home] if ui_home else []), *(["--venv-path", venv_path] if venv_path else [])]
        return self._ask("probe", "-", *options, timeout=timeout)

    def wheels(self, task_id: str, ui_home: str | None = None) -> dict[str, Any]:
        """The wheels that the instance keeps, as it says: `wheels`, a list of objects. Raises as `start`."""
        return self._ask("wheels", task_id, *(["--ui-home", ui_home] if ui_home else []))

    def wheel(self, task_id: str, name: str, *, offset: int = 0, ui_home: str | None = None) -> Iterator[bytes]:
        """A kept wheel from a byte on, in pieces, as much as the instance sends. Raises as `start`, and ConnectionLost
        where nothing comes for too long; closing the iterator ends the sending."""
        marker = _Marker(secrets.token_hex(8))
        options = ["--name", name, "--offset", str(offset), *(["--ui-home", ui_home] if ui_home else [])]
        stream = self._host.stream([*self._argv("wheel", task_id, marker), *options])
        try:
            while True:
                line = stream.read_line(self._timeouts.silence)
                if not line:
                    raise ConnectionLost(f"The instance stopped sending the wheel{_tail(stream.stderr_tail)}.")
                kind, payload = marker.find(line) or ("", b"")
                if kind == "e":
                    return
                if kind == "r":
                    code, message, hint = _problem(_json(payload))
                    raise RunnerStartFailed(message, hint=hint, code=code)
                if kind == "w":
                    yield _decoded(payload)
        finally:
            stream.close()

    def request_cancel(self, task_id: str) -> RemoteStream:
        """Asks the run to stop, without waiting; the stream is to be kept until the run has ended."""
        marker = _Marker(secrets.token_hex(8))
        return self._host.stream(self._argv("cancel", task_id, marker))

    def request_skip(self, task_id: str, package: str) -> RemoteStream:
        """Asks the run to skip the build of a package, without waiting; the stream ends when it was asked."""
        marker = _Marker(secrets.token_hex(8))
        return self._host.stream([*self._argv("skip", task_id, marker), f"--package={package}"])

    def request_answer(self, task_id: str, question: str, answer: str) -> RemoteStream:
        """Answers a question of the run, without waiting; the stream ends when the answer is noted."""
        marker = _Marker(secrets.token_hex(8))
        options = [f"--question={question}", f"--answer={answer}"]
        return self._host.stream([*self._argv("answer", task_id, marker), *options])

    def follow(self, task_id: str, offset: int) -> Follow:
        """The journal from byte `offset` on, as it grows. Raises RemoteError."""
        marker = _Marker(secrets.token_hex(8))
        stream = self._host.stream([*self._argv("follow", task_id, marker), "--offset", str(offset)])
        return Follow(stream, marker, self._timeouts.silence)

    def _argv(self, command: str, task_id: str, marker: _Marker) -> list[str]:
        if not self._command:
            raise RunnerProtocolError("The runner has not been uploaded over this connection.")
        return [*self._command, command, task_id, "--nonce", marker.nonce]

    def _ask(
        self, command: str, task_id: str, *options: str, stdin: bytes = b"", timeout: float | None = None
    ) -> dict[str, Any]:
        marker = _Marker(secrets.token_hex(8))
        argv = [*self._argv(command, task_id, marker), *options]
        result = self._host.run(argv, stdin=stdin, timeout=timeout or self._timeouts.command)
        answer = marker.all(result.stdout).get("r")
        if answer is None:
            raise RunnerProtocolError(
                f"The runner did not answer to {command} (exit status {result.exit_status}){_tail(result.stderr)}."
            )
        value = _json(answer)
        if value.get("error"):
            code, message, hint = _problem(value)
            raise RunnerStartFailed(message, hint=hint, code=code)
        return value


class Follow:
    """The frames of one follower. For one thread; a context manager that closes the stream."""

    def __init__(self, stream: RemoteStream, marker: _Marker, silence: float) -> None:
        """`silence`: seconds without any frame after which the line counts as dead."""
        self._stream = stream
        self._marker = marker
        self._silence = silence
        self._heard = self._pinged = time.monotonic()

    def next(self, timeout: float) -> Frame | None:
        """The next frame; None when `timeout` seconds brought none.

        Raises ConnectionLost, also for a line that was silent for too long and for a follower that ended without
        saying so, and RunnerProtocolError."""
        end = time.monotonic() + timeout
        if time.monotonic() - self._pinged >= _PING_SECONDS:
            self._pinged = time.monotonic()
            self._stream.send(b"\n")
        while True:
            line = self._stream.read_line(max(0.0, end - time.monotonic()))
            if line == b"":
                raise ConnectionLost(
                    f"The connection to the running install broke off{_tail(self._stream.stderr_tail)}."
                )
            frame = self._frame(line) if line else None
            if frame is not None or line is None:
                now = time.monotonic()
                if frame is not None:
                    self._heard = now
                elif now - self._heard > self._silence:
                    raise ConnectionLost(f"The instance has sent nothing for {self._silence:g} s.")
                return frame

    def resume_logs(self, sizes: Mapping[str, int]) -> None:
        """Tells the follower how much of each log we have (-1: we want no more of it). Until the first call it sends no
        logs, and after each call it sends the next piece. Raises ConnectionLost."""
        self._stream.send(json.dumps({"logs": dict(sizes)}).encode("ascii") + b"\n")

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
                raise RunnerProtocolError(f"The runner sent something unknown: {payload[:80]!r}.")
            return JournalLine(int(offset), rest)
        if kind == "l":
            return _log_piece(payload)
        if kind == "e":
            return Ended(str(_json(payload).get("status")))
        if kind == "r":  # it could not follow: the next attach finds out what there is
            raise ConnectionLost(f"The running install cannot be followed: {_problem(_json(payload))[1]}")
        return Heartbeat()


def _log_piece(payload: bytes) -> LogPiece:
    value = _json(payload)
    log, at, anew, encoded = (value.get(name) for name in ("log", "at", "anew", "bytes"))
    if not isinstance(log, str) or type(at) is not int or not isinstance(encoded, str):
        raise RunnerProtocolError(f"The runner sent something unknown: {payload[:80]!r}.")
    try:
        return LogPiece(log, at, anew is True, base64.b64decode(encoded, validate=True))
    except ValueError as exc:
        raise RunnerProtocolError(f"The runner sent something unknown: {payload[:80]!r}.") from exc


def _decoded(payload: bytes) -> bytes:
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError as exc:
        raise RunnerProtocolError(f"The runner sent something unknown: {payload[:80]!r}.") from exc


def _json(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise RunnerProtocolError(f"The runner sent something unknown: {payload[:80]!r}.") from exc
    if not isinstance(value, dict):
        raise RunnerProtocolError(f"The runner sent something unknown: {payload[:80]!r}.")
    return value


def _problem(answer: Mapping[str, Any]) -> tuple[str, str, str]:
    """Code, message and hint of an answer's `error`."""
    raw = answer.get("error")
    error = raw if isinstance(raw, dict) else {}
    message = str(error.get("message") or "The runner gave no reason.")
    return str(error.get("code") or RunnerStartFailed.code), message, str(error.get("hint") or "")


def _tail(stderr: bytes) -> str:
    """The last line of an error output, for a message."""
    line = stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][-300:]
    return f": {line}" if line else ""
