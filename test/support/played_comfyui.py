"""A server in ComfyUI's place that answers as a test wants, and a tunnel that leads to it through a real sshd."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.address import parse_address
from app.remote.connector import SshConnector
from app.remote.forward import Forward
from app.settings import Timeouts
from app.standin.sshd import SshServer
from test.support.memory_pins import MemoryPins

Play = Callable[[socket.socket, bytes, bytes], None]
"""Gets the connection, a request's head, and what has come of its body; answers as it likes."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class PlayedComfyUi:
    """Answers each address that begins as one of `plays`; every other with `ok`. Keeps connections open."""

    def __init__(self, plays: dict[str, Play] | None = None) -> None:
        self.plays = plays or {}
        self.heads: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._pool = ThreadPoolExecutor(160, thread_name_prefix="played")
        self._open: set[socket.socket] = set()
        self._pool.submit(self._serve)

    def close(self) -> None:
        """Ends every connection."""
        for one in [self._listening, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._pool.shutdown(wait=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer = self._listening.accept()[0]
                self._open.add(peer)
                self._pool.submit(self._talk, peer)

    def _talk(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            peer.settimeout(60)
            while (heard := until_end_of_head(peer)) is not None:
                head, rest = heard
                self.heads.append(head)
                target = head.split(b" ")[1].decode()
                play = next((play for start, play in self.plays.items() if target.startswith(start)), None)
                if play is None:
                    peer.sendall(OK)
                else:
                    play(peer, head, rest)
        self._open.discard(peer)


def until_end_of_head(peer: socket.socket) -> tuple[bytes, bytes] | None:
    """A head, and what has come behind it; None at the end."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        chunk = peer.recv(65536)
        if not chunk:
            return None
        heard += chunk
    head, _, rest = heard.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def raw(answer: bytes, *, close: bool = False) -> Play:
    """Answers with these bytes."""

    def play(peer: socket.socket, _head: bytes, _rest: bytes) -> None:
        peer.sendall(answer)
        if close:
            peer.shutdown(socket.SHUT_RDWR)

    return play


def never(peer: socket.socket, _head: bytes, _rest: bytes) -> None:
    """Hears a body to the connection's end, and answers nothing."""
    while peer.recv(65536):
        pass


@dataclass
class OpenTunnel:
    """A tunnel to a port of the instance."""

    forward: Forward
    ended: Future[str]
    stop: threading.Event

    @property
    def port(self) -> int:
        """The local one."""
        return self.forward.access.port

    @property
    def capability(self) -> str:
        """Who knows it is let in."""
        return self.forward.access.capability

    @property
    def cookie(self) -> str:
        """As a browser has it after the first hit."""
        return f"{self.forward.access.cookie}={self.capability}"

    def reach(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def head(self, method: str = "GET", target: str = "/", *more: str, host: str | None = None) -> bytes:
        """A request's head with the cookie, and with more lines."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host or f'localhost:{self.port}'}", f"Cookie: {self.cookie}"]
        return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")

    def say(self, request: bytes) -> bytes:
        """Everything that is answered to these bytes, until the connection ends."""
        with self.reach() as here:
            here.sendall(request)
            return rest_of(here)


def rest_of(here: socket.socket) -> bytes:
    """What comes until the end, however it ends."""
    heard = b""
    with contextlib.suppress(ConnectionError):
        while chunk := here.recv(65536):
            heard += chunk
    return heard


@contextmanager
def tunnel_to(
    port: int, folder: Path, *, names: frozenset[str] = frozenset(), idle: float = 900.0
) -> Iterator[OpenTunnel]:
    """A tunnel through an sshd of its own in `folder`; its thread has ended with the block."""
    server = SshServer(folder, set_env={"PATH": os.defpath})
    server.prepare()
    server.start()
    try:
        address = parse_address(f"ssh -p {server.port} -i {server.client_key} {server.user}@127.0.0.1")
        host = SshConnector(MemoryPins(), Timeouts(connect=10.0, command=10.0), ssh_dir=folder / "ssh").connect(address)
        hosts = frozenset({"localhost"})
        forward, stop = Forward(host, port, names=names, hosts=hosts, idle_seconds=idle), threading.Event()
        with ThreadPoolExecutor(1, thread_name_prefix="serving") as pool:
            ended = pool.submit(forward.serve, stop)
            try:
                yield OpenTunnel(forward, ended, stop)
            finally:
                stop.set()
    finally:
        server.stop()
