"""Connections that say nothing, say it slowly, or never read what they are answered, in any number."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from app.cli.server.limits import Limits, limits_of
from app.settings import Settings
from test.support.http_servers import http_server
from test.support.raw_http import answer_on, ask, connect, head_of, held, is_closed
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

QUICK = Limits(connections=40, head_seconds=1, body_seconds=1, answer_seconds=1, idle_seconds=1, linger_seconds=1)
PATIENT = replace(QUICK, head_seconds=300, body_seconds=300, answer_seconds=300, idle_seconds=300)
SLOW = head_of("GET", "/slow", "Connection: close")
MIB = 1024 * 1024
SLOW_STARTS = {
    "nothing": b"",
    "empty lines": b"\r\n\r\n",
    "half a head": b"GET /health HTTP/1.1\r\nHost: 127",
    "half a body": head_of("POST", "/tasks/prune", "Content-Length: 900") + b"{",
    "half a chunk": head_of("POST", "/tasks/prune", "Transfer-Encoding: chunked") + b"9\r\n{",
}


class App:
    """Answers with a megabyte for each letter of the path; `/slow` only once `release` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.inside = threading.Semaphore(0)
        """Released by each request to `/slow`."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        letters = len(environ["PATH_INFO"]) - 1
        if environ["PATH_INFO"] == "/slow":
            self.inside.release()
            self.release.wait(60)
            letters = 0
        start_response("200 OK", [("Content-Length", str(letters * MIB))])
        return [b"x" * MIB] * letters or [b""]


@contextmanager
def serving(limits: Limits, app: App | None = None, settings: Settings | None = None) -> Iterator[str]:
    """The URL of a server with these limits."""
    with http_server(app or App(), settings=settings, limits=limits, threads=16) as url:
        try:
            yield url
        finally:
            if app is not None:
                app.release.set()


def answers(url: str) -> int:
    """The status of an honest request's answer."""
    return ask(url, head_of("GET", "/", "Connection: close")).status


@pytest.mark.parametrize("start", [b"", b"GET / HTT"], ids=["silent", "half a head"])
def test_more_connections_than_the_system_allows_files(tmp_path: Path, start: bytes) -> None:
    """With `ulimit -n 1024`, 1,200 of them: new clients are answered, an install is accepted, the log stays short."""
    with ServiceProcess(tmp_path, open_files=1024) as service, held(service.url, 1200, start) as connections:
        for _ in range(20):
            assert ask(service.url, head_of("GET", "/health", "Connection: close")).status == 200
        assert service.post("/ssh/install-custom-nodes", {"ssh_connection": "root@127.0.0.1 -p 9"}).status_code == 202
        wait_until(lambda: sum(map(is_closed, connections)) >= 600, 30, "the oldest are closed")
        assert "open_files=1024" in service.log and "connections=512" in service.log
        assert len(service.log) < 50_000 and "Traceback" not in service.log


@pytest.mark.parametrize("start", SLOW_STARTS.values(), ids=SLOW_STARTS)
def test_a_request_that_does_not_arrive_in_time_is_ended(start: bytes) -> None:
    """With a 408, where anything of it has come."""
    with serving(QUICK) as url, connect(url) as connection:
        connection.sendall(start)
        answer = answer_on(connection)
        assert answer.error == ("request_too_slow" if start else "")
        assert answer.status == (408 if start else 0)


def test_a_byte_now_and_then_does_not_make_the_deadline_later() -> None:
    """Of a head, of empty lines before one, and of a body."""
    trickles = {b"GET / HTTP/1.1\r\nX: ": b"x", b"\r\n": b"\r\n", SLOW_STARTS["half a body"]: b" "}
    with serving(replace(QUICK, head_seconds=2, body_seconds=2)) as url:
        for start, more in trickles.items():
            with connect(url) as connection:
                connection.sendall(start)
                began = time.monotonic()
                connection.settimeout(0.2)
                received = b""
                while not received and time.monotonic() - began < 30:
                    with contextlib.suppress(TimeoutError):
                        received = connection.recv(65536)
                    with contextlib.suppress(OSError):
                        connection.sendall(more)
                assert b" 408 " in received


def test_a_client_that_never_takes_its_answer_is_dropped() -> None:
    """Its thread and its memory are free again; others are answered meanwhile."""
    with serving(QUICK) as url, ExitStack() as opened:
        lazy = [opened.enter_context(connect(url)) for _ in range(20)]
        for connection in lazy:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(head_of("GET", "/" + "a" * 30))
        assert answers(url) == 200
        wait_until(lambda: all(map(_is_reset, lazy)), 30, "all are dropped")


def _is_reset(connection: socket.socket) -> bool:
    """Whether the server has let go of it: what it sent is still here, so only a write finds out."""
    with contextlib.suppress(BlockingIOError):
        connection.setblocking(False)
        try:
            connection.send(b"x")
        except (BrokenPipeError, ConnectionResetError):
            return True
    return False


def test_idle_connections_make_room_for_new_ones() -> None:
    """The ones that are idle for the longest time; one that is being answered never."""
    app = App()
    with serving(PATIENT, app) as url, connect(url) as slow:
        slow.sendall(head_of("GET", "/slow", "Connection: close"))
        assert app.inside.acquire(timeout=30)
        with held(url, 200) as idle:
            for _ in range(60):
                assert answers(url) == 200
            assert is_closed(idle[0])
            app.release.set()
            assert answer_on(slow).status == 200


def test_where_every_connection_is_busy_a_new_one_is_told_so_at_once() -> None:
    """503 with a Retry-After, and nothing is cut."""
    app = App()
    with serving(replace(PATIENT, connections=8), app) as url, held(url, 8, SLOW) as busy:
        for _ in busy:
            assert app.inside.acquire(timeout=30)
        refused = ask(url, head_of("GET", "/"))
        assert (refused.status, refused.error) == (503, "service_busy")
        assert "Retry-After: 5" in refused.head
        app.release.set()
        assert [answer_on(each).status for each in busy] == [200] * 8


def test_one_address_gets_so_many_connections_and_others_are_answered() -> None:
    """Its own idle ones make room first; without idle ones it is told 429. Trusted proxies are not counted.

    All of 127.0.0.0/8 is this machine, so this server counts what it otherwise does not."""
    app, limits = App(), replace(PATIENT, connections=100, per_address=5, loopback_counts=True)
    with serving(limits, app, Settings(trusted_proxies=("127.0.0.3",))) as url, ExitStack() as opened:
        proxied = [opened.enter_context(connect(url, "127.0.0.3")) for _ in range(20)]
        idle = [opened.enter_context(connect(url, "127.0.0.1")) for _ in range(8)]
        wait_until(lambda: sum(map(is_closed, idle)) == 3, 30, "the oldest are closed")
        busy = [opened.enter_context(connect(url, "127.0.0.1")) for _ in range(5)]
        for connection in busy:
            connection.sendall(SLOW)
            assert app.inside.acquire(timeout=30)
        refused = opened.enter_context(connect(url, "127.0.0.1"))
        refused.sendall(SLOW)
        found = answer_on(refused)
        assert (found.status, found.error) == (429, "too_many_connections")
        other = opened.enter_context(connect(url, "127.0.0.2"))
        other.sendall(head_of("GET", "/", "Connection: close"))
        assert answer_on(other).status == 200
        assert all(map(is_closed, idle)) and not any(map(is_closed, proxied))


def test_a_service_that_cannot_open_another_file_goes_on(tmp_path: Path) -> None:
    """Also where a setting allows more connections than the system: accepting pauses instead of dying or spinning."""
    with ServiceProcess(tmp_path, open_files=64) as service:
        with held(service.url, 200):
            used = _cpu_seconds(service.pid)
            wait_until(lambda: ask(service.url, head_of("GET", "/health", "Connection: close")).status == 200, 30)
            assert _cpu_seconds(service.pid) - used < 10
        with requests.Session() as session:
            assert session.get(f"{service.url}/health", timeout=30).status_code == 200
        assert "Traceback" not in service.log


def test_where_accepting_itself_fails_those_who_wait_are_answered_later(tmp_path: Path) -> None:
    """EMFILE, truly: the system grants the running service not one file more, then some again."""
    with ServiceProcess(tmp_path) as service:
        assert ask(service.url, head_of("GET", "/health/ready", "Connection: close")).status == 200
        before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        wait_until(lambda: _open_sockets(service.pid) == 1, 30, "the connection is closed on both sides")
        used = {int(name) for name in os.listdir(f"/proc/{service.pid}/fd")}
        free = next(number for number in itertools.count() if number not in used)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (free, before[1]))
        with ExitStack() as opened:
            waiting = [opened.enter_context(connect(service.url)) for _ in range(5)]
            for each in waiting:
                each.sendall(head_of("GET", "/health", "Connection: close"))
            spent = _cpu_seconds(service.pid)
            wait_until(lambda: "no connection can be accepted: Too many open files" in service.log, 30)
            resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
            assert [answer_on(each).status for each in waiting] == [200] * len(waiting)
            assert _cpu_seconds(service.pid) - spent < 5
        assert "Traceback" not in service.log


def _open_sockets(pid: int) -> int:
    """Of a service without anybody: the one that listens; the trigger of its loop is a pipe."""
    links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    return sum(link.startswith("socket:") for link in links)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_limits_follow_from_the_open_files_and_the_settings() -> None:
    """Half of the files are left to installs and the database."""
    assert limits_of(Settings(), 1024).connections == 512
    assert limits_of(Settings(), 1_000_000).connections == 4000
    assert limits_of(Settings(), 8).connections == 16
    assert limits_of(Settings(max_connections=100), 1024).connections == 100
    assert limits_of(Settings(max_connections=9000), 1024).connections == 512
    assert limits_of(Settings(request_seconds=0), 1024).head_seconds == 1
