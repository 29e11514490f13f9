"""Whatever stands at the other end, connecting ends within its deadline with a clear reason."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from app.domain.address import SshAddress
from app.domain.errors import ConnectFailed
from app.remote.connector import SshConnector
from app.remote.deadline import Deadline
from test.remote.conftest import MakeConnector
from test.support.ports import closed_port

pytestmark = [pytest.mark.slow, pytest.mark.quiet]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Accepts connections in the kernel and never speaks."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        yield sock


@pytest.fixture
def full_listener() -> Iterator[socket.socket]:
    """Its backlog is full: further connections get no answer at all."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield sock


def test_a_listener_that_never_speaks(listener: socket.socket, make_connector: MakeConnector) -> None:
    _assert_fails(make_connector(connect=0.5), listener, r"did not answer within 0\.5 s \(SSH greeting\)", 0.4, 1.5)


def test_a_listener_with_a_full_backlog(full_listener: socket.socket, make_connector: MakeConnector) -> None:
    _assert_fails(make_connector(connect=0.5), full_listener, r"did not answer within 0\.5 s|timed out", 0.4, 1.5)


def test_a_scan_has_the_same_deadline(listener: socket.socket, make_connector: MakeConnector) -> None:
    started = time.monotonic()
    with pytest.raises(ConnectFailed):
        make_connector(connect=0.5).scan_host_key(_address(listener))
    assert time.monotonic() - started < 1.5


def test_a_port_that_nobody_listens_at(connector: SshConnector) -> None:
    with pytest.raises(ConnectFailed, match="refused") as caught:
        connector.connect(SshAddress("127.0.0.1", closed_port(), "root"))
    assert caught.value.retried


def test_a_name_that_does_not_exist(connector: SshConnector) -> None:
    with pytest.raises(ConnectFailed, match="is not known"):
        connector.connect(SshAddress("no-such-host.invalid", 22, "root"))


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "192.0.2.1.2.3.invalid"])
def test_a_name_that_no_resolver_takes(connector: SshConnector, host: str) -> None:
    with pytest.raises(ConnectFailed):
        connector.connect(SshAddress(host, 22, "root"))


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n" * 101, b"SSH-1.5-old\r\n", b"SSH-\r\n"])
def test_another_service(listener: socket.socket, make_connector: MakeConnector, greeting: bytes) -> None:
    """Something that is no SSH server, or a hopelessly old one, is said in less time than the deadline."""
    with _answering(listener, greeting):
        _assert_fails(make_connector(connect=8.0), listener, "does not answer with SSH|no common SSH algorithm", 0, 5)


@pytest.mark.parametrize("greeting", [b"", b"Exceeded MaxStartups\r\n", b"SSH-2.0-x\r\n"])
def test_a_port_that_closes_at_once(listener: socket.socket, make_connector: MakeConnector, greeting: bytes) -> None:
    """What a forwarded port does while its machine is still booting: tried again until the deadline."""
    with _answering(listener, greeting) as accepted:
        _assert_fails(
            make_connector(connect=0.8),
            listener,
            "busy, or still starting|during the SSH handshake|did not answer",
            0.3,
            2.0,
        )
    assert len(accepted) >= 3


def test_binary_noise(listener: socket.socket, make_connector: MakeConnector) -> None:
    with _answering(listener, b"\xff\x00" * 5000):
        _assert_fails(make_connector(connect=0.5), listener, "SSH", 0, 2.0)


@pytest.mark.parametrize("kind", ["silent", "full"])
def test_cancel_ends_connecting_at_once(
    request: pytest.FixtureRequest, make_connector: MakeConnector, kind: str
) -> None:
    sock = request.getfixturevalue("listener" if kind == "silent" else "full_listener")
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(ConnectFailed) as caught:
        make_connector(connect=20).connect(_address(sock), cancel=cancel)
    assert caught.value.code == "cancelled"
    assert time.monotonic() - started < 1


def test_cancel_ends_a_back_off_at_once(listener: socket.socket, make_connector: MakeConnector) -> None:
    cancel = threading.Event()
    threading.Timer(0.6, cancel.set).start()
    started = time.monotonic()
    with _answering(listener, b""), pytest.raises(ConnectFailed) as caught:
        make_connector(connect=20).connect(_address(listener), cancel=cancel)
    assert caught.value.code == "cancelled"
    assert time.monotonic() - started < 1.5


def test_cancel_before_the_start(listener: socket.socket, connector: SshConnector) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(ConnectFailed) as caught:
        connector.connect(_address(listener), cancel=cancel)
    assert caught.value.code == "cancelled"


def test_a_call_without_a_deadline_of_its_own() -> None:
    """Its result and its errors come through; one that does not end is left behind at the deadline."""
    deadline = Deadline(0.3, "x")
    assert deadline.call(lambda: 5, "test") == 5
    with pytest.raises(ZeroDivisionError):
        deadline.call(lambda: 1 // 0, "test")
    release = threading.Event()
    with pytest.raises(ConnectFailed, match=r"within 0\.3 s \(test\)"):
        deadline.call(release.wait, "test")
    release.set()


@contextlib.contextmanager
def _answering(listener: socket.socket, greeting: bytes) -> Iterator[list[object]]:
    """Every connection is accepted, gets `greeting` and is closed."""
    accepted: list[object] = []
    ended = threading.Event()
    listener.settimeout(0.05)

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                sock, peer = listener.accept()
                accepted.append(peer)
                with sock:
                    sock.settimeout(1)
                    sock.sendall(greeting)
                    if greeting:
                        sock.recv(4096)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield accepted
    finally:
        ended.set()
        thread.join()


def _assert_fails(connector: SshConnector, listener: socket.socket, match: str, least: float, most: float) -> None:
    started = time.monotonic()
    with pytest.raises(ConnectFailed, match=match) as caught:
        connector.connect(_address(listener))
    assert least <= time.monotonic() - started < most
    assert caught.value.hint


def _address(listener: socket.socket) -> SshAddress:
    return SshAddress("127.0.0.1", listener.getsockname()[1], "root")
