"""The first meeting with an address pins one key, however many meet it at once."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from itertools import cycle
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.hostkeys import HostKey
from app.storage import DatabasePins, open_database
from test.api.client import Api, content
from test.support.hostile_bench import HostileBench, bench
from test.support.hostile_sshd import Hostile

__all__ = ["bench"]  # a fixture
AT_ONCE = 12


class Relay:
    """One address behind which each connection meets the next of several servers, once `AT_ONCE` have come."""

    def __init__(self, opened: ExitStack, servers: list[Hostile], at_once: int) -> None:
        self._next = cycle(servers)
        self._listener = opened.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        self._gate = threading.Barrier(at_once)
        self._at_once = at_once
        self._threads = opened.enter_context(ThreadPoolExecutor(3 * at_once))
        self._threads.submit(self._accept)

    @property
    def port(self) -> int:
        found: int = self._listener.getsockname()[1]
        return found

    def _accept(self) -> None:
        with suppress(OSError):
            for _ in range(self._at_once):
                here, _ = self._listener.accept()
                self._threads.submit(self._carry, here, next(self._next))

    def _carry(self, here: socket.socket, server: Hostile) -> None:
        with here, socket.create_connection(("127.0.0.1", server.port)) as there:
            self._gate.wait(20)
            back = self._threads.submit(self._pump, there, here)
            self._pump(here, there)
            back.result()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                sink.sendall(content)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def test_twelve_tests_at_once_pin_one_key(bench: HostileBench) -> None:
    """Whoever meets the other machine is told that it is another one."""
    servers = [bench.server(), bench.server()]
    with ExitStack() as opened:
        relay = Relay(opened, servers, AT_ONCE)
        port = relay.port
        address = f"ssh -p {port} -i {bench.key} root@127.0.0.1"
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = {"ssh_connection": address}
            answers = threads.map(lambda _: Api(bench.service.app).post("/ssh/test", asked), range(AT_ONCE))
            found = [content(answer) for answer in answers]
    good = [each for each in found if each["success"]]
    assert {each["error"] for each in found if not each["success"]} == {"host_key_mismatch"}
    assert len(good) == AT_ONCE // 2
    pinned = bench.service.checks.host_keys()
    assert [key["port"] for key in pinned] == [port]
    assert {each["host_key"]["sha256"] for each in good} == {pinned[0]["sha256"]}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path}/pins.db")


def _key(number: int) -> HostKey:
    return HostKey("host", 22, "ssh-ed25519", f"AAAA{number}", f"SHA256:{number}")


def test_of_many_keys_one_is_first(engine: Engine) -> None:
    """All threads are told which."""
    pins = DatabasePins(engine)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: pins.add_first(_key(number)), range(64)))
    [pinned] = pins.all()
    assert all(answer == [pinned] for answer in answers)
    engine.dispose()


def test_one_key_in_place_of_another(engine: Engine) -> None:
    """There is no moment without a key, and none with two, in which a third could come in."""
    pins = DatabasePins(engine)
    pins.add_first(_key(0))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: pins.replace(_key(number)), range(1, 33)))
    [pinned] = pins.all()
    assert pins.add_first(_key(99)) == [pinned]
    pins.replace(pinned)
    assert pins.all() == [pinned]
    engine.dispose()
