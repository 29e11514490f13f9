"""A cancel ends a task within five seconds, whatever its instance does just then."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from functools import partial

import paramiko
import pytest

from app.protocol.events import Event, PhaseChanged, RunStarted, encode
from app.protocol.states import Phase, StepStatus
from test.support.hostile_bench import HostileBench, bench
from test.support.hostile_sshd import Exec, Hostile, honest, silent
from test.support.waiting import wait_until

__all__ = ["bench"]  # a fixture

STARTED = encode(Event(RunStarted("t", "1", 1, None), 1, 1.0, 1.0))


def heartbeats(called: Exec) -> None:
    called.forever(lambda: b"\n\x1eNF%s h {}\n" % called.nonce.encode(), 0.02)


def noise(called: Exec) -> None:
    called.forever(lambda: b"x" * 100 + b"\n", 0.01)


def line_without_end(called: Exec) -> None:
    called.forever(lambda: b"x" * 1000, 0.01)


def on_stderr(called: Exec) -> None:
    while called.wait(0.05):
        called.channel.send_stderr(b"x" * 10_000)


def events(called: Exec) -> None:
    """A journal of which every event changes something."""
    numbers = itertools.count(2)
    called.frame("j", b"%d %s" % (len(STARTED), STARTED.strip()))
    offset = itertools.count(len(STARTED) + 1)

    def one() -> bytes:
        body = PhaseChanged(Phase.PROBE, StepStatus.RUNNING, f"for {time.monotonic()} s")
        line = encode(Event(body, next(numbers), 1.0, 1.0)).strip()
        return b"\n\x1eNF%s j %d %s\n" % (called.nonce.encode(), next(offset), line)

    called.forever(one, 0.001)


def logs(called: Exec) -> None:
    piece = b'{"log": "run.log", "at": 0, "anew": true, "bytes": "%s"}' % (b"eHh4" * 4000)
    called.forever(lambda: b"\n\x1eNF%s l %s\n" % (called.nonce.encode(), piece), 0.01)


def all_at(bench: HostileBench, command: str, servers: dict[str, Hostile]) -> list[str]:
    """Starts an install on each server; all have been asked for this command. Their task_ids."""
    task_ids = [bench.start(server) for server in servers.values()]
    for name, server in servers.items():
        wait_until(partial(server.was_asked, command), 20, f"{name}: {command} was asked for")
    return task_ids


def test_while_the_run_is_followed(bench: HostileBench) -> None:
    """Whoever talks and does not obey is not waited for."""
    plays = (heartbeats, noise, line_without_end, on_stderr, events, logs, silent)
    servers = {play.__name__: bench.server(follow=play, cancel=silent) for play in plays}
    for end in bench.cancelled_in_time(*all_at(bench, "follow", servers)):
        assert end["error"]["code"] == "cancel_unconfirmed", end
        assert "may still run there" in end["error"]["message"]


@pytest.mark.parametrize("command", ["find", "start"])
def test_before_the_run_is_followed(bench: HostileBench, command: str) -> None:
    """While the service looks for the runner there, and while it starts the run."""
    plays = (silent, noise, line_without_end, on_stderr)
    servers = {play.__name__: bench.server(**{command: play}) for play in plays}
    bench.cancelled_in_time(*all_at(bench, command, servers))


def test_noise_on_the_cancels_own_command(bench: HostileBench) -> None:
    """It is read, within bounds, and is no confirmation."""
    servers = {play.__name__: bench.server(cancel=play) for play in (noise, line_without_end, heartbeats, on_stderr)}
    for end in bench.cancelled_in_time(*all_at(bench, "follow", servers)):
        assert end["error"]["code"] == "cancel_unconfirmed", end


def test_while_the_runner_is_uploaded(bench: HostileBench) -> None:
    """The upload's input is not read."""

    def find(called: Exec) -> None:
        called.frame("s", b"Linux")
        called.frame("p", b"/usr/bin/python3")

    server = bench.server(find=find, upload=silent)
    task_id = bench.start(server)
    wait_until(lambda: "upload" in server.commands, 20, "the upload was asked for")
    bench.cancelled_in_time(task_id)


def test_while_the_service_connects(bench: HostileBench) -> None:
    """A server that greets slowly, or for ever."""

    def greet(said: bytes) -> Hostile:
        def greeting(sock: socket.socket, stop: threading.Event) -> None:
            sock.sendall(said)
            while not stop.wait(0.05):
                sock.sendall(said if not said.startswith(b"SSH") else b"")

        server = bench.server()
        server.greeting = greeting
        return server

    servers = [greet(said) for said in (b"", b"SSH-2.0-evil\r\n", b"a line without an end " * 100)]
    task_ids = [bench.start(server) for server in servers]
    wait_until(lambda: all(server.connections for server in servers), 20, "it connects")
    bench.cancelled_in_time(*task_ids)


def test_messages_of_ssh_itself_without_an_end(bench: HostileBench) -> None:
    """What no command has asked for counts, too."""
    server = bench.server()

    def flood(transport: paramiko.Transport, stop: threading.Event) -> None:
        wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
        while not stop.is_set() and transport.is_active():
            transport.send_ignore(200)

    server.on_transport = flood
    task_id = bench.start(server)
    wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
    bench.cancelled_in_time(task_id)


def test_the_cancel_is_sent_once_more_after_the_end(bench: HostileBench) -> None:
    """A slow instance may have started the run meanwhile: whoever asked does not wait, and the cancel still comes."""
    server = bench.server(follow=heartbeats)
    task_id = bench.start(server)
    wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
    server.plays["cancel"] = silent
    bench.cancelled_in_time(task_id)
    server.plays["cancel"] = honest
    wait_until(lambda: server.connections == 2 and server.commands[-1] == "cancel", 20, "it is sent once more")


def test_a_line_that_is_lost_is_another_matter(bench: HostileBench) -> None:
    """An instance that cannot be reached gets the cancel when it is back: the task waits for it."""
    server = bench.server()
    task_id = bench.start(server)
    wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
    server.__exit__(None, None, None)
    bench.until(task_id, state="interrupted")
    bench.api.post(f"/tasks/{task_id}/cancel")
    bench.until(task_id, state="cancelling", message_code="cancel_unreached")
    assert not bench.service.installs.wait(task_id, 6)


def test_a_run_that_confirms_and_does_not_end(bench: HostileBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the cancel, and may put things back as long as it says something; then it is not waited for either."""
    monkeypatch.setattr("app.sync.installs.cancel_watch.QUIET_SECONDS", 2.0)

    def follow(called: Exec) -> None:
        called.frame("c", {})
        heartbeats(called)

    server = bench.server(follow=follow)
    task_id = bench.start(server)
    wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
    [end] = bench.cancelled_in_time(task_id)
    assert end["error"]["code"] == "cancel_unconfirmed"


def test_no_talk_moves_the_deadline_of_a_cancel(bench: HostileBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that says something new for ever is not waited for longer than any run."""
    monkeypatch.setattr("app.sync.installs.cancel_watch.MOST_SECONDS", 2.0)

    def follow(called: Exec) -> None:
        called.frame("c", {})
        events(called)

    server = bench.server(follow=follow)
    task_id = bench.start(server)
    wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
    [end] = bench.cancelled_in_time(task_id)
    assert end["error"]["code"] == "cancel_unconfirmed"


def test_connections_that_end_again_and_again(bench: HostileBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is logged in to, and brings nothing: the cancel does not go on for an hour."""
    monkeypatch.setattr("app.sync.installs.cancel_watch.MOST_CONNECTIONS", 2)

    def follow(called: Exec) -> None:
        called.frame("h", {})
        called.channel.get_transport().close()

    server: Hostile = bench.server(follow=follow)
    task_id = bench.start(server)
    wait_until(lambda: "follow" in server.commands, 20, "the run is followed")
    bench.api.post(f"/tasks/{task_id}/cancel")
    assert bench.ended(task_id, 20)["error"]["code"] == "cancel_unconfirmed"
