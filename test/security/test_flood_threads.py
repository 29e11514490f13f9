"""Requests that wait for something, in any number: half of the server's threads stay free for polls."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from app.domain.limits import MAX_TUNNELS
from app.sync.capacity import MOST, PLACES, THREADS, Capacity, Kind, ServiceBusy
from test.support.raw_http import RawAnswer, answer_on, connect, head_of
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

MANY = 70
POLL_SECONDS = 5.0
"""For 20 polls, each on a connection of its own; without the budget each takes as long as the flood."""


@contextmanager
def silent_host() -> Iterator[str]:
    """An SSH address that accepts every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        yield f"root@127.0.0.1 -p {listening.getsockname()[1]}"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service that waits long for instances."""
    with ServiceProcess(tmp_path, connect_timeout_seconds="120") as running:
        yield running


def post(path: str, body: object) -> bytes:
    """A request whose answer is the connection's last."""
    text = json.dumps(body).encode()
    head = head_of("POST", path, "Connection: close", "Content-Type: application/json", f"Content-Length: {len(text)}")
    return head + text


class Flood:
    """Requests that are sent all at once, each on a connection of its own."""

    def __init__(self, stack: ExitStack, service: ServiceProcess, sent: list[bytes]) -> None:
        self._connections = [stack.enter_context(connect(service.url)) for _ in sent]
        for connection, request in zip(self._connections, sent, strict=True):
            connection.sendall(request)
        self.answers: list[RawAnswer] = []

    def answered(self, count: int) -> list[RawAnswer]:
        """Waits until so many are answered, while the others go on waiting."""
        wait_until(lambda: self._look() >= count, 60, f"{count} answers")
        return self.answers

    def _look(self) -> int:
        for connection in list(self._connections):
            connection.setblocking(False)
            try:
                connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                continue
            connection.settimeout(30)
            self.answers.append(answer_on(connection))
            self._connections.remove(connection)
        return len(self.answers)

    @property
    def waiting(self) -> int:
        """How many have no answer yet."""
        self._look()
        return len(self._connections)


def polls_are_answered(service: ServiceProcess, task_id: str) -> None:
    """Twenty, in a time that no flood makes longer."""
    began = time.monotonic()
    for _ in range(20):
        with connect(service.url) as connection:
            connection.sendall(post("/ssh/install-custom-nodes/progress", {"task_id": task_id}))
            assert answer_on(connection).status == 200
    assert time.monotonic() - began < POLL_SECONDS


@pytest.mark.parametrize("path", ["/ssh/test", "/host-keys/scan", "/host-keys/accept"])
def test_tests_of_silent_instances_leave_threads_to_polls(service: ServiceProcess, path: str) -> None:
    """More of them are told at once that the service is busy, and when to come again."""
    with silent_host() as address, ExitStack() as stack:
        task_id = service.install("root@127.0.0.1 -p 9", options={"wait_seconds": 0})
        body: dict[str, object] = {"ssh_connection": address}
        body |= {"timeout_seconds": 120} if path == "/ssh/test" else {}
        body |= {"sha256": "SHA256:" + "A" * 43} if path == "/host-keys/accept" else {}
        flood = Flood(stack, service, [post(path, body)] * MANY)
        refused = flood.answered(MANY - MOST[Kind.INSTANCES])
        assert {(answer.status, answer.error) for answer in refused} == {(503, "service_busy")}
        assert all("Retry-After: 5" in answer.head and answer.json["hint"] for answer in refused)
        polls_are_answered(service, task_id)
        assert flood.waiting == MOST[Kind.INSTANCES]


def test_everything_that_waits_shares_one_budget(service: ServiceProcess) -> None:
    """Long polls, streams and tests of instances at once; each kind is answered at once where no place is left."""
    with silent_host() as address, ExitStack() as stack:
        task_id = service.install(address)
        long_poll = head_of("GET", f"/tasks/{task_id}?wait=60", "Connection: close")
        polls = Flood(stack, service, [long_poll] * MANY)
        answered = polls.answered(MANY - MOST[Kind.CHANGES])
        assert {answer.status for answer in answered} == {200}
        assert all("Retry-After: 5" in answer.head for answer in answered)
        left = PLACES - MOST[Kind.CHANGES]
        tests = Flood(stack, service, [post("/ssh/test", {"ssh_connection": address})] * MANY)
        assert Counter(answer.status for answer in tests.answered(MANY - left)) == {503: MANY - left}
        streams = Flood(stack, service, [head_of("GET", f"/tasks/{task_id}/events", "Connection: close")] * 5)
        assert {answer.error for answer in streams.answered(5)} == {"too_many_streams"}
        refused = service.post(f"/tasks/{task_id}/open", {})
        assert (refused.status_code, refused.json()["error"]) == (503, "service_busy")
        polls_are_answered(service, task_id)


def test_tunnels_that_are_being_opened_take_places_too(service: ServiceProcess) -> None:
    """They are given back when it fails, or is closed."""
    with silent_host() as address, ExitStack() as stack:
        tasks = [service.install(address, ui_home=f"/c{number}") for number in range(MAX_TUNNELS + 1)]
        opened = [service.post(f"/tasks/{task_id}/open", {}).status_code for task_id in tasks]
        assert opened == [202] * MAX_TUNNELS + [429]
        most = MOST[Kind.INSTANCES] - MAX_TUNNELS
        flood = Flood(stack, service, [post("/ssh/test", {"ssh_connection": address})] * (most + 1))
        assert flood.answered(1)[0].error == "service_busy"
        requests.delete(f"{service.url}/tasks/{tasks[0]}/open", timeout=30)
        wait_until(lambda: service.post(f"/tasks/{tasks[-1]}/open", {}).status_code == 202, 30, "a place")


def test_places_come_back_when_the_tests_end(tmp_path: Path) -> None:
    """However they end: by their deadline, or because the client has gone."""
    with ServiceProcess(tmp_path) as service, silent_host() as address:
        quick = post("/ssh/test", {"ssh_connection": address, "timeout_seconds": 1})
        for _ in range(2):
            with ExitStack() as stack:
                flood = Flood(stack, service, [quick] * (MOST[Kind.INSTANCES] + 5))
                statuses = Counter(answer.status for answer in flood.answered(MOST[Kind.INSTANCES] + 5))
                assert statuses[200] >= MOST[Kind.INSTANCES]
        with ExitStack() as stack:
            Flood(stack, service, [quick] * 20)
        with connect(service.url) as connection:
            connection.sendall(quick)
            assert answer_on(connection).status == 200


def test_no_kind_of_request_gets_every_place() -> None:
    """And all together leave half of the threads to polls, whatever the order and the number of threads that ask."""
    capacity = Capacity()
    assert PLACES <= THREADS // 2 and max(MOST.values()) < PLACES
    taken: list[object] = []
    threads = [
        threading.Thread(target=lambda kind=kind: taken.append(capacity.acquire(kind))) for kind in [*Kind] * MANY
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    places = [place for place in taken if place is not None]
    assert len(places) == PLACES
    with pytest.raises(ServiceBusy), capacity.place(Kind.INSTANCES):
        pass
    for place in places:
        place.release()  # type: ignore[attr-defined]
        place.release()  # type: ignore[attr-defined]
    assert sum(capacity.acquire(Kind.CHANGES) is not None for _ in range(MANY)) == MOST[Kind.CHANGES]
