"""One connection that speaks SSH: the server's side of the login, the lies of the transport and of channels."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import paramiko
from paramiko import common

from bench.hostile.evil import STEERING
from bench.hostile.instance import Instance
from bench.hostile.pace import Pace
from bench.hostile.script import Script
from bench.hostile.words import Words

_LOGIN_SECONDS = 20.0
_SEND_SECONDS = 10.0
_ACCEPT_SECONDS = 0.1
"""Before a command says something: first comes the server's word that it was started, from another thread."""


class Connection(paramiko.ServerInterface):
    """The server's decisions. Called from the transport's thread; each command has a thread of its own. `before`: it is
    a true connection that is lost before the first lie."""

    def __init__(self, script: Script, instance: Instance, pace: Pace, *, lies: bool, before: bool) -> None:
        self._script = script
        self._instance = instance
        self._pace = pace
        self._lies = lies
        self._before = before
        self._asked = 0
        self._unlucky = script.dice("channel").randrange(4)
        """Which channel is not opened."""

    def play(self, sock: socket.socket) -> None:
        """To the end of the connection."""
        transport = paramiko.Transport(sock)
        transport.add_server_key(HOST_KEY)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer)
        try:
            transport.start_server(server=self)
            if self._lies and self._script.level == "transport":
                _TRANSPORT.get(self._script.what, _nothing)(transport, self._pace, self._script)
            while transport.is_active() and not self._pace.over:
                self._pace.hold(0.2)
        finally:
            self._pace.end()
            transport.close()

    # -- the login ---------------------------------------------------------------------------------------------------

    def get_allowed_auths(self, username: str) -> str:
        return "none,publickey"

    def get_banner(self) -> tuple[str | None, str | None]:
        if self._is("transport", "a login banner of 30 KB that steers"):
            return STEERING * 100, "en"
        return None, None

    def check_auth_none(self, username: str) -> int:
        if self._is("transport", "closes in the login"):
            self._pace.end()
            return common.AUTH_FAILED
        if self._is("transport", "the login is never answered"):
            self._pace.stay()
        return common.AUTH_SUCCESSFUL

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self.check_auth_none(username)

    # -- channels ----------------------------------------------------------------------------------------------------

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._asked += 1
        unlucky = self._asked > self._unlucky
        if unlucky and self._is("channel", "refused"):
            return common.OPEN_FAILED_RESOURCE_SHORTAGE
        if unlucky and self._is("channel", "never opened"):
            self._pace.stay()
        return common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        words = Words.of(command)
        mine = words.name == self._script.command
        if mine and self._is("channel", "never started"):
            self._pace.stay()
        if mine and self._is("channel", "not started"):
            return False
        channel.settimeout(_SEND_SECONDS)
        arguments = (channel, words, mine)
        threading.Thread(target=self._command, args=arguments, name=f"command-{words.name}", daemon=True).start()
        return True

    def _command(self, channel: paramiko.Channel, words: Words, mine: bool) -> None:
        lie = _CHANNEL.get(self._script.what) if mine and self._lies and self._script.level == "channel" else None
        self._pace.hold(_ACCEPT_SECONDS)
        try:
            if lie is not None:
                lie(channel, self._pace)
            else:
                told = self._lies and (mine or self._script.level == "journal")
                cut = not self._lies and self._before
                self._instance.answer(channel, words, self._pace, lies=told, cut=cut)
        except (OSError, EOFError, paramiko.SSHException):  # the other side has gone, or does not read
            channel.close()

    def _is(self, level: str, what: str) -> bool:
        return self._lies and (self._script.level, self._script.what) == (level, what)


# -- the transport's lies --------------------------------------------------------------------------------


def _nothing(_transport: paramiko.Transport, _pace: Pace, _script: Script) -> None:
    """It is told elsewhere."""


def _message(transport: paramiko.Transport, kind: bytes, *parts: bytes | int | bool) -> int:
    message = paramiko.Message()
    message.add_byte(kind)
    size = 1
    for part in parts:
        if isinstance(part, bool):
            message.add_boolean(part)
        elif isinstance(part, int):
            message.add_int(part)
        else:
            message.add_string(part)
            size += len(part)
    transport._send_user_message(message)  # type: ignore[attr-defined]
    return size + 40


def _logged_in(transport: paramiko.Transport, pace: Pace) -> None:
    for _ in pace.rounds(0.05):
        if transport.is_authenticated() or not transport.is_active():
            return


def _ignore(transport: paramiko.Transport, pace: Pace, _script: Script) -> None:
    pace.repeat(lambda: _message(transport, common.cMSG_IGNORE, bytes(8192)))


def _debug(transport: paramiko.Transport, pace: Pace, _script: Script) -> None:
    pace.repeat(lambda: _message(transport, common.cMSG_DEBUG, True, STEERING.encode() * 20, b"en"))


def _new_keys(transport: paramiko.Transport, pace: Pace, _script: Script) -> None:
    _logged_in(transport, pace)
    for _ in pace.rounds(0.1):
        transport.renegotiate_keys()


def _requests(transport: paramiko.Transport, pace: Pace, _script: Script) -> None:
    _logged_in(transport, pace)
    pace.repeat(
        lambda: sum(
            (
                _message(transport, common.cMSG_GLOBAL_REQUEST, b"keepalive@openssh.com", True),
                _message(transport, common.cMSG_CHANNEL_OPEN, b"session", 7, 2**31 - 1, 32768),
                _message(transport, common.cMSG_CHANNEL_OPEN, b"forwarded-tcpip", 8, 2**31 - 1, 32768, b"x" * 2000),
                _message(transport, common.cMSG_GLOBAL_REQUEST, b"hostkeys-00@openssh.com", False, b"x" * 2000),
            )
        )
    )


def _unknown(transport: paramiko.Transport, pace: Pace, script: Script) -> None:
    dice = script.dice("unknown")
    _logged_in(transport, pace)
    pace.repeat(lambda: _message(transport, bytes((dice.randrange(100, 256),)), dice.randbytes(500)))


def _unasked(transport: paramiko.Transport, pace: Pace, script: Script) -> None:
    dice = script.dice("unasked")
    kinds = (common.cMSG_CHANNEL_SUCCESS, common.cMSG_CHANNEL_EOF, common.cMSG_CHANNEL_OPEN_SUCCESS)
    _logged_in(transport, pace)
    for _ in pace.rounds(0.05):
        _message(transport, dice.choice(kinds), dice.randrange(4), 0, 2**31, 2**31)


def _random_end(_transport: paramiko.Transport, pace: Pace, script: Script) -> None:
    pace.hold(script.dice("end").uniform(0.0, 6.0))
    pace.end()


_TRANSPORT: dict[str, Callable[[paramiko.Transport, Pace, Script], None]] = {
    "messages to ignore without end": _ignore,
    "debug messages without end": _debug,
    "new keys without end": _new_keys,
    "requests without end": _requests,
    "unknown messages": _unknown,
    "answers to what nobody asked": _unasked,
    "closes at a random moment": _random_end,
}


# -- the lies of one command's channel ----------------------------------------------------------------------


def _endless(channel: paramiko.Channel, pace: Pace) -> None:
    pace.repeat(lambda: _sent(channel.sendall, b"nothing that matters\n" * 800))


def _endless_errors(channel: paramiko.Channel, pace: Pace) -> None:
    pace.repeat(lambda: _sent(channel.sendall_stderr, STEERING.encode() * 60 + b"\n"))


def _unknown_errors(channel: paramiko.Channel, pace: Pace) -> None:
    transport = channel.get_transport()
    kind = common.cMSG_CHANNEL_EXTENDED_DATA
    pace.repeat(lambda: _message(transport, kind, channel.remote_chanid, 77, b"x" * 8000))


def _status_only(channel: paramiko.Channel, pace: Pace) -> None:
    channel.send_exit_status(0)
    pace.stay()


def _end_only(channel: paramiko.Channel, pace: Pace) -> None:
    channel.shutdown_write()
    pace.stay()


def _reads_nothing(_channel: paramiko.Channel, pace: Pace) -> None:
    pace.stay()


def _window(channel: paramiko.Channel, pace: Pace) -> None:
    transport = channel.get_transport()
    for _ in pace.rounds(0.02):
        _message(transport, common.cMSG_CHANNEL_WINDOW_ADJUST, channel.remote_chanid, 2**32 - 1)


def _more_than_the_window(channel: paramiko.Channel, pace: Pace) -> None:
    transport, kind = channel.get_transport(), common.cMSG_CHANNEL_DATA
    pace.repeat(lambda: _message(transport, kind, channel.remote_chanid, b"x" * 30_000))


def _closes_all(channel: paramiko.Channel, pace: Pace) -> None:
    channel.sendall(b"\n\x1eNF")
    pace.end()


def _after_the_end(channel: paramiko.Channel, pace: Pace) -> None:
    transport, kind = channel.get_transport(), common.cMSG_CHANNEL_DATA
    channel.shutdown_write()
    pace.repeat(lambda: _message(transport, kind, channel.remote_chanid, b"late\n" * 500))


def _sent(send: Callable[[bytes], object], content: bytes) -> int:
    send(content)
    return len(content)


_CHANNEL: dict[str, Callable[[paramiko.Channel, Pace], None]] = {
    "status without an end": _status_only,
    "end without a status": _end_only,
    "output without end": _endless,
    "errors without end": _endless_errors,
    "errors of an unknown kind": _unknown_errors,
    "reads no input": _reads_nothing,
    "window without bound": _window,
    "more than the window": _more_than_the_window,
    "closes with the connection": _closes_all,
    "output after its end": _after_the_end,
}
HOST_KEY = paramiko.ECDSAKey.generate()
