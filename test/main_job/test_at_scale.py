"""A long history, a long queue, many installs in a row: answers stay quick, order stays, nothing leaks."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from app.protocol.states import TaskState
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from app.standin.processes import all_processes, command_line
from test.support.past_records import past_record, put_past
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until

pytestmark = pytest.mark.slow

HISTORY = 1000
INSTANCES, STARTS_EACH = 50, 5
MAX_RUNNING = 16
MANIFEST = {"urls": ["https://example.org/o/p"]}


@pytest.mark.quiet
def test_a_poll_right_after_a_restart_is_answered_at_once_with_a_thousand_records(tmp_path: Path) -> None:
    """With the last known state, within a second of the service's first word; its list is no slower for it."""
    service = ServiceProcess(tmp_path)
    unfinished = past_record(HISTORY, TaskState.RUNNING)
    put_past(service.data_dir, *map(past_record, range(HISTORY)), unfinished)
    began = time.monotonic()
    with service:
        answering = time.monotonic()
        progress = service.progress(unfinished.task_id)
        answered = time.monotonic()
        assert (progress["state"], progress["total_nodes"]) == ("running", 34)
        assert progress["revision"] >= 400
        listed = service.get("/tasks", limit=200)["tasks"]
        print(
            f"the service answers {answering - began:.2f} s after it was started,"
            f" the poll took {answered - answering:.3f} s, a page of 200 {time.monotonic() - answered:.3f} s"
        )
        assert answered - answering < 1.0
        assert len(listed) == 200


@pytest.fixture
def mute_instances() -> Iterator[list[str]]:
    """Addresses of listeners that accept connections and never speak: an install there takes its connect deadline."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64)) for _ in range(INSTANCES)]
        yield [f"root@127.0.0.1 -p {listener.getsockname()[1]}" for listener in listeners]


@pytest.mark.long
def test_many_starts_for_fifty_instances_run_one_at_a_time_each_and_in_order(
    tmp_path: Path, mute_instances: list[str]
) -> None:
    """Each is accepted once, no two run in one ComfyUI at a time, order stays, and only what runs has a thread."""
    with ServiceProcess(tmp_path, max_running=str(MAX_RUNNING), connect_timeout_seconds="0.3") as service:
        idle = _threads(service.pid)
        most = _Most(lambda: _threads(service.pid))

        def start_all(address: str) -> list[str]:
            body = {"ssh_connection": address, "ui_home": "/c", "manifest": MANIFEST, "options": {"wait_seconds": 0}}
            with requests.Session() as session:
                url = f"{service.url}/ssh/install-custom-nodes"
                answers = [session.post(url, json=body, timeout=60) for _ in range(STARTS_EACH)]
            return [str(answer.json()["task_id"]) for answer in answers]

        began = time.monotonic()
        with most, ThreadPoolExecutor(INSTANCES) as clients:
            started = list(clients.map(start_all, mute_instances))
            accepted = time.monotonic() - began
            wait_until(lambda: not _unfinished(service), 150, "all have ended")
        print(
            f"{INSTANCES * STARTS_EACH} starts accepted in {accepted:.2f} s,"
            f" all ended after {time.monotonic() - began:.1f} s, threads: {idle} idle, {most.value} at most"
        )
        listed = _all_rows(service)
    assert sorted(row["task_id"] for row in listed) == sorted(task_id for each in started for task_id in each)
    rows = {row["task_id"]: row for row in listed}
    for each in started:
        lane = [rows[task_id] for task_id in each]
        assert {row["error"]["code"] for row in lane} == {"connect_failed"}
        for before, after in pairwise(lane):
            assert before["finished_at"] <= after["started_at"]
    assert most.value <= idle + 64 + 2 * MAX_RUNNING  # waitress's threads are there when they are first needed


class _Most:
    """The highest value seen while the block runs."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look, self._done, self.value = look, threading.Event(), 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exc: object) -> None:
        self._done.set()
        self._thread.join(5)

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.value = max(self.value, self._look())


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def _descriptors(pid: int) -> Counter[str]:
    """How many of each kind the process has open, but for the database's: their pool opens as many as it may have."""
    kinds: Counter[str] = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            kinds[os.readlink(f"/proc/{pid}/fd/{name}").partition(":")[0]] += 1
        except FileNotFoundError:
            continue
    return Counter({kind: count for kind, count in kinds.items() if ".db" not in kind})


def _all_rows(service: ServiceProcess) -> list[Json]:
    rows: list[Json] = []
    cursor: str | None = None
    while True:
        page = service.get("/tasks", limit=200, **({"cursor": cursor} if cursor else {}))
        rows += page["tasks"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


def _unfinished(service: ServiceProcess) -> bool:
    return any(service.get("/tasks", state=state, limit=1)["tasks"] for state in ("queued", "running"))


RUNS = 6
"""What each leaves behind shows after as many."""


@pytest.mark.sshd
@pytest.mark.timeout(400)
@pytest.mark.long
def test_many_installs_leave_no_thread_no_descriptor_and_no_process_behind(
    tmp_path: Path, git_server: GitServer, standin: StandIn
) -> None:
    """As many as after the first few, here and on the instance."""
    pack = make_pack(git_server, "o", "tiny")
    with ServiceProcess(tmp_path) as service:

        def install(times: int) -> None:
            for _ in range(times):
                task_id = service.install(standin, manifest={"urls": [pack.url]}, options={"verify": False})
                assert service.ended(task_id)["outcome"] == "all"
            wait_until(lambda: standin.connections() == 0, 30, "the connections are closed")

        def runners() -> int:
            return sum("nodeferry" in command_line(p) and str(standin.home) in command_line(p) for p in all_processes())

        install(3)
        threads, descriptors = _threads(service.pid), _descriptors(service.pid)
        install(RUNS)
        wait_until(lambda: _threads(service.pid) <= threads, 30, "the threads are gone")
        wait_until(lambda: _descriptors(service.pid).total() <= descriptors.total(), 30, "the descriptors are gone")
        wait_until(lambda: runners() == 0, 30, "the runners are gone")
        print(
            f"after 3 and after {RUNS + 3} installs: threads {threads} and {_threads(service.pid)},"
            f" descriptors {dict(descriptors)} and {dict(_descriptors(service.pid))}, runners 0"
        )
