"""Calls the runner's command line over one connection. docs/journal.md describes its commands and frames.

Lines for us begin with a marker that has a random nonce, so that banners and shell output do no harm.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from app.domain.errors import CommandTimedOut, ConnectionLost, RunnerProtocolError, RunnerUnsupported
from app.protocol.answers import Started, Status, Swept, read_answer
from app.protocol.clean_text import clean_line
from app.protocol.json_fields import BadField, ProtocolFault
from app.protocol.probe_answer import ProbeAnswer, read_homes, read_probe
from app.remote.follow import CancelRequest, Follow, Marker, Noise, answer_of, decoded, problem_of, tail
from app.remote.host import RemoteHost
from app.remote.packer import Packed
from app.remote.stream import RemoteStream
from app.settings import Timeouts

FOLDER = "~/.local/state/nodeferry/bin"
_MAX_WORD = 100
_MAX_PATH = 4096
_T = TypeVar("_T")
_LOOK = "look for Python and the runner"
_WHY = {
    "start": "start the run, or find it",
    "status": "look how the run stands",
    "cancel": "stop the run",
    "sweep": "end what a killed run has left",
    "probe": "look at the machine",
    "follow": "follow the run",
    "skip": "skip a build",
    "answer": "answer a question of the run",
    "wheels": "list the kept wheels",
    "wheel": "fetch a kept wheel",
}
"""What the runner's commands are for, in the audit log."""

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


class RunnerClient:
    """The runner on one connected instance. For the thread that uses the connection."""

    def __init__(self, host: RemoteHost, packed: Packed, timeouts: Timeouts) -> None:
        self._host = host
        self._packed = packed
        self._timeouts = timeouts
        self._command: tuple[str, ...] = ()

    def ensure_uploaded(self) -> None:
        """Finds a Python, and uploads the runner unless it is there, within `timeouts.command` seconds in all. Raises
        RunnerUnsupported, RunnerProtocolError, RemoteError."""
        end = time.monotonic() + self._timeouts.command
        marker = Marker(secrets.token_hex(8))
        args = [marker.nonce, FOLDER, self._packed.name]
        result = self._host.run_script(_FIND, args=args, timeout=self._timeouts.command, why=_LOOK)
        said = {kind: payload.decode("utf-8", "surrogateescape") for kind, payload in marker.all(result.stdout).items()}
        if "s" not in said:
            raise RunnerUnsupported(f"The instance's login shell does not run sh commands{tail(result.stderr)}.")
        if said["s"] != "Linux":
            raise RunnerUnsupported(f"The instance runs {clean_line(said['s'], _MAX_WORD)}, not Linux.")
        if "p" not in said:
            raise RunnerUnsupported("The instance has no Python 3.9 or newer.")
        path = said.get("f", "")
        if not path or said.get("h") != self._packed.sha256:
            path = self._host.upload(
                self._packed.content,
                folder=FOLDER,
                name=self._packed.name,
                sha256=self._packed.sha256,
                timeout=_left(end, self._timeouts.command),
            )
        self._command = (_path(said["p"]), "-I", "-S", _path(path))

    def start(self, task_id: str, request: Mapping[str, Any]) -> Started:
        """Starts the run, or finds the one that was started before.

        Raises RunnerStartFailed (with the runner's own reason), RunnerProtocolError, RemoteError."""
        return _read(Started, self._ask("start", task_id, stdin=json.dumps(request).encode("utf-8")))

    def status(self, task_id: str) -> Status:
        """How the run stands. Raises as `start`."""
        return _read(Status, self._ask("status", task_id))

    def cancel(self, task_id: str, timeout: float = 15.0) -> None:
        """Stops the run and waits for its end, 10 s at most. `timeout`: for the answer. Raises as `start`."""
        self._ask("cancel", task_id, timeout=timeout)

    def sweep(self, task_id: str) -> Swept:
        """After `died`: ends what the killed run left and removes its staging. Raises as `start`."""
        return _read(Swept, self._ask("sweep", task_id))

    def probe(
        self, ui_home: str | None = None, venv_path: str | None = None, *, timeout: float | None = None
    ) -> ProbeAnswer:
        """What the instance says that it has. `timeout`: seconds. Raises as `start`."""
        options = [*(["--ui-home", ui_home] if ui_home else []), *(["--venv-path", venv_path] if venv_path else [])]
        try:
            value = self._said("probe", "-", *options, timeout=timeout)
            if value.get("error"):
                error = problem_of(value).as_error()
                error.ui_homes = read_homes(value)
                raise error
            return read_probe(value)
        except BadField as exc:
            message = f"The runner's answer about the machine cannot be understood: {exc}."
            raise RunnerProtocolError(message) from exc

    def wheels(self, task_id: str, ui_home: str | None = None) -> dict[str, Any]:
        """The wheels that the instance keeps, as it says: `wheels`, a list of objects. Raises as `start`."""
        return self._ask("wheels", task_id, *(["--ui-home", ui_home] if ui_home else []))

    def wheel(self, task_id: str, name: str, *, offset: int = 0, ui_home: str | None = None) -> Iterator[bytes]:
        """A kept wheel from a byte on, in pieces, as much as the instance sends. Raises as `start`, and ConnectionLost
        where nothing comes for too long; closing the iterator ends the sending."""
        marker = Marker(secrets.token_hex(8))
        options = ["--name", name, "--offset", str(offset), *(["--ui-home", ui_home] if ui_home else [])]
        stream, noise = self._host.stream([*self._argv("wheel", task_id, marker), *options], why=_WHY["wheel"]), Noise()
        try:
            while True:
                line = stream.read_line(self._timeouts.silence)
                if not line:
                    raise ConnectionLost(f"The instance stopped sending the wheel{tail(stream.stderr_tail)}.")
                kind, payload = marker.find(line) or ("", b"")
                if kind == "e":
                    return
                if kind == "r":
                    raise problem_of(answer_of(payload)).as_error()
                if kind == "w":
                    noise.forgive()
                    yield decoded(payload)
                else:
                    noise.add(line)
        finally:
            stream.close()

    def request_cancel(self, task_id: str) -> CancelRequest:
        """Asks the run to stop, without waiting."""
        marker = Marker(secrets.token_hex(8))
        return CancelRequest(self._host.stream(self._argv("cancel", task_id, marker), why=_WHY["cancel"]), marker)

    def request_skip(self, task_id: str, package: str, mark: str = "") -> RemoteStream:
        """Asks the run to skip the build of a package, without waiting; the stream ends when it was asked. `mark`: of
        the run's seal, here and below."""
        marker = Marker(secrets.token_hex(8))
        argv = [*self._argv("skip", task_id, marker), f"--package={package}", *_mark(mark)]
        return self._host.stream(argv, why=_WHY["skip"])

    def request_answer(self, task_id: str, question: str, answer: str, mark: str = "") -> RemoteStream:
        """Answers a question of the run, without waiting; the stream ends when the answer is noted."""
        marker = Marker(secrets.token_hex(8))
        options = [f"--question={question}", f"--answer={answer}", *_mark(mark)]
        return self._host.stream([*self._argv("answer", task_id, marker), *options], why=_WHY["answer"])

    def follow(self, task_id: str, offset: int) -> Follow:
        """The journal from byte `offset` on, as it grows. Raises RemoteError."""
        marker = Marker(secrets.token_hex(8))
        argv = [*self._argv("follow", task_id, marker), "--offset", str(offset)]
        stream = self._host.stream(argv, why=_WHY["follow"])
        return Follow(stream, marker, self._timeouts.silence)

    def _argv(self, command: str, task_id: str, marker: Marker) -> list[str]:
        if not self._command:
            raise RunnerProtocolError("The runner has not been uploaded over this connection.")
        return [*self._command, command, task_id, "--nonce", marker.nonce]

    def _ask(
        self, command: str, task_id: str, *options: str, stdin: bytes = b"", timeout: float | None = None
    ) -> dict[str, Any]:
        value = self._said(command, task_id, *options, stdin=stdin, timeout=timeout)
        if value.get("error"):
            raise problem_of(value).as_error()
        return value

    def _said(
        self, command: str, task_id: str, *options: str, stdin: bytes = b"", timeout: float | None = None
    ) -> dict[str, Any]:
        """What the runner answers, be it an error."""
        marker = Marker(secrets.token_hex(8))
        argv = [*self._argv(command, task_id, marker), *options]
        result = self._host.run(argv, stdin=stdin, timeout=timeout or self._timeouts.command, why=_WHY[command])
        answer = marker.all(result.stdout).get("r")
        if answer is None:
            raise RunnerProtocolError(
                f"The runner did not answer to {command} (exit status {result.exit_status}){tail(result.stderr)}."
            )
        return answer_of(answer)


def _read(cls: type[_T], answer: object) -> _T:
    """An answer of the runner. Raises RunnerProtocolError."""
    try:
        return read_answer(cls, answer)
    except ProtocolFault as exc:
        raise RunnerProtocolError(f"The runner sent something unknown: {exc}.") from exc


def _mark(mark: str) -> list[str]:
    """A runner of an earlier version knows no marks, and is given none."""
    return [f"--mark={mark}"] if mark else []


def _path(text: str) -> str:
    """A path that the instance names, which goes back to it in commands. Raises RunnerProtocolError."""
    if not text.startswith("/") or len(text) > _MAX_PATH or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
        raise RunnerProtocolError("The instance named a program's path that there cannot be.")
    return text


def _left(end: float, timeout: float) -> float:
    """Seconds until `end`. Raises CommandTimedOut when it is over."""
    left = end - time.monotonic()
    if left <= 0:
        raise CommandTimedOut(f"The instance did not answer within {timeout:g} s.")
    return left
