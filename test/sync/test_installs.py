"""Starting, waiting for a turn, looking, cancelling; with instances that are busy, dead or not there."""

from __future__ import annotations

import socket
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.address import parse_address
from app.domain.errors import TaskNotCancellable, TaskNotFound
from app.domain.request import InstallRequest
from app.protocol.options import Options
from app.standin.instance import StandIn
from app.standin.packs import Pack
from test.remote.conftest import make_key
from test.support.ports import closed_port
from test.support.waiting import wait_until
from test.sync.conftest import Bench, BenchFactory, Gate

MANIFEST = {"urls": ["https://github.com/owner/pack"]}


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a listener that accepts connections and never speaks."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield f"root@127.0.0.1 -p {listener.getsockname()[1]}"


def _request(address: str, **options: object) -> InstallRequest:
    return InstallRequest(address, parse_address(address), manifest=MANIFEST, options=Options(**options))  # type: ignore[arg-type]


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    return f"root@127.0.0.1 -p {closed_port()}"


def test_a_dead_instance_fails_the_task_with_its_reason(bench: Bench, nobody: str) -> None:
    """With wait_seconds 0 one try is made."""
    end = bench.ended(bench.installs.start(_request(nobody, wait_seconds=0)).task_id)
    assert (end["state"], end["error"]["code"], end["return_code"]) == ("failed", "connect_failed", 1)
    assert end["steps"][0]["status"] == "failed"


@pytest.mark.slow
def test_an_instance_that_is_not_up_is_waited_for(bench: Bench, nobody: str) -> None:
    """The progress shows why nothing moves, until the time is over; then the last reason is the error."""
    task_id = bench.installs.start(_request(nobody, wait_seconds=2)).task_id
    bench.until(task_id, lambda p: p["message_code"] == "waiting_for_instance", "the waiting is shown")
    status = bench.installs.progress(task_id)
    assert status["state"] == "running"
    assert str(parse_address(nobody).port) in status["message"]
    end = bench.ended(task_id, timeout=8)
    assert (end["state"], end["error"]["code"]) == ("failed", "connect_failed")


@pytest.mark.sshd
def test_an_instance_that_comes_up_late_is_installed_on(bench: Bench, instance: StandIn, packs: list[Pack]) -> None:
    """What was refused at first is tried again."""
    instance.stop_sshd()
    task_id = bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home, wait_seconds=30)
    bench.until(task_id, lambda p: p["message_code"] == "waiting_for_instance", "the waiting is shown")
    instance.start_sshd()
    assert bench.ended(task_id)["outcome"] == "all"


@pytest.mark.sshd
def test_keys_that_are_not_accepted_are_named(bench: Bench, instance: StandIn, tmp_path: Path) -> None:
    """The reason is a login that failed, not a connection."""
    key = make_key(tmp_path / "unknown")
    end = bench.ended(bench.installs.start(_request(f"{instance.address} -i {key}", wait_seconds=0)).task_id)
    assert (end["state"], end["error"]["code"]) == ("failed", "authentication_failed")
    assert str(key) in end["error"]["message"]


@pytest.mark.quiet
def test_a_cancel_while_connecting_is_heard_at_once(bench: Bench, mute: str) -> None:
    """No wait outlives a cancel."""
    task_id = bench.installs.start(_request(mute, wait_seconds=60)).task_id
    bench.until(task_id, lambda progress: progress["state"] == "running", "it is connecting")
    asked = time.monotonic()
    bench.installs.cancel(task_id)
    assert bench.ended(task_id, timeout=2)["state"] == "cancelled"
    assert time.monotonic() - asked < 2
    with pytest.raises(TaskNotCancellable):
        bench.installs.cancel(task_id)


def test_a_second_install_on_an_instance_waits_for_the_first(bench: Bench, mute: str) -> None:
    """It says for which one it waits, and starts when that one has ended."""
    first = bench.installs.start(_request(mute, wait_seconds=60)).task_id
    second = bench.installs.start(_request(mute, wait_seconds=60)).task_id
    status = bench.installs.progress(second)
    assert (status["state"], status["message_code"]) == ("queued", "waiting_for_install")
    assert first in status["message"]
    bench.installs.cancel(first)
    bench.until(second, lambda progress: progress["state"] == "running", "the second has its turn")
    bench.installs.cancel(second)
    bench.ended(second)


def test_a_waiting_install_is_cancelled_without_a_connection(bench: Bench, mute: str) -> None:
    """It ends at once, and whoever waits behind it is not held up by it."""
    first, second, third = (bench.installs.start(_request(mute, wait_seconds=60)).task_id for _ in range(3))
    assert bench.installs.cancel(second).value == "cancelled"
    assert bench.installs.progress(second)["steps"][0]["status"] == "pending"
    bench.until(third, lambda progress: first in progress["message"], "the third waits for the first")
    for task_id in (first, third):
        bench.installs.cancel(task_id)
        bench.ended(task_id)


@pytest.mark.sshd
def test_two_installs_never_run_beside_each_other_on_one_comfyui(
    bench: Bench, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    """The second begins after the first has ended, and both end well."""
    first = bench.start(instance.ssh_command, packs[0], gate.pack, ui_home=instance.ui_home)
    second = bench.start(instance.address + f" -i {instance.client_key}", *packs[1:], ui_home=f"{instance.ui_home}/")
    bench.until(first, lambda progress: progress["phase"] == "scripts", "the first is at its scripts")
    assert bench.installs.progress(second)["state"] == "queued"
    gate.open()
    assert bench.ended(first)["outcome"] == "all"
    assert bench.ended(second)["outcome"] == "all"
    times = {task["task_id"]: task for task in bench.installs.list()[0]}
    assert times[second]["started_at"] >= times[first]["finished_at"]


def test_no_more_installs_run_than_there_are_places(bench_factory: BenchFactory, mute: str) -> None:
    """The others wait, and say for what."""
    bench = bench_factory(max_running=1)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        first = bench.installs.start(_request(mute, wait_seconds=60)).task_id
        second = bench.installs.start(_request(f"root@127.0.0.1:{other.getsockname()[1]}")).task_id
        assert bench.installs.progress(second)["message_code"] == "waiting_for_place"
        bench.installs.cancel(second)
        bench.installs.cancel(first)
        assert bench.ended(first)["state"] == bench.ended(second)["state"] == "cancelled"


def test_an_idempotency_key_gives_the_same_task(bench: Bench, nobody: str) -> None:
    """A start that is sent twice is one install."""
    request = replace(_request(nobody, wait_seconds=0), idempotency_key="once")
    first, again = bench.installs.start(request), bench.installs.start(request)
    assert (first.deduplicated, again.deduplicated) == (False, True)
    assert again.task_id == first.task_id
    bench.ended(first.task_id)


def test_a_poll_that_has_seen_the_newest_is_answered_briefly(bench: Bench, nobody: str) -> None:
    """`since` is the revision that was seen; another one gives the whole progress."""
    task_id = bench.installs.start(_request(nobody, wait_seconds=0)).task_id
    revision = bench.ended(task_id)["revision"]
    assert bench.installs.progress(task_id, since=revision)["unchanged"] is True
    assert "unchanged" not in bench.installs.progress(task_id, since=revision - 1)


def test_unknown_tasks_are_not_found(bench: Bench) -> None:
    """Every use case says so."""
    unknown = str(uuid.uuid4())
    for use in (bench.installs.progress, bench.installs.task, bench.installs.cancel):
        with pytest.raises(TaskNotFound):
            use(unknown)
    with pytest.raises(TaskNotFound):
        bench.installs.wait(unknown, 0)


def test_lists_page_from_the_newest(bench: Bench, nobody: str) -> None:
    """Each task is on one page, once."""
    started = [bench.installs.start(_request(nobody, wait_seconds=0)).task_id for _ in range(5)]
    for task_id in started:
        bench.ended(task_id)
    found, cursor = bench.installs.list(limit=2)
    while cursor:
        page, cursor = bench.installs.list(limit=2, cursor=cursor)
        found += page
    assert [row["task_id"] for row in found] == started[::-1]
    assert bench.installs.list(state="completed")[0] == []


@pytest.mark.alone
@pytest.mark.sqlite
def test_starts_and_polls_are_quick_whatever_the_instance_does(bench: Bench, mute: str) -> None:
    """A start is answered within 100 ms and a poll within 5 ms at the median, with an instance that never answers."""
    request = _request(mute, wait_seconds=60)
    starts = [_seconds(lambda: bench.installs.start(request)) for _ in range(30)]
    newest = bench.installs.list(limit=1)[0][0]["task_id"]
    polls = [_seconds(lambda: bench.installs.progress(newest)) for _ in range(200)]
    assert statistics.median(starts) < 0.1
    assert statistics.median(polls) < 0.005


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def test_a_queue_outlives_the_service(bench_factory: BenchFactory, mute: str) -> None:
    """What waited when the service was closed is taken up by the next one, in its order."""
    old = bench_factory()
    tasks = [old.installs.start(_request(mute, wait_seconds=60)).task_id for _ in range(3)]
    old.until(tasks[0], lambda progress: progress["state"] == "running", "the first runs")
    old.service.close()
    new = bench_factory()
    new.until(tasks[0], lambda progress: progress["state"] == "running", "the first runs again")
    assert tasks[0] in new.installs.progress(tasks[2])["message"]
    for task_id in tasks:
        new.installs.cancel(task_id)
        assert new.ended(task_id)["state"] == "cancelled"


def test_progress_is_a_file_too(bench_factory: BenchFactory, nobody: str, tmp_path: Path) -> None:
    """One JSON file a task in the data folder."""
    bench = bench_factory()
    task_id = bench.installs.start(_request(nobody, wait_seconds=0)).task_id
    bench.ended(task_id)
    path = tmp_path / "data" / "progress" / f"{task_id}.json"
    wait_until(lambda: '"state": "failed"' in path.read_text() if path.exists() else False, what="the file is written")
