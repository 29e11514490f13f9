"""The SSH side of a played fleet: a listener for each instance, each with a host key of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import asyncssh
from asyncssh.constants import MSG_IGNORE

from bench.fleet.follower import Follower
from bench.fleet.machine import Machine
from bench.fleet.script import Fate
from bench.hostile.words import Words

_WITH_INPUT = frozenset({"start", "upload"})
"""Commands that are answered once their input has ended."""
_BACKLOG = 16

Listener = asyncio.AbstractServer | asyncssh.SSHAcceptor


class _Server(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, machine: Machine, key: str | None) -> None:
        self._machine = machine
        self._key = key
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        _without_padding(conn)
        self._machine.greeted(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._machine.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._key is None or key.export_public_key().decode().split()[:2] == self._key.split()[:2]

    def auth_completed(self) -> None:
        self._machine.logins += 1

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._machine)


def _without_padding(connection: asyncssh.SSHServerConnection) -> None:
    """asyncssh sends an empty message before each of its own; sshd does not, and the service would read twice as many
    as it does in life."""
    send = connection.send_packet

    def send_packet(kind: int, *parts: bytes, **about: Any) -> None:
        if kind != MSG_IGNORE:
            send(kind, *parts, **about)

    connection.send_packet = send_packet  # type: ignore[assignment, method-assign]


class _Session(asyncssh.SSHServerSession[bytes]):
    """One command."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._words = Words("", "", ())
        self._input = bytearray()
        self._follower: Follower | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        self._words = Words.of(command.encode())
        return True

    def session_started(self) -> None:
        run = self._machine.runs.get(self._words.task_id)
        if self._words.name == "follow" and run is not None:
            self._follower = Follower(run, self._words, self._send, self._end)
            self._follower.pump()
        elif self._words.name not in _WITH_INPUT:
            self._answer()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._follower is not None:
            self._follower.received(data)
        else:
            self._input += data

    def eof_received(self) -> bool:
        if self._follower is not None:
            self._follower.close()
            self._end()
        elif self._words.name in _WITH_INPUT:
            self._answer()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._follower is not None:
            self._follower.close()

    def _answer(self) -> None:
        self._send(self._machine.answer(self._words, bytes(self._input)))
        self._input.clear()
        self._end()

    def _send(self, content: bytes) -> None:
        if self._channel is not None:
            with contextlib.suppress(BrokenPipeError):  # the connection is going
                self._channel.write(content)

    def _end(self) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.exit(0)


class _Mute(asyncio.Protocol):
    """A host that accepts connections and says nothing."""


async def listen(machines: Sequence[Machine], port: int, key: str | None) -> list[Listener]:
    """Opens the listeners. `key`: the public key that gets in; None: any. Raises OSError where the port is taken at
    one of the addresses."""
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
    opened: list[Listener] = []
    try:
        for machine in machines:
            opened.append(await _listen_for(machine, port, key))  # noqa: PERF401 - what is open is closed where one fails
    except OSError:
        for server in opened:
            server.close()
        raise
    return opened


async def _listen_for(machine: Machine, port: int, key: str | None) -> Listener:
    host = machine.address
    if machine.script.fate is Fate.SILENT:
        return await asyncio.get_running_loop().create_server(_Mute, host, port, backlog=_BACKLOG)
    return await asyncssh.listen(
        host,
        port,
        backlog=_BACKLOG,
        server_factory=lambda: _Server(machine, key),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        encoding=None,
        line_editor=False,
        allow_pty=False,
        agent_forwarding=False,
        compression_algs=None,
        config=None,
    )
