"""A line that is cut, and one that only stops, are noticed in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.errors import CommandTimedOut, ConnectionLost
from app.remote.connector import SshConnector
from app.remote.tcp import USER_TIMEOUT_SECONDS
from app.remote.transport import ServiceTransport
from test.remote.conftest import MakeConnector, Sshd

pytestmark = [pytest.mark.sshd, pytest.mark.quiet]


def test_a_killed_connection_is_noticed_by_its_stream(sshd: Sshd, connector: SshConnector) -> None:
    """The server's end is killed with -9: the reader is told at once, and so is whoever sends or runs."""
    with connector.connect(sshd.address) as host:
        stream = host.stream(["sh", "-c", "echo ready; sleep 60"])
        assert stream.read_line(10) == b"ready\n"
        threading.Timer(0.2, sshd.kill_connections).start()
        started = time.monotonic()
        with pytest.raises(ConnectionLost):
            stream.read_line(15)
        assert time.monotonic() - started < 3
        with pytest.raises(ConnectionLost):
            stream.send(b"x")
        with pytest.raises(ConnectionLost):
            host.run(["true"], timeout=5)
        assert not host.is_alive


def test_a_killed_connection_is_noticed_by_a_command(sshd: Sshd, connector: SshConnector) -> None:
    with connector.connect(sshd.address) as host:
        threading.Timer(0.2, sshd.kill_connections).start()
        started = time.monotonic()
        with pytest.raises(ConnectionLost):
            host.run(["sleep", "60"], timeout=15)
        assert time.monotonic() - started < 3


def test_a_partial_line_of_a_killed_connection_is_not_given_out(sshd: Sshd, connector: SshConnector) -> None:
    with connector.connect(sshd.address) as host:
        stream = host.stream(["sh", "-c", "echo ready; printf half; sleep 60"])
        assert stream.read_line(10) == b"ready\n"
        assert stream.read_line(0.3) is None
        sshd.kill_connections()
        with pytest.raises(ConnectionLost):
            stream.read_line(15)


@pytest.mark.parametrize("act", [lambda host: host.run(["true"], timeout=1), lambda host: host.stream(["true"])])
def test_a_frozen_server_costs_no_more_than_the_time_limit(
    sshd: Sshd, make_connector: MakeConnector, act: Callable[[object], object]
) -> None:
    """sshd is stopped but its kernel still answers: a command ends as timed out, a stream as nothing new."""
    with make_connector(command=1.0).connect(sshd.address) as host:
        stream = host.stream(["sh", "-c", "echo ready; sleep 60"])
        assert stream.read_line(10) == b"ready\n"
        sshd.freeze_connections()
        started = time.monotonic()
        assert stream.read_line(0.5) is None
        with pytest.raises(CommandTimedOut):
            act(host)
        assert time.monotonic() - started < 4
        closing = time.monotonic()
        stream.close()
        host.close()
        assert time.monotonic() - closing < 3


def test_closing_from_another_thread_wakes_the_reader(sshd: Sshd, connector: SshConnector) -> None:
    host = connector.connect(sshd.address)
    stream = host.stream(["sleep", "60"])
    threading.Timer(0.2, host.close).start()
    started = time.monotonic()
    with pytest.raises(ConnectionLost):
        stream.read_line(15)
    assert time.monotonic() - started < 2


def test_the_socket_notices_a_cut_line(sshd: Sshd, connector: SshConnector) -> None:
    """Small packets go at once, and the kernel gives up after ten seconds without an acknowledgement."""
    with connector.connect(sshd.address) as host:
        transport = host._transport
        assert isinstance(transport, ServiceTransport)
        sock: Any = transport.sock  # paced, and a socket's for everything else
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * USER_TIMEOUT_SECONDS
