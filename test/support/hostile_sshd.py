"""An SSH server that lies: what it answers to each command is a function of the test.

It is a real server on loopback (paramiko's), with a host key of its own. It lets everybody in with any key.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import paramiko

from app.remote.packer import pack_runner

Json = dict[str, Any]


@dataclass
class Exec:
    """A command that the service runs. `name`: `find` (looks for the runner), `upload`, or the runner's own word."""

    name: str
    words: list[str]
    nonce: str
    channel: paramiko.Channel
    stop: threading.Event

    def send(self, content: bytes) -> bool:
        """Sends; False when nobody reads any more, or the test is over."""
        rest = memoryview(content)
        while rest and not self.stop.is_set():
            try:
                rest = rest[self.channel.send(rest.tobytes()) :]
            except TimeoutError:
                continue
            except OSError:
                return False
        return not self.stop.is_set()

    def frame(self, kind: str, payload: bytes | Mapping[str, Any]) -> bool:
        """Sends a frame as the runner does."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.send(b"\n\x1eNF%s %s %s\n" % (self.nonce.encode(), kind.encode(), raw))

    def answer(self, **values: Any) -> bool:
        """The answer of a short command."""
        return self.frame("r", values)

    def wait(self, seconds: float) -> bool:
        """Waits; False when the test is over or the command's channel is closed."""
        return not self.stop.wait(seconds) and not self.channel.closed

    def forever(self, content: Callable[[], bytes], pause: float = 0.0) -> None:
        """Sends without end."""
        while self.send(content()) and self.wait(pause):
            pass


Play = Callable[[Exec], object]


@dataclass
class Hostile:
    """The server. `plays`: what it does for a command; a command without one gets an honest answer."""

    plays: dict[str, Play] = field(default_factory=dict)
    greeting: Callable[[socket.socket, threading.Event], None] | None = None
    """Instead of SSH altogether."""
    on_transport: Callable[[paramiko.Transport, threading.Event], None] | None = None
    """Besides the commands, for each connection."""

    def __post_init__(self) -> None:
        self.key = paramiko.ECDSAKey.generate()
        self.stop = threading.Event()
        self.commands: list[str] = []
        self.connections = 0
        self._threads: list[threading.Thread] = []
        self._transports: list[paramiko.Transport] = []
        self._held = _bound(0)  # the port stays ours while nobody listens at it
        self.port: int = self._held.getsockname()[1]
        self._listener = self._listening(self.port)
        """Where it listens."""

    def refuse(self) -> None:
        """No connection is accepted any more; those that there are stay."""
        self._listener.close()

    def listen(self) -> None:
        """Connections are accepted again, at the same port."""
        self._listener = self._listening(self.port)

    def cut(self) -> None:
        """Closes every connection that there is."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    @staticmethod
    def _listening(port: int) -> socket.socket:
        listener = _bound(port)
        listener.listen()
        listener.settimeout(0.1)
        return listener

    def was_asked(self, command: str) -> bool:
        """Whether the service has run this command."""
        return command in self.commands

    def __enter__(self) -> Self:
        self.start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self._listener.close()
        self._held.close()
        for thread in self._threads:
            thread.join(20)

    def start(self, target: Callable[..., None], *args: Any) -> None:
        """Runs something in a thread until the end."""

        def work() -> None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # the service has hung up
                target(*args)

        thread = threading.Thread(target=work, name="hostile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # nobody is let in now
                self.stop.wait(0.05)
                continue
            self.connections += 1
            self.start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException), contextlib.closing(sock):
            if self.greeting is not None:
                self.greeting(sock, self.stop)
                return
            transport = paramiko.Transport(sock)
            self._transports.append(transport)
            try:
                transport.add_server_key(self.key)
                transport.start_server(server=_Server(self))
                if self.on_transport:
                    self.start(self.on_transport, transport, self.stop)
                while transport.is_active() and not self.stop.wait(0.05):
                    pass
            finally:
                transport.close()
                transport.join(5)

    def play(self, command: str, channel: paramiko.Channel) -> None:
        """One command, to its end."""
        called = _exec_of(command, channel, self.stop)
        self.commands.append(called.name)
        channel.settimeout(0.2)
        self.stop.wait(0.05)  # until paramiko has said that the command began
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.plays.get(called.name, honest)(called)
            channel.send_exit_status(0)
            channel.shutdown_write()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            channel.close()


class _Server(paramiko.ServerInterface):
    def __init__(self, hostile: Hostile) -> None:
        self._hostile = hostile

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._hostile.start(self._hostile.play, command.decode("utf-8", "replace"), channel)
        return True


def _bound(port: int) -> socket.socket:
    """A socket at this port (0: a free one), which others of ours may share."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


def _exec_of(command: str, channel: paramiko.Channel, stop: threading.Event) -> Exec:
    words = shlex.split(command)
    if words[:1] == ["exec"]:  # see app/remote/quoting.py
        words = shlex.split(re.sub(r"\\0([0-7]{3})", lambda found: chr(int(found[1], 8)), words[-1]))[1:]
    if "sh" in words[:1] and "nodeferry-path-" in command:
        return Exec("upload", words, "", channel, stop)
    if words[:1] == ["sh"]:
        return Exec("find", words, words[4], channel, stop)
    nonce = re.search(r"--nonce (\S+)", command)
    return Exec(words[4], words, nonce.group(1) if nonce else "", channel, stop)


def honest(called: Exec) -> None:
    """What a machine with a runner answers, whose run goes on and says nothing."""
    if called.name == "find":
        called.frame("s", b"Linux")
        called.frame("p", b"/usr/bin/python3")
        called.frame("h", pack_runner().sha256.encode())
        called.frame("f", b"/root/runner.pyz")
    elif called.name == "follow":
        called.forever(lambda: b"\n\x1eNF%s h {}\n" % called.nonce.encode(), 0.5)
    elif called.name == "probe":
        called.answer(ui_home="/root/ComfyUI")
    else:
        called.answer(status="running", offset=0)


def silent(called: Exec) -> None:
    """Says nothing, and does not end."""
    while called.wait(0.1):
        pass
