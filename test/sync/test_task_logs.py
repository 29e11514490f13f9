"""Logs on the real thing: they come with the journal's stream, and stay when the instance is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli.program import RUN_FILE
from app.protocol.log_names import node_log
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from app.standin.relay import Relay
from test.support.service import ServiceProcess
from test.support.waiting import wait_until
from test.sync.conftest import Bench, BenchFactory, Gate

pytestmark = pytest.mark.sshd

HOSTILE_NAME = "evil $(touch hit) ; ünï 'x' .."


def read(bench: Bench, task_id: str, **query: Any) -> dict[str, Any]:
    """The answer of the route."""
    answer = bench.service.app.test_client().get(f"/tasks/{task_id}/log", query_string=query)
    assert isinstance(answer.json, dict)
    return answer.json


def state_folder(instance: StandIn, task_id: str) -> Path:
    """The run's folder on the instance."""
    return instance.home / ".local" / "state" / "nodeferry" / task_id


def script(text: str, gate: Path) -> PackSource:
    """A pack whose install.py prints, waits for the gate, prints again and fails."""
    wait = f"import os, select\nwhile not os.path.exists({str(gate)!r}):\n    select.select([], [], [], 0.05)\n"
    return PackSource(install_py=f"print({text!r})\n{wait}print('and now it fails')\nraise SystemExit(3)\n")


def test_a_failing_packs_log_is_readable_while_it_runs_and_after_the_instance_is_gone(
    bench: Bench, instance: StandIn, git_server: GitServer, tmp_path: Path
) -> None:
    """The same text, by the pack's name; its size, its end and the other logs stand beside it."""
    gate = tmp_path / "gate"
    pack = make_pack(git_server, "owner", "failing", script("no compiler here", gate))
    task_id = bench.start(instance.ssh_command, pack, ui_home=instance.ui_home)
    wait_until(lambda: "no compiler here" in str(read(bench, task_id, node="failing").get("text")), 30, "the line")
    running = read(bench, task_id, node="failing")
    assert (running["complete"], running["node"]) == (False, "failing")
    gate.touch()
    bench.ended(task_id)
    wait_until(lambda: read(bench, task_id, node="failing")["complete"], 30, "the log is complete")
    shutil.rmtree(state_folder(instance, task_id))
    instance.stop_sshd()
    later = read(bench, task_id, node="failing", offset=running["next_offset"])
    assert "and now it fails" in later["text"] and "no compiler here" not in later["text"]
    assert later["size"] == later["next_offset"]
    run = read(bench, task_id)
    assert "pack failing: " in run["text"] and "the run ended" in run["text"]
    assert {(row["log"], row["node"]) for row in run["logs"]} >= {("run", None), ("node", "failing")}


@pytest.mark.parametrize("way", ["cut", "restart"])
def test_a_line_that_is_cut_in_the_middle_of_a_log_loses_and_repeats_no_byte(
    bench_factory: BenchFactory, instance: StandIn, git_server: GitServer, tmp_path: Path, way: str
) -> None:
    """Afterwards each log is byte for byte the instance's; a restarted service goes on there too."""
    gate = tmp_path / "gate"
    pack = make_pack(git_server, "owner", "talking", script("x" * 60_000 + "\n" + "word é\r" * 60_000, gate))
    bench = bench_factory()
    task_id = bench.start(instance.ssh_command, pack, ui_home=instance.ui_home)
    wait_until(lambda: read(bench, task_id, node="talking").get("size", 0) > 60_000, 30, "the log is on its way")
    if way == "cut":
        instance.kill_connections()
        bench.until(task_id, lambda progress: progress["state"] == "interrupted", "the cut is noticed")
        bench.until(task_id, lambda progress: progress["state"] == "running", "the line is mended")
    else:
        bench.service.close()
        bench = bench_factory()
    gate.touch()
    bench.ended(task_id)
    wait_until(lambda: read(bench, task_id)["complete"], 30, "the logs are complete")
    theirs = state_folder(instance, task_id)
    logs = bench.service.settings.data_dir / "logs" / task_id
    names = sorted(str(path.relative_to(theirs)) for path in theirs.rglob("*.log"))
    assert {"run.log", node_log("talking")} <= set(names)
    for name in names:
        assert (logs / name).read_bytes() == (theirs / name).read_bytes(), name
    assert _whole(bench, task_id, "talking").encode() == (theirs / node_log("talking")).read_bytes()


def _whole(bench: Bench, task_id: str, node: str) -> str:
    """A log read in pieces whose ends are in the middle of characters."""
    text, offset, size = "", 0, 1
    while offset < size:
        part = read(bench, task_id, node=node, offset=offset, limit=10_001)
        text, offset, size = text + part["text"], part["next_offset"], part["size"]
    return text


def test_a_packs_name_is_only_a_name(bench: Bench, instance: StandIn, git_server: GitServer) -> None:
    """Whatever it is made of, its log is a plain file in its folder, here as on the instance, and read by that name."""
    pack = make_pack(git_server, "owner", "plain", install_py="print('hello')\n")
    odd = Pack(pack.owner, HOSTILE_NAME, pack.url, pack.commits)
    task_id = bench.start(instance.ssh_command, odd, ui_home=instance.ui_home)
    end = bench.ended(task_id)
    assert end["outcome"] == "all", end
    wait_until(lambda: read(bench, task_id)["complete"], 30, "the logs are complete")
    assert "hello" in read(bench, task_id, node=odd.name)["text"]
    folder = bench.service.settings.data_dir / "logs"
    assert (folder / task_id / node_log(odd.name)).is_file()
    assert read(bench, task_id, node="../run")["error"] == "log_not_found"
    assert read(bench, task_id, log="../" + task_id + "/run")["error"] == "log_not_found"


def test_a_disk_that_takes_no_logs_stops_no_install(
    bench: Bench, instance: StandIn, packs: list[Pack], caplog: pytest.LogCaptureFixture
) -> None:
    """The install ends as ever; that its logs are missing is told in the service's log."""
    (bench.service.settings.data_dir / "logs").write_text("in the way")
    end = bench.ended(bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home))
    assert (end["state"], end["outcome"]) == ("completed", "all"), end
    assert "its logs cannot be kept" in caplog.text


def test_logs_do_not_hold_up_the_journal_on_a_slow_line(
    bench: Bench, instances: Callable[..., StandIn], gate: Gate, git_server: GitServer
) -> None:
    """A pack that prints megabytes: the run's end is told at once, not behind all that."""
    instance = instances()
    noisy = "import sys\nfor n in range(60000): print('noise ' * 10, n)\n"
    pack = make_pack(git_server, "owner", "noisy", install_py=noisy)
    with Relay(instance.port) as relay:
        command = instance.ssh_command.replace(str(instance.port), str(relay.port), 1)
        task_id = bench.start(command, pack, ui_home=instance.ui_home)
        bench.ended(task_id)
        part = read(bench, task_id, node="noisy")
        wait_until(lambda: read(bench, task_id, node="noisy")["complete"], 20, "the rest has come")
        theirs = (state_folder(instance, task_id) / node_log("noisy")).stat().st_size
        assert part["size"] < theirs, "the end was told before the log was here"
        assert read(bench, task_id, node="noisy")["size"] >= min(theirs, 4 * 1024 * 1024)


@pytest.mark.slow
def test_the_command_follows_a_log_to_its_end(tmp_path: Path, instance: StandIn, git_server: GitServer) -> None:
    """`tasks log ID --node NAME --follow` prints what comes, and ends with the task."""
    gate = tmp_path / "gate"
    pack = make_pack(git_server, "owner", "failing", script("no compiler here", gate))
    with ServiceProcess(tmp_path) as service:
        manifest = {"nodes": [{"name": pack.name, "repo_url": pack.url}]}
        task_id = service.install(instance, manifest=manifest, options={"verify": False})
        service.until(task_id, "running")
        wait_until(lambda: service.progress(task_id)["phase"] == "scripts", 30, "its script runs")
        command = [sys.executable, str(RUN_FILE), "tasks", "log", task_id, "--node", "failing", "--server", service.url]
        now = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "and now it fails" not in now.stdout
        with subprocess.Popen([*command, "--follow"], stdout=subprocess.PIPE, text=True) as following:
            gate.touch()
            text, _ = following.communicate(timeout=60)
        assert (following.returncode, service.progress(task_id)["completed"]) == (0, True)
        assert "no compiler here" in text and "and now it fails" in text
        nobody = subprocess.run([*command[:-3], "nobody", *command[-2:]], capture_output=True, text=True, check=False)
    assert nobody.returncode == 1 and "'nobody'" in nobody.stderr and "Traceback" not in nobody.stderr


def test_the_log_of_a_run_that_died_is_all_there_is(
    bench: Bench, instance: StandIn, git_server: GitServer, tmp_path: Path
) -> None:
    """kill -9 of the runner: its follower still sends what was written, and nothing is said to be missing."""
    pack = make_pack(git_server, "owner", "hanging", script("up", tmp_path / "never"))
    task_id = bench.start(instance.ssh_command, pack, ui_home=instance.ui_home)
    wait_until(lambda: "up" in str(read(bench, task_id, node="hanging").get("text")), 30, "the script runs")
    first = (state_folder(instance, task_id) / "journal.ndjson").read_bytes().split(b"\n", 1)[0]
    os.kill(int(json.loads(first)["pid"]), signal.SIGKILL)
    assert bench.ended(task_id)["error"]["code"] == "runner_lost"
    bench.service.installs.retention.prune(90)
    assert "not all of this task's logs" not in read(bench, task_id)["text"]
