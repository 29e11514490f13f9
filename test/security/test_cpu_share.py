"""An instance that tells news without end slows its own task down, and nothing else."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from app.protocol.events import BuildChanged, Event, RunStarted, encode
from app.protocol.states import BuildState
from app.settings import Settings, Timeouts
from app.sync.installs import cpu_share
from app.sync.installs.cpu_share import CpuShare
from test.support.hostile_bench import HostileBench, bench
from test.support.hostile_sshd import Exec, silent
from test.support.waiting import wait_until

__all__ = ["bench"]  # a fixture

STARTED = encode(Event(RunStarted("t", "1", 1, None), 1, 1.0, 1.0))


def builds(called: Exec) -> None:
    """Builds of other packages again and again, for 50 packs each: nothing that the instance can send costs more."""
    numbers, offsets = itertools.count(2), itertools.count(len(STARTED) + 1)
    called.frame("j", b"%d %s" % (len(STARTED), STARTED.strip()))

    def one() -> bytes:
        number = next(numbers)
        packs = tuple(f"pack-{each}" for each in range(50))
        body = BuildChanged(f"b{number}", "1", BuildState.RUNNING, packs)
        return b"\n\x1eNF%s j %d %s\n" % (
            called.nonce.encode(),
            next(offsets),
            encode(Event(body, number, 1.0, 1.0)).strip(),
        )

    called.forever(lambda: b"".join(one() for _ in range(100)))


def clock_of(task_id: str) -> Callable[[], float]:
    """Seconds of the processor that the install's thread has taken."""
    [thread] = [each for each in threading.enumerate() if task_id in each.name]
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    return lambda: time.clock_gettime(clock)


def test_well_formed_events_without_an_end(bench: HostileBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are taken at a pace; a cancel ends the rest."""
    monkeypatch.setattr(cpu_share, "AT_ONCE_SECONDS", 0.2)
    task_id = bench.start(bench.server(follow=builds, cancel=silent))
    taken = clock_of(task_id)
    wait_until(lambda: taken() > 0.2, 20, "what may be taken at once was taken")
    before = taken()
    assert not bench.service.installs.wait(task_id, 4)
    assert taken() - before < 4 * 2 * cpu_share.SHARE
    bench.cancelled_in_time(task_id)


def test_a_rest_is_no_silence_of_the_instance(bench: HostileBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has listened meanwhile."""
    monkeypatch.setattr(cpu_share, "AT_ONCE_SECONDS", 0.05)
    monkeypatch.setattr(cpu_share, "SHARE", 0.001)
    monkeypatch.setattr(Settings, "timeouts", property(lambda _settings: Timeouts(silence=1.0)))
    server = bench.server(follow=builds, cancel=silent)
    task_id = bench.start(server)
    wait_until(lambda: server.was_asked("follow"), 20, "the run is followed")
    assert not bench.service.installs.wait(task_id, 3)
    assert (bench.api.progress(task_id)["state"], server.connections) == ("running", 1)
    bench.cancelled_in_time(task_id)


def test_a_share_is_not_taken_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have twice as long in between; what is over the share waits longer, until a cancel."""
    monkeypatch.setattr(cpu_share, "AT_ONCE_SECONDS", 0.05)
    share = CpuShare()
    share.begin()

    def work(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    assert share.rest_seconds() == 0.0
    work(0.01)
    assert 0.02 <= share.rest_seconds() < 0.1
    work(0.1)
    assert share.rest_seconds() > 0.8
    share.renew()
    assert share.rest_seconds() == 0.0
