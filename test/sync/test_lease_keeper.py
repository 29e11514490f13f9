"""Who works on an install: a service that was overtaken lets go of it, and one that nobody works on is taken up."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.address import parse_address
from app.domain.record import InstallRecord
from app.domain.request import InstallRequest
from app.protocol.options import Options
from app.protocol.states import TaskState
from app.storage import InstallStore, Leases
from app.storage.transactions import writing
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder
from test.support.waiting import wait_until
from test.sync.conftest import Bench, BenchFactory

pytestmark = pytest.mark.alone  # leases of 0.6 s

MANIFEST = {"urls": ["https://github.com/owner/pack"]}


@pytest.fixture(autouse=True)
def quick_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of the services in these tests last 0.6 s, so that they are looked after five times a second."""
    monkeypatch.setattr("app.storage.lease.LEASE_SECONDS", 0.6)
    monkeypatch.setattr("app.storage.lease.MARGIN_SECONDS", 0.1)


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a listener that accepts connections and never speaks."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield f"root@127.0.0.1 -p {listener.getsockname()[1]}"


def _start(bench: Bench, address: str) -> str:
    options = Options(wait_seconds=60)
    request = InstallRequest(address, parse_address(address), manifest=MANIFEST, options=options)
    task_id = bench.installs.start(request).task_id
    bench.until(task_id, lambda progress: progress["state"] == "running", "it runs")
    return task_id


def _record(bench: Bench, task_id: str) -> InstallRecord:
    record = InstallStore(bench.service.engine).get(task_id)
    assert record is not None
    return record


def _lease(bench: Bench) -> tuple[object, ...]:
    with bench.service.engine.connect() as connection:
        return tuple(connection.exec_driver_sql("SELECT lease_owner, lease_expires_at FROM installs").one())


def _overtake(bench: Bench, task_id: str, owner: str = "there:/data") -> int:
    """Another service, by whose clock the lease is long over; its token."""
    later = Leases(bench.service.engine, owner, now=lambda: time.time() + 60, seconds=3600)
    lease = later.claim(task_id, _record(bench, task_id).lease_token)
    assert lease is not None
    InstallStore(bench.service.engine).update(task_id, token=lease.token, revision=500)
    return lease.token


def test_a_service_that_was_overtaken_lets_go_and_writes_nothing(
    bench: Bench, mute: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread ends though it hung in a connect, its log says why, and polls tell what the other one writes."""
    task_id = _start(bench, mute)
    token = _overtake(bench, task_id)
    wait_until(lambda: not bench.installs._engine.knows(task_id), 5, "the thread has let go")
    record = _record(bench, task_id)
    assert (record.revision, record.lease_token, record.state.value) == (500, token, "running")
    assert f"task {task_id}: its lease is lost" in caplog.text
    InstallStore(bench.service.engine).update(task_id, token=token, state="cancelled", revision=501)
    assert _record(bench, task_id).revision == 501
    assert bench.installs.list()[0][0]["state"] == "cancelled"


def test_an_install_whose_service_died_is_taken_up_when_its_lease_is_over(bench: Bench, mute: str) -> None:
    """It was somebody else's, who is not heard of any more; the revision goes on from theirs."""
    task_id = _start(bench, mute)
    bench.installs.cancel(task_id)
    bench.ended(task_id)
    old = _record(bench, task_id)
    abandoned = replace(old, task_id="6b8f0000-0000-4000-8000-000000000001", state=TaskState.RUNNING, lease_token=0)
    abandoned = replace(abandoned, outcome=None, finished_at=None, error=None, snapshot=None)
    InstallStore(bench.service.engine).add(abandoned)
    theirs = Leases(bench.service.engine, "there:/data", seconds=1.5)
    held = theirs.claim(abandoned.task_id, 0)
    assert held is not None
    bench.until(abandoned.task_id, lambda progress: progress["state"] == "running", "it is taken up", 10)
    wait_until(lambda: _record(bench, abandoned.task_id).lease_token == 2, 30, "the lease is ours")
    assert theirs.renew([held]) == [held]
    bench.installs.cancel(abandoned.task_id)
    bench.ended(abandoned.task_id)


def test_a_running_install_s_lease_is_renewed_and_given_back(bench: Bench, mute: str) -> None:
    """Nobody else gets it while it runs, however long; at its end it is nobody's."""
    task_id = _start(bench, mute)
    theirs = Leases(bench.service.engine, "there:/data")
    looked_until = time.monotonic() + 1.5
    wait_until(lambda: theirs.claim(task_id, 1) or time.monotonic() > looked_until)
    assert theirs.claim(task_id, 1) is None
    bench.installs.cancel(task_id)
    bench.ended(task_id)
    wait_until(lambda: _lease(bench) == (None, None), 5, "it is given back")


def test_closing_gives_every_lease_back(bench_factory: BenchFactory, mute: str, tmp_path: Path) -> None:
    """Whoever comes next need not wait, on another machine neither."""
    bench = bench_factory()
    task_id = _start(bench, mute)
    bench.service.close()
    theirs = Leases(bench.service.engine, "there:/data")
    assert theirs.stalled() == [task_id]
    bench.service.engine.dispose()


def test_a_service_that_finds_another_s_lease_waits_for_its_end(bench_factory: BenchFactory, mute: str) -> None:
    """On its start too: its queue knows the install, its thread may not have it, polls tell what is known."""
    old = bench_factory()
    task_id = _start(old, mute)
    old.service.close()
    theirs = Leases(old.service.engine, "there:/data", seconds=3600)
    held = theirs.claim(task_id, 1)
    assert held is not None
    old.service.engine.dispose()
    new = bench_factory()
    wait_until(lambda: not new.installs._engine.knows(task_id), 5, "it has seen that it may not")
    assert new.installs.progress(task_id)["state"] == "running"
    theirs.release(held)
    wait_until(lambda: _record(new, task_id).lease_token == 3, 5, "it is taken up")
    new.installs.cancel(task_id)
    new.ended(task_id)
    theirs._engine.dispose()


def test_a_database_that_refuses_stops_no_install(bench: Bench, progress_writer: ProgressWriter) -> None:
    """Without a lease it goes on with the token that it knows, which still keeps everybody else's writes apart."""
    store = InstallStore(bench.service.engine)
    record = store.add(InstallRecord(str(uuid.uuid4()), 1.0, {"ssh_connection": "h"}, "root@h:22"))
    recorder = Recorder(record, ProgressCache(), bench.installs._saver, progress_writer)
    with writing(bench.service.engine) as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with bench.installs._jobs._lease_keeper.holding(recorder, threading.Event()) as held:
        assert held
        assert recorder.token == 0
