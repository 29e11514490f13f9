"""Polls are answered in the server's loop: no thread is needed for them, and nothing else has to wait for one."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.cli.server.connection import Connection
from app.sync.http.at_once import Ready
from test.api.client import PROGRESS, Api, closed_address
from test.support.http_servers import http_server
from test.support.raw_http import answer_on, connect, head_of

MIB = 1024 * 1024
POLL = head_of("POST", PROGRESS, "Content-Type: application/json", "Content-Length: 2") + b"{}"
LAST = head_of("GET", "/fast", "Connection: close")


class App:
    """Says which way a request was answered. `/slow` waits for `release`; polls have `size` bytes."""

    def __init__(self, size: int = 4) -> None:
        self.release, self.begun = threading.Event(), threading.Event()
        self.size = size
        self.asked: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.begun.set()
            assert self.release.wait(30)
        body = environ["PATH_INFO"].encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def at_once(self, environ: dict[str, Any]) -> Ready | None:
        """For polls."""
        if environ["PATH_INFO"] != PROGRESS:
            return None
        self.asked.append(environ["wsgi.input"].read())
        return Ready([("Content-Length", str(self.size))], b"p" * self.size)


@contextmanager
def serving(app: App) -> Iterator[str]:
    """The URL of a server with one thread for an App."""
    with http_server(app, threads=1, at_once=app.at_once) as url:
        try:
            yield url
        finally:
            app.release.set()


def poll(url: str, body: bytes = b"{}") -> bytes:
    """The body of an answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request("POST", PROGRESS, body, {"Content-Type": "application/json"})
        return connection.getresponse().read()
    finally:
        connection.close()


def test_polls_are_answered_while_every_thread_is_busy() -> None:
    app = App()
    with serving(app) as url, connect(url) as slow:
        slow.sendall(head_of("GET", "/slow", "Connection: close"))
        assert app.begun.wait(20)
        assert [poll(url) for _ in range(20)] == [b"pppp"] * 20
        app.release.set()
        assert answer_on(slow).body == b"/slow"
    assert app.asked == [b"{}"] * 20


def test_answers_come_in_the_order_of_their_requests() -> None:
    """Of one connection that sends several without waiting: a poll does not overtake what needs a thread."""
    app = App()
    with serving(app) as url, connect(url) as connection:
        connection.sendall(POLL + POLL + head_of("GET", "/slow") + POLL + LAST)
        assert app.begun.wait(20)
        app.release.set()
        found = answer_on(connection)
    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in (b"HTTP/1.1" + found.body).split(b"HTTP/1.1 ")]
    assert [found.body[:4], *bodies[1:]] == [b"pppp", b"pppp", b"/slow", PROGRESS.encode(), b"/fast"]
    assert len(app.asked) == 2, "the third came behind a request that a thread answers, and went with it"


def test_an_answer_is_sent_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head is no packet of its own, whoever makes it."""
    sent: list[bytes] = []
    real = Connection.send

    def send(self: Connection, data: bytes, do_close: bool = True) -> int:
        sent.append(bytes(data))
        return real(self, data, do_close)

    monkeypatch.setattr(Connection, "send", send)
    with serving(App()) as url, connect(url) as connection:
        connection.sendall(POLL + LAST)
        answer_on(connection)
    assert [each.partition(b"\r\n\r\n")[2] for each in sent] == [b"pppp", b"/fast"]


def test_a_client_that_does_not_read_holds_nobody_up() -> None:
    """What it is still to be sent waits for it, and its next poll goes to a thread."""
    app = App(size=MIB // 2)  # a larger one would be kept in a file
    with serving(app) as url, connect(url) as greedy:
        greedy.sendall(POLL * 100)
        assert [len(poll(url)) for _ in range(3)] == [MIB // 2] * 3
    assert 1 + 3 <= len(app.asked) < 100


def test_what_is_not_answered_at_once_comes_to_the_routes_with_its_body(api: Api) -> None:
    """Each error, and all that would have to be waited for."""
    ended = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(ended)
    waits = api.start(closed_address(), options={"wait_seconds": 60})
    asked = [b"{", b"{}", _of(str(uuid.uuid4())), _of(ended), _of(waits)]
    with http_server(api.app, threads=1, at_once=api.at_once) as url:
        found = [json.loads(poll(url, body)) for body in asked]
        api.post(f"/tasks/{waits}/cancel")
        assert [each.get("error") for each in found[:3]] == ["malformed_json", "invalid_request", "task_not_found"]
        assert [each["task_id"] for each in found[3:]] == [ended, waits]
    api.ended(waits)


def test_a_bug_in_what_is_answered_at_once_costs_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A thread answers instead."""

    def broken(_environ: dict[str, Any]) -> Ready | None:
        raise RuntimeError("a bug")

    with http_server(App(), threads=1, at_once=broken) as url:
        assert poll(url) == PROGRESS.encode()
    assert "answer_failed" in caplog.text and "a bug" in caplog.text


def _of(task_id: str) -> bytes:
    return json.dumps({"task_id": task_id}).encode()
