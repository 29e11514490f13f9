"""An instance that sends without end: it is read at a pace, within bounds, and its task ends."""

from __future__ import annotations

import resource
import socket
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from app.domain.errors import RunStalled
from app.protocol.snapshot import Node, PhaseRun, Snapshot
from app.protocol.states import NodeState, Phase, StepStatus, TaskState
from app.remote.pace import Bucket, Meter, Pace
from app.sync.installs.progress_watch import LOOK_SECONDS, ProgressWatch
from test.support.hostile_bench import HostileBench, bench
from test.support.hostile_sshd import Exec, Play, silent
from test.support.waiting import wait_until

__all__ = ["bench"]  # a fixture

MEGABYTE = 1024 * 1024


def _memory() -> int:
    """Of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def floods(content: bytes) -> Play:
    def play(called: Exec) -> None:
        called.forever(lambda: content)

    return play


@pytest.mark.parametrize("command", ["find", "start", "follow"])
@pytest.mark.parametrize(
    "content", [b"x" * 30_000, b"a line of noise\n" * 2000, b"\n" * 30_000], ids=["x", "lines", "n"]
)
def test_noise_ends_the_task(bench: HostileBench, command: str, content: bytes) -> None:
    """It is not tried again for an hour, and says why."""
    end = bench.ended(bench.start(bench.server(**{command: floods(content)})))
    assert (end["state"], end["error"]["code"]) == ("failed", "too_much_output"), end["error"]


@pytest.mark.parametrize("command", ["find", "probe"])
def test_noise_ends_a_test(bench: HostileBench, command: str) -> None:
    """Long before its time is over."""
    began = time.monotonic()
    found = bench.test(bench.server(**{command: floods(b"x" * 30_000)}))
    assert (found["success"], found["error"]) == (False, "too_much_output"), found
    assert time.monotonic() - began < 15


def test_what_nobody_has_read_yet_is_bounded(bench: HostileBench) -> None:
    """A server that ignores how much it may send is hung up on: 368 MB came that way over a cancel's channel."""
    sent = []

    def cancel(called: Exec) -> None:
        transport = called.channel.get_transport()
        message = paramiko.Message()
        message.add_byte(bytes([paramiko.common.MSG_CHANNEL_DATA]))
        message.add_int(called.channel.remote_chanid)
        message.add_string(b"x" * 30_000)
        while called.wait(0) and transport.is_active():
            transport._send_user_message(message)  # type: ignore[attr-defined]
            sent.append(30_000)

    before = _memory()
    server = bench.server(follow=silent, cancel=cancel)
    task_id = bench.start(server)
    wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
    bench.cancelled_in_time(task_id)
    assert sum(sent) < 100 * MEGABYTE
    assert _memory() - before < 50 * MEGABYTE


def test_a_packet_of_four_gigabytes(bench: HostileBench) -> None:
    """paramiko would read it all into memory."""

    def greeting(sock: socket.socket, stop: threading.Event) -> None:
        sock.sendall(b"SSH-2.0-evil\r\n" + struct.pack(">I", 2**32 - 12))
        while not stop.is_set():
            sock.sendall(b"x" * 60_000)

    server = bench.server()
    server.greeting = greeting
    before = _memory()
    found = bench.test(server, timeout_seconds=3)
    assert (found["success"], found["error"]) == (False, "connect_failed"), found
    assert _memory() - before < 50 * MEGABYTE


def test_a_greeting_without_an_end(bench: HostileBench) -> None:
    """Nor is that kept."""

    def greeting(sock: socket.socket, stop: threading.Event) -> None:
        while not stop.is_set():
            sock.sendall(b"x" * 60_000)

    server = bench.server()
    server.greeting = greeting
    before = _memory()
    found = bench.test(server, timeout_seconds=3)
    assert (found["success"], found["error"]) == (False, "connect_failed"), found
    assert _memory() - before < 50 * MEGABYTE


def test_all_of_a_task_is_bounded(bench: HostileBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each second of it could be honest: the budget is the task's, over all its connections."""
    small = Pace(50 * MEGABYTE, MEGABYTE, 1e6, 1e6, 2 * MEGABYTE)
    monkeypatch.setattr("app.sync.installs.worker.INSTALL", small)

    def follow(called: Exec) -> None:
        for _ in range(20):
            called.frame("h", b'{"offset": 0, "x": "%s"}' % (b"x" * 20_000))
        called.channel.get_transport().close()

    server = bench.server(follow=follow)
    end = bench.ended(bench.start(server), 60)
    assert (end["state"], end["error"]["code"]) == ("failed", "too_much_output"), end["error"]
    assert server.connections > 2


def test_a_flood_of_frames_is_taken_at_a_pace(bench: HostileBench) -> None:
    """Each is one that there may be. The other side waits, and the service does not work for it alone."""
    sent_at = [float("inf")]

    def follow(called: Exec) -> None:
        beats = b"\n\x1eNF%s h {}\n" % called.nonce.encode() * 500

        def some() -> bytes:
            sent_at[0] = time.monotonic()
            return beats

        called.forever(some)

    task_id = bench.start(bench.server(follow=follow, cancel=silent))
    wait_until(lambda: time.monotonic() - sent_at[0] > 0.5, 30, "all buffers are full")
    used, began = time.process_time(), time.monotonic()
    assert not bench.service.installs.wait(task_id, 2)
    assert (time.process_time() - used) / (time.monotonic() - began) < 0.5
    bench.cancelled_in_time(task_id)


def test_a_bucket_lets_a_burst_pass_and_then_a_rate() -> None:
    """What is over it is waited for."""
    bucket = Bucket(100, 50)
    assert bucket.spend(50) == 0
    assert 0.05 < bucket.spend(10) <= 0.1


def test_a_meter_counts_all_connections() -> None:
    """Without a pace it only counts."""
    meter = Meter(Pace(1e9, 1e9, 1e9, 1e9, 100))
    found = [(meter.spend(60), meter.exhausted) for _ in range(2)]
    assert found == [(0, False), (0, True)]
    free = Meter()
    assert free.spend(10**12) == 0
    assert not free.exhausted


# -- a run in which nothing moves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bench", [{"stall_seconds": 1.5}], indirect=True)
def test_a_run_that_only_sends_heartbeats_ends(bench: HostileBench) -> None:
    """Talk alone is no progress; the run is cancelled there."""
    server = bench.server()
    end = bench.ended(bench.start(server), 30)
    assert (end["state"], end["error"]["code"]) == ("failed", "run_stalled"), end["error"]
    assert server.commands[-1] == "cancel"


def _honest_run() -> Snapshot:
    nodes = {f"pack-{number}": Node(f"pack-{number}", "https://github.com/o/p") for number in range(400)}
    phases = {Phase.CLONE: PhaseRun(StepStatus.RUNNING)}
    return Snapshot("t", 0.0, state=TaskState.RUNNING, nodes=nodes, phases=phases)


def test_a_download_that_moves_once_an_hour_goes_on() -> None:
    """For days; one that stands still, or goes back, does not."""
    now = [0.0]
    watch = ProgressWatch(6 * 3600.0, 3600.0, clock=lambda: now[0])
    run = _honest_run()

    def look(received: int) -> None:
        now[0] += LOOK_SECONDS
        node = replace(run.nodes["pack-0"], state=NodeState.CLONING, bytes_received=received)
        watch.look(replace(run, nodes={"pack-0": node}))

    for step in range(24 * 720):
        look(1 + step // 720)

    def go_back_and_forth() -> None:
        for step in range(6 * 720 + 10):
            look(step % 24)

    with pytest.raises(RunStalled):
        go_back_and_forth()


def test_a_service_that_was_suspended_does_not_blame_the_run() -> None:
    """What it missed is not counted."""
    now = [0.0]
    watch = ProgressWatch(100.0, 0.0, clock=lambda: now[0])
    snapshot = _honest_run()
    watch.look(snapshot)
    for _ in range(4):
        now[0] += 100_000.0
        watch.look(snapshot)
        watch.attached()
