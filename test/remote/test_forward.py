"""A port here that leads to one of an instance: WebSockets pass both ways, and nothing is left when it ends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from app.remote.connector import SshConnector
from app.remote.forward import Forward
from test.remote.conftest import TIMEOUTS, Sshd
from test.support.memory_pins import MemoryPins
from test.support.waiting import wait_until

pytestmark = [pytest.mark.sshd, pytest.mark.slow]

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Server:
    """On the instance: answers an upgrade, speaks first, then gives back what it hears in capitals; after the other
    side's end it says that it has heard it."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self._pool = pool
        pool.submit(self._serve)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._pool.submit(self._talk, self.listening.accept()[0])

    def _talk(self, there: socket.socket) -> None:
        with there, contextlib.suppress(OSError):
            heard = b""
            while not heard.endswith(b"\r\n\r\n"):
                heard += there.recv(4096)
            there.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\nfirst")
            while chunk := there.recv(65536):
                there.sendall(chunk.upper())
            there.sendall(b"heard the end")


Opened = tuple[Forward, "Future[str]", threading.Event]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads of the test itself."""
    with ThreadPoolExecutor(12, thread_name_prefix="test") as threads:
        yield threads


@pytest.fixture
def server(pool: ThreadPoolExecutor) -> Iterator[Server]:
    """What runs on the instance."""
    found = Server(pool)
    yield found
    with contextlib.suppress(OSError):
        found.listening.shutdown(socket.SHUT_RDWR)
    found.listening.close()


@pytest.fixture
def opened(sshd: Sshd, server: Server, pool: ThreadPoolExecutor) -> Iterator[Callable[..., Opened]]:
    """Opens a forward to the server, or to another port."""
    stops = []

    def start(port: int | None = None, idle_seconds: float = 900.0) -> Opened:
        host = SshConnector(MemoryPins(), TIMEOUTS).connect(sshd.address)
        forward, stop = Forward(host, port or server.port, idle_seconds=idle_seconds), threading.Event()
        stops.append(stop)
        return forward, pool.submit(forward.serve, stop), stop

    yield start
    for stop in stops:
        stop.set()


def reach(forward: Forward) -> socket.socket:
    """A browser's connection."""
    return socket.create_connection(("127.0.0.1", forward.access.port), 10)


def upgrade(here: socket.socket, forward: Forward) -> None:
    """Asks for a WebSocket, as a page of the tunnel does, and gets it; the other side has begun to speak."""
    access = forward.access
    lines = [
        "GET /ws HTTP/1.1",
        f"Host: localhost:{access.port}",
        f"Cookie: {access.cookie}={access.capability}",
        "Connection: Upgrade",
        "Upgrade: websocket",
    ]
    here.sendall("\r\n".join([*lines, "", ""]).encode())
    heartbeat(here, SWITCHED + b"first")


def heartbeat(here: socket.socket, wanted: bytes) -> None:
    heard = b""
    while len(heard) < len(wanted):
        chunk = here.recv(65536)
        assert chunk, heard[-100:]
        heard += chunk
    assert heard == wanted


def test_an_upgraded_connection_speaks_both_ways_and_may_be_ended_one_way(opened: Callable[..., Opened]) -> None:
    """As a WebSocket does: either side may begin; what was sent before an end arrives, and the answer to it too."""
    forward, _, _ = opened()
    with reach(forward) as here:
        upgrade(here, forward)
        here.sendall(b"hello")
        heartbeat(here, b"HELLO")
        big = b"x" * 3_000_000
        with ThreadPoolExecutor(1) as sending:
            sent = sending.submit(here.sendall, big)
            heartbeat(here, big.upper())
            sent.result(10)
        here.shutdown(socket.SHUT_WR)
        heartbeat(here, b"heard the end")
        assert here.recv(1) == b""


def test_several_connections_at_once_do_not_mix(opened: Callable[..., Opened]) -> None:
    """A page has some seven."""
    forward, _, _ = opened()
    with contextlib.ExitStack() as stack:
        all_of_them = [stack.enter_context(reach(forward)) for _ in range(5)]
        for here in all_of_them:
            upgrade(here, forward)
        for number, here in enumerate(all_of_them):
            here.sendall(b"number %d" % number)
        for number, here in reversed(list(enumerate(all_of_them))):
            heartbeat(here, b"NUMBER %d" % number)


def test_a_stop_ends_what_goes_through_and_leaves_no_thread(opened: Callable[..., Opened]) -> None:
    """The browser sees the end; the port is closed."""
    forward, ended, stop = opened()
    with reach(forward) as here:
        upgrade(here, forward)
        stop.set()
        assert ended.result(10) == "stopped"
        assert here.recv(1) == b""
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("forward")]


def test_one_that_nobody_uses_is_closed_by_itself_and_one_in_use_is_not(opened: Callable[..., Opened]) -> None:
    """Idle is counted from the end of the last connection."""
    forward, ended, _ = opened(idle_seconds=0.6)
    with reach(forward) as here:
        upgrade(here, forward)
        with pytest.raises(TimeoutError):
            ended.result(1.5)
    assert ended.result(10) == "not_used"


def test_a_lost_line_is_said(opened: Callable[..., Opened], sshd: Sshd) -> None:
    """And what went through ends."""
    forward, ended, _ = opened()
    with reach(forward) as here:
        upgrade(here, forward)
        sshd.kill_connections()
        assert ended.result(15) == "connection_lost"
        with contextlib.suppress(ConnectionError):
            assert here.recv(1) == b""


def test_a_port_where_nothing_listens_ends_the_connection_alone(opened: Callable[..., Opened]) -> None:
    """The tunnel stays: ComfyUI may be restarting."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    forward, ended, _ = opened(port)
    for _ in range(2):
        with reach(forward) as here:
            access = forward.access
            cookie = f"Cookie: {access.cookie}={access.capability}"
            here.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{access.port}\r\n{cookie}\r\n\r\n".encode())
            assert here.recv(65536).startswith(b"HTTP/1.1 502 ")
    wait_until(lambda: not ended.done(), 1, "the forward goes on")
