"""`make cluster`: several processes are one service, and at the end nothing of them is left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from app.standin.postgresql import programs
from bench.cluster.cluster import Cluster, Wanted
from bench.fleet.script import Play
from test.house.sources import ROOT
from test.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="There is no PostgreSQL here; `make test-deps` installs Debian's."),
]

_FLEET = Play(instances=4, rate=30.0, events=90)
_SLOW = Play(instances=2, rate=2.0, events=200)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two web processes, two workers."""
    with Cluster(Wanted(fleet=_FLEET)) as made:
        yield made


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = requests.post(url, json=body, timeout=30)
    assert answer.ok, answer.text
    found: dict[str, Any] = answer.json()
    return found


def progress(url: str, task_id: str) -> dict[str, Any]:
    return post(f"{url}/ssh/install-custom-nodes/progress", {"task_id": task_id})


def test_what_one_web_process_starts_the_other_shows(cluster: Cluster) -> None:
    """A worker runs it; every process is its own, with its own port."""
    first, second = cluster.web
    assert len({member.pid for member in cluster.members}) == 4
    task_id = post(f"{first.url}/ssh/install-custom-nodes", cluster.request())["task_id"]
    wait_until(lambda: progress(second.url, task_id)["completed"], 60, "it ends")
    assert progress(second.url, task_id)["state"] == progress(first.url, task_id)["state"] == "completed"


def test_one_grep_finds_what_all_processes_said_of_a_task(cluster: Cluster) -> None:
    """The one that was asked, and the one that ran it: in the order of the time, each with its name."""
    task_id = post(f"{cluster.web[0].url}/ssh/install-custom-nodes", cluster.request(1))["task_id"]
    wait_until(lambda: progress(cluster.web[1].url, task_id)["completed"], 60, "it ends")

    def lines() -> list[dict[str, Any]]:
        logs = [member.log.read_text("utf-8").splitlines() for member in cluster.members]
        return [json.loads(line) for log in logs for line in log if task_id in line]

    wait_until(lambda: any("completed after" in line["message"] for line in lines()), what="the worker has said it")
    assert {line["task_id"] for line in lines()} == {task_id}
    roles = {line["process"].partition("@")[0] for line in lines()}
    assert roles == {"web", "worker"}
    said = "\n".join(line["message"] for line in lines())
    assert "path=/ssh/install-custom-nodes status=202" in said and "working on it (lease 1)" in said


def test_workers_count_for_themselves(cluster: Cluster) -> None:
    """Each process has its figures at its own port; what is in the database all of them say."""
    texts = {member.name: requests.get(f"{member.url}/metrics", timeout=10).text for member in cluster.members}
    for name, text in texts.items():
        assert f'role="{name.partition("-")[0]}"' in text
    ended = [
        float(number) for text in texts.values() for number in re.findall(r'finished_total{outcome="\w+"} (\S+)', text)
    ]
    stored = [re.findall(r'nodeferry_tasks{state="completed"} (\S+)', text) for text in texts.values()]
    assert [[sum(ended)]] * len(texts) == [[float(number) for number in each] for each in stored]


def counted(url: str, series: str) -> float:
    """A series of one process; 0 where it is not there."""
    text = requests.get(f"{url}/metrics", timeout=30).text
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_what_goes_between_processes_is_counted() -> None:
    """How late a cancel was heard, an install that another worker went on with, and a PostgreSQL that was away."""
    with Cluster(Wanted(fleet=_SLOW)) as cluster:
        first, second = cluster.web
        task_id = post(f"{first.url}/ssh/install-custom-nodes", cluster.request())["task_id"]
        wait_until(lambda: progress(second.url, task_id)["state"] == "running", 60, "it runs")
        left = next(worker for worker in cluster.workers if task_id in worker.log.read_text("utf-8"))
        other = next(worker for worker in cluster.workers if worker is not left)
        left.terminate()
        left.wait()
        taken = "nodeferry_installs_taken_up_total"
        wait_until(lambda: counted(other.url, taken) == 1, 60, "the other goes on")
        live, again = "nodeferry_listener_live", "nodeferry_listener_reconnects_total"
        wait_until(lambda: counted(first.url, live) == 1, 60, "it hears of the others")
        cluster.postgresql.kill()
        cluster.postgresql.start()
        wait_until(lambda: counted(first.url, live) == counted(first.url, again) == 1, 60, "it hears of them again")
        post(f"{first.url}/tasks/{task_id}/cancel", {})
        wait_until(lambda: counted(other.url, 'nodeferry_signal_seconds_count{kind="cancel"}') == 1, 60, "it is heard")
        wait_until(lambda: progress(second.url, task_id)["state"] == "cancelled", 60, "it ends")


@contextmanager
def command(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m bench.cluster` in `folder`; afterwards nothing is left there."""
    environment = os.environ | {"TMPDIR": str(folder)}
    argv = [sys.executable, "-m", "bench.cluster", "--instances", "2", *words]
    with subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder that others may enter: PostgreSQL is another user."""
    with tempfile.TemporaryDirectory(prefix="cl-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def said_until(process: subprocess.Popen[str], mark: str) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(mark):
            return said
    assert process.stderr is not None
    raise AssertionError(said + process.stderr.read())


def pids_in(said: str) -> list[int]:
    return [int(number) for number in re.findall(r"process (\d+)", said)]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_what_it_prints_works_and_sigterm_leaves_nothing(short: Path) -> None:
    """The lines are pasted as they stand."""
    with command(short, "--port", "0", "--workers", "1", "--rate", "30", "--events", "90") as process:
        said = said_until(process, "  kill -9")
        curls = [line.strip() for line in said.splitlines() if line.startswith("  curl")]
        started = subprocess.run(["sh", "-c", curls[0]], capture_output=True, text=True, timeout=30, check=True)
        task_id = json.loads(started.stdout)["task_id"]
        polled = subprocess.run(
            ["sh", "-c", curls[1].replace("TASK_ID", task_id)], capture_output=True, text=True, timeout=30, check=True
        )
        assert json.loads(polled.stdout)["task_id"] == task_id
        fleet = subprocess.run(["sh", "-c", curls[2]], capture_output=True, text=True, timeout=30, check=True)
        assert json.loads(fleet.stdout)["success"] is True
        pids = pids_in(said)
        assert len(pids) == 5 and all(map(is_alive, pids))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not any(map(is_alive, pids))
    assert list(short.iterdir()) == []


def test_it_goes_on_without_one_of_two_workers(short: Path) -> None:
    with command(short, "--port", "0", "--web", "1") as process:
        pids = pids_in(said_until(process, "  kill -9"))
        os.kill(pids[-1], signal.SIGKILL)
        said_until(process, "worker-2 has ended (exit status -9); the others go on")
        assert all(map(is_alive, pids[:-1]))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not any(map(is_alive, pids)) and list(short.iterdir()) == []


def test_it_ends_in_words_when_the_last_worker_dies(short: Path) -> None:
    """And takes everything else down."""
    with command(short, "--port", "0", "--web", "1", "--workers", "1") as process:
        pids = pids_in(said_until(process, "  kill -9"))
        os.kill(pids[-1], signal.SIGKILL)
        assert process.wait(60) == 1
        assert process.stderr is not None
        assert "The cluster is down: worker-1 has ended (exit status -9)." in process.stderr.read()
    assert not any(map(is_alive, pids)) and list(short.iterdir()) == []


def test_it_ends_in_words_when_its_port_is_taken(short: Path) -> None:
    """Before anything else is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command(short, "--port", str(port)) as process:
            assert process.wait(60) == 1
            assert process.stderr is not None
            assert f"Port {port} of 127.0.0.1 is taken. Another one: make cluster ARGS=" in process.stderr.read()
    assert list(short.iterdir()) == []


def test_it_ends_in_words_without_postgresql(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from app.standin import postgresql
    from bench.cluster.__main__ import main

    monkeypatch.setattr(postgresql, "programs", lambda: None)
    assert main(["--port", "0"]) == 1
    assert "There is no PostgreSQL here. `make system-deps` installs Debian's." in capsys.readouterr().err
