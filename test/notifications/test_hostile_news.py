"""What a hostile instance, an eager button and a receiver that does not answer can do to notifications."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.storage.documents import FolderDocuments
from app.sync import notifications as module
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.notifications import AT_ONCE, Message, Notifications, harmless
from test.api.client import content, service_in
from test.support.receiver import Receiver
from test.support.waiting import wait_until

TOKEN = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def drip() -> Iterator[str]:
    """A receiver that answers a byte now and then, without an end."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not ended.wait(0.2):
                    connection.sendall(b"x")
                connection.close()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"json://127.0.0.1:{server.getsockname()[1]}/hook"
    ended.set()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("@everyone look", "@\u200beveryone look"),
        ("<!channel> <@1234> <#5>", "<\u200b!channel> <\u200b@\u200b1234> <\u200b#5>"),
        ("see https://evil.example/a", "see evil.example/a"),
        ("[ok](HTTP://evil.example)", "[ok](evil.example)"),
        (f"cloning https://me:{TOKEN}@x.example failed", "cloning ***@x.example failed"),
        ("a\x1b[31m\nb\u202e", "a?[31m b?"),
        ("root@ssh6.vast.ai could not be reached", "root@ssh6.vast.ai could not be reached"),
    ],
)
def test_what_an_instance_says_mentions_nobody_and_is_no_link(said: str, told: str) -> None:
    assert harmless(said) == told


def test_a_text_without_end_is_cut() -> None:
    assert len(harmless("x" * 5000)) == module.MOST_CHARS


def test_a_receiver_hears_no_secret(tmp_path: Path, receiver: Receiver) -> None:
    notifications = Notifications([receiver.url], FolderDocuments(tmp_path), BackgroundTaskManager())
    notifications.send(Message("ssh6", f"It failed: {TOKEN}"))
    wait_until(lambda: receiver.received, 10)
    assert TOKEN not in json.dumps(receiver.received)
    notifications.close(5)


def test_a_receiver_that_never_finishes_holds_up_no_other(
    tmp_path: Path, receiver: Receiver, drip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELIVER_SECONDS", 1.0)
    notifications = Notifications([drip, receiver.url], FolderDocuments(tmp_path), BackgroundTaskManager())
    for number in (1, 2):
        assert notifications.send(Message("ssh6", f"message {number}"))
        wait_until(lambda number=number: len(receiver.received) == number, 10)  # type: ignore[misc]
    wait_until(lambda: notifications.state()["last"], 10)
    assert not notifications.state()["last"]["ok"]
    began = time.monotonic()
    notifications.close(5)
    assert time.monotonic() - began < 2


def test_a_test_that_is_asked_for_a_thousand_times_sends_a_handful(tmp_path: Path, receiver: Receiver) -> None:
    """The rest comes together, a minute later."""
    with service_in(tmp_path, notify_urls=(receiver.url,)) as api:
        for number in range(AT_ONCE):
            assert api.post("/notifications/test", {}).status_code == 202
            wait_until(lambda number=number: len(receiver.received) == number + 1, 10)  # type: ignore[misc]
        for _ in range(200):
            assert api.post("/notifications/test", {}).status_code == 202
        assert content(api.get("/notifications"))["state"] == "on"
    assert len(receiver.received) == AT_ONCE
