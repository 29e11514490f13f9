"""The wheels that instances keep of what was built there, fetched over SSH for the user.

What an instance says of them is not trusted: names, sizes and digests are checked here, and a wheel whose bytes are not
what its digest says never arrives whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from app.domain import asked_for
from app.domain.errors import InvalidRequest, RunnerProtocolError, WheelNotFound
from app.domain.stored_request import read_request
from app.protocol.wheel_names import MAX_WHEELS, entry_of, is_wheel_name
from app.remote.connector import SshConnector
from app.remote.pace import Meter
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Timeouts
from app.sync.installs.service import Installs


@dataclass(frozen=True, slots=True)
class Wheel:
    """A kept wheel, as the instance says. `own`: built in the task's run."""

    name: str
    bytes: int
    sha256: str
    own: bool

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Content:
    """A wheel's bytes from `offset` on. `pieces` holds a connection until it is read to its end or closed."""

    wheel: Wheel
    offset: int
    pieces: Iterator[bytes]


class Wheels:
    """The kept wheels of the instances of tasks. Every method may be called from any thread, and opens a connection."""

    def __init__(self, installs: Installs, connector: SshConnector, timeouts: Timeouts) -> None:
        self._installs = installs
        self._connector = connector
        self._timeouts = timeouts

    def listed(self, task_id: str) -> list[Wheel]:
        """Those of a task's instance, by name. Raises TaskNotFound, RemoteError, RunnerError."""
        with ExitStack() as opened:
            client, ui_home = self._client(task_id, opened)
            return _read(client.wheels(task_id, ui_home))

    def content(self, task_id: str, name: str, offset: int = 0) -> Content:
        """One of them. Raises as `listed`, WheelNotFound, and InvalidRequest for an offset behind its end. `pieces`
        raises RemoteError and RunnerError, RunnerProtocolError also before the last piece of a wheel that is not what
        the instance said; the digest is known only where it is read from its beginning."""
        if not is_wheel_name(name):
            raise WheelNotFound(field="name")
        with ExitStack() as opened:
            client, ui_home = self._client(task_id, opened)
            wheel = next((each for each in _read(client.wheels(task_id, ui_home)) if each.name == name), None)
            if wheel is None:
                raise WheelNotFound(field="name")
            if offset > wheel.bytes:
                raise InvalidRequest(f"offset is {offset}, but the wheel has {wheel.bytes} bytes.", field="offset")
            pieces = checked(client.wheel(task_id, name, offset=offset, ui_home=ui_home), wheel, offset)
            first = next(pieces, b"")  # what is wrong already is answered as an error
            return Content(wheel, offset, _Pieces(chain([first], pieces), opened.pop_all()))

    def _client(self, task_id: str, opened: ExitStack) -> tuple[RunnerClient, str | None]:
        record, status = self._installs.look(task_id)
        request = read_request(record.request)
        expected = request.options.host_key_sha256
        connector = self._connector.asking_first(request.options.first_contact == "ask")
        line = connector.connect(request.address, host_key_sha256=expected, meter=Meter(), task_id=task_id)
        host = opened.enter_context(line)
        client = RunnerClient(host, pack_runner(), self._timeouts)
        client.ensure_uploaded()
        return client, asked_for.home(status.snapshot.probe.get("ui_home"), request.ui_home)


class _Pieces(Iterator[bytes]):
    """Closes the connection at the end, however it comes. Flask calls `close`."""

    def __init__(self, pieces: Iterator[bytes], opened: ExitStack) -> None:
        self._pieces = pieces
        self._opened = opened

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self._opened.close()
            raise

    def close(self) -> None:
        """Ends the reading. May be called again."""
        self._opened.close()


def checked(sent: Iterator[bytes], wheel: Wheel, offset: int) -> Iterator[bytes]:
    """What comes of a wheel, one piece late: the last one only when all were as many as the instance said, and from
    offset 0 what its digest says. Raises RunnerProtocolError."""
    digest, count, held = hashlib.sha256(), offset, b""
    for piece in sent:
        count += len(piece)
        if count > wheel.bytes:
            raise RunnerProtocolError(f"The instance sends more than the {wheel.bytes} bytes of {wheel.name}.")
        digest.update(piece)
        if held:
            yield held
        held = piece
    if count != wheel.bytes or (offset == 0 and digest.hexdigest() != wheel.sha256):
        raise RunnerProtocolError(f"The wheel {wheel.name} on the instance is damaged.")
    if held:
        yield held


def _read(answer: dict[str, Any]) -> list[Wheel]:
    """The wheels in the runner's answer; what is none is left out. Raises RunnerProtocolError."""
    raw = answer.get("wheels")
    if not isinstance(raw, list):
        raise RunnerProtocolError("The runner did not list its wheels.")
    found = {wheel.name: wheel for wheel in map(_wheel, raw[:MAX_WHEELS]) if wheel}
    return [found[name] for name in sorted(found)]


def _wheel(raw: object) -> Wheel | None:
    found = entry_of(raw)
    return Wheel(*found) if found else None
