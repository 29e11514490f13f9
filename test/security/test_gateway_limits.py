"""Whoever holds connections to a tunnel open, stalls or floods locks out nobody else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.domain.address import parse_address
from app.remote.connector import SshConnector
from app.remote.forward import MAX_CONNECTIONS, MAX_NEW, Forward
from app.settings import Timeouts
from test.remote.conftest import make_key
from test.support.flooding_ssh import FloodingSshServer
from test.support.memory_pins import MemoryPins
from test.support.played_comfyui import OpenTunnel, PlayedComfyUi, rest_of, tunnel_to
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def websocket(peer: socket.socket, _head: bytes, rest: bytes) -> None:
    """Gives back what it hears."""
    peer.sendall(SWITCHED + rest)
    while chunk := peer.recv(65536):
        peer.sendall(chunk)


def endless(peer: socket.socket, _head: bytes, _rest: bytes) -> None:
    """An answer without an end."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")


def silent(peer: socket.socket, _head: bytes, _rest: bytes) -> None:
    """No answer."""
    peer.recv(1)


@pytest.fixture
def comfyui() -> Iterator[PlayedComfyUi]:
    """Runs on the instance."""
    played = PlayedComfyUi({"/ws": websocket, "/endless": endless, "/silent": silent})
    yield played
    played.close()


@pytest.fixture
def tunnel(comfyui: PlayedComfyUi, tmp_path: Path) -> Iterator[OpenTunnel]:
    """Leads to it."""
    with tunnel_to(comfyui.port, tmp_path / "t") as opened:
        yield opened


def answers(tunnel: OpenTunnel) -> bool:
    """Whether a request of one who is let in is answered by ComfyUI."""
    return tunnel.say(tunnel.head("GET", "/", "Connection: close")).endswith(b"\r\n\r\nok")


def asks_on(here: socket.socket, tunnel: OpenTunnel) -> None:
    """One more request on a connection, and its answer."""
    here.sendall(tunnel.head())
    heard = b""
    while not heard.endswith(b"\r\n\r\nok"):
        chunk = here.recv(65536)
        assert chunk
        heard += chunk
    assert heard.startswith(b"HTTP/1.1 200 ")


def opened_websocket(tunnel: OpenTunnel) -> socket.socket:
    here = tunnel.reach()
    here.sendall(tunnel.head("GET", "/ws", "Connection: Upgrade", "Upgrade: websocket"))
    heard = b""
    while len(heard) < len(SWITCHED):
        heard += here.recv(len(SWITCHED) - len(heard))
    assert heard == SWITCHED
    return here


def still_echoes(websocket: socket.socket) -> bool:
    websocket.sendall(b"x")
    return websocket.recv(1) == b"x"


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: loc"], ids=["idle", "half a head"])
def test_idle_strangers_lock_out_nobody(tunnel: OpenTunnel, begun: bytes) -> None:
    """They are closed first, the oldest first; a WebSocket that is open and a kept connection stay."""
    with ExitStack() as stack:
        used = stack.enter_context(opened_websocket(tunnel))
        kept = stack.enter_context(tunnel.reach())
        asks_on(kept, tunnel)
        strangers = [stack.enter_context(tunnel.reach()) for _ in range(MAX_CONNECTIONS + MAX_NEW)]
        for stranger in strangers:
            stranger.send(begun) if begun else None
        assert rest_of(strangers[0]) == b""
        assert answers(tunnel)
        assert still_echoes(used)
        asks_on(kept, tunnel)


def test_kept_connections_make_room_for_new_ones(tunnel: OpenTunnel) -> None:
    """The one that is idle for longest goes first."""
    with ExitStack() as stack:
        kept = []
        for _ in range(MAX_CONNECTIONS):
            kept.append(stack.enter_context(tunnel.reach()))
            asks_on(kept[-1], tunnel)
        assert answers(tunnel)
        assert rest_of(kept[0]) == b""
        asks_on(kept[-1], tunnel)


def test_when_every_connection_is_in_use_the_next_hears_so(tunnel: OpenTunnel, comfyui: PlayedComfyUi) -> None:
    """And the limit on SSH channels holds: one a connection."""
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            here = stack.enter_context(tunnel.reach())
            here.sendall(tunnel.head("GET", "/silent"))
        wait_until(lambda: len(comfyui.heads) == MAX_CONNECTIONS, 30, "all are in use")
        with tunnel.reach() as here:
            assert rest_of(here).startswith(b"HTTP/1.1 503 ")
    wait_until(lambda: answers(tunnel), 20, "who leaves makes room")


def test_a_browser_that_does_not_read_holds_only_its_own_answer(tunnel: OpenTunnel) -> None:
    """What waits for it has a limit; the others are answered."""
    with tunnel.reach() as here:
        here.sendall(tunnel.head("GET", "/endless"))
        assert here.recv(100)
        waits = tunnel.forward.unread
        wait_until(lambda: waits() > 1_000_000, 20, "the SSH window is full")
        assert waits() < 8_000_000
        assert answers(tunnel)


def test_an_instance_that_ignores_the_ssh_window_loses_its_tunnel(tmp_path: Path) -> None:
    """Nobody reads, and it goes on sending."""
    key = make_key(tmp_path / "key")
    with FloodingSshServer(make_key(tmp_path / "host_key")) as server, ThreadPoolExecutor(1) as pool:
        address = parse_address(f"ssh -p {server.port} -i {key} somebody@127.0.0.1")
        host = SshConnector(MemoryPins(), Timeouts(connect=10.0), ssh_dir=tmp_path / "ssh").connect(address)
        forward, stop = Forward(host, 8188), threading.Event()
        ended = pool.submit(forward.serve, stop)
        try:
            tunnel = OpenTunnel(forward, ended, stop)
            with tunnel.reach() as here:
                here.sendall(tunnel.head())
                assert ended.result(30) == "flooded"
        finally:
            stop.set()


def test_strangers_do_not_keep_a_tunnel_open(comfyui: PlayedComfyUi, tmp_path: Path) -> None:
    with tunnel_to(comfyui.port, tmp_path / "t", idle=0.5) as tunnel, tunnel.reach() as here:
        here.sendall(b"GET / HTT")
        assert tunnel.ended.result(10) == "not_used"
        assert rest_of(here) == b""


def test_the_capability_ends_with_its_tunnel(comfyui: PlayedComfyUi, tmp_path: Path) -> None:
    """Everything that is open ends too; the next tunnel knows another."""
    with tunnel_to(comfyui.port, tmp_path / "a") as first, opened_websocket(first) as used:
        first.stop.set()
        assert first.ended.result(10) == "stopped"
        assert rest_of(used) == b""
        with pytest.raises(ConnectionRefusedError):
            first.reach()
        cookie = first.capability
    with tunnel_to(comfyui.port, tmp_path / "b") as second:
        lines = f"Host: localhost:{second.port}\r\nAuthorization: Bearer {cookie}\r\nConnection: close"
        assert second.say(f"GET / HTTP/1.1\r\n{lines}\r\n\r\n".encode()).startswith(b"HTTP/1.1 403 ")
