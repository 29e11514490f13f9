"""The relay is a line that can freeze and be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from app.standin.relay import Relay


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that gives back what it gets, on each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def echo(connection: socket.socket) -> None:
        with connection:
            try:
                while content := connection.recv(65536):
                    connection.sendall(content)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=echo, args=(connection,)))
            threads[-1].start()

    threads.append(threading.Thread(target=serve))
    threads[0].start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(5)


@pytest.fixture
def relay(echo_port: int) -> Iterator[Relay]:
    """A relay to the echo server."""
    with Relay(echo_port) as started:
        yield started


def connect(relay: Relay) -> socket.socket:
    """A client of the relay."""
    return socket.create_connection((relay.host, relay.port), timeout=5)


def exactly(client: socket.socket, count: int) -> bytes:
    """So many bytes, or what came before the end."""
    received = b""
    while len(received) < count and (more := client.recv(count - len(received))):
        received += more
    return received


def test_it_works(relay: Relay) -> None:
    """A megabyte goes there and comes back."""
    content = bytes(range(256)) * 4096
    with connect(relay) as client:
        sender = threading.Thread(target=client.sendall, args=(content,))
        sender.start()
        assert exactly(client, len(content)) == content
        sender.join(5)


def test_frozen_it_is_silent_and_thawed_nothing_is_lost(relay: Relay) -> None:
    """Nothing comes while it is frozen, the connection stays open, and all comes afterwards in order."""
    with connect(relay) as client:
        client.sendall(b"one")
        assert exactly(client, 3) == b"one"
        relay.freeze()
        client.sendall(b"two")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        relay.thaw()
        client.settimeout(5)
        assert exactly(client, 3) == b"two"


def test_frozen_it_still_accepts(relay: Relay) -> None:
    """A new connection is made and hears nothing."""
    relay.freeze()
    with connect(relay) as client:
        client.sendall(b"hello")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)


def test_a_cut_ends_what_is_there_and_not_what_comes(relay: Relay) -> None:
    """Open connections end, also while frozen; a new one works."""
    with connect(relay) as first:
        first.sendall(b"x")
        exactly(first, 1)
        relay.freeze()
        relay.cut()
        assert first.recv(10) == b""
        relay.thaw()
    with connect(relay) as second:
        second.sendall(b"y")
        assert exactly(second, 1) == b"y"


def test_the_end_of_a_stream_is_passed_on(relay: Relay) -> None:
    """A client that has said all still hears the rest."""
    with connect(relay) as client:
        client.sendall(b"all")
        client.shutdown(socket.SHUT_WR)
        assert exactly(client, 100) == b"all"


def test_closing_ends_everything_also_while_frozen(echo_port: int) -> None:
    """No thread of the relay is left, and its port is closed."""
    before = threading.active_count()
    with Relay(echo_port) as relay, connect(relay) as client:
        client.sendall(b"x")
        exactly(client, 1)
        port = relay.port
        relay.freeze()
        client.sendall(b"held back")
        relay.close()
    assert threading.active_count() <= before + 1  # the echo server's own
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_target_that_is_gone_is_a_closed_connection(echo_port: int) -> None:
    """As a proxy whose machine was stopped: accepted and ended."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    with Relay(free) as relay, connect(relay) as client:
        assert client.recv(1) == b""
