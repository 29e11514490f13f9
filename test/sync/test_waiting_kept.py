"""How long a task waits for its instance: as long as it was told, and not at all for what cannot come."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from app.standin.instance import StandIn
from test.sync.conftest import Bench

SLACK_SECONDS = 4.0


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a machine that takes connections and never says anything, as a proxy without its instance does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def test_wait_seconds_are_kept_with_a_machine_that_is_silent(bench: Bench, mute: int) -> None:
    """The first try is a part of them, and does not last the whole connect timeout."""
    began = time.monotonic()
    error = bench.ended(bench.start(f"root@127.0.0.1 -p {mute}", wait_seconds=3))["error"]
    assert error["code"] == "connect_failed"
    assert 3 <= time.monotonic() - began < 3 + SLACK_SECONDS


def test_a_key_file_that_is_not_there_is_not_waited_for(bench: Bench, standin: StandIn) -> None:
    """The instance may come to accept a key that there is; this one it never will."""
    began = time.monotonic()
    task_id = bench.start(f"ssh -p {standin.port} -i /no/such/key {standin.user}@127.0.0.1", wait_seconds=600)
    error = bench.ended(task_id, 20)["error"]
    assert (error["code"], "/no/such/key: no such file" in error["message"]) == ("no_ssh_key", True)
    assert time.monotonic() - began < 20


def test_a_key_that_is_refused_is_waited_for(bench: Bench, standin: StandIn) -> None:
    """One of the named files is there: a provider may put it on the instance in a moment."""
    keys = f"-i {standin.client_key} -i /no/such/key"
    task_id = bench.start(f"ssh -p {standin.port} {keys} nobody-{standin.user}@127.0.0.1", wait_seconds=600)
    bench.until(task_id, lambda now: now["message_code"] == "waiting_for_instance", "it waits")
    bench.installs.cancel(task_id)
    assert bench.ended(task_id)["state"] == "cancelled"
