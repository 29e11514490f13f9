"""Runs of the last release's runner, whose files stand on their instances, under today's service and runner."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.remote.packer import pack_runner
from app.standin.processes import Process, command_line, processes_below
from test.api.client import content
from test.runner.rig import names_in
from test.support.service import essence
from test.support.waiting import wait_until
from test.upgrade.conftest import Restore
from test.upgrade.recorded import (
    RECORDING,
    RUNNER,
    STATE,
    TASKS,
    Json,
    Restored,
    lasting_differences,
)

pytestmark = [pytest.mark.sshd, pytest.mark.slow]

ONE_AT_A_TIME = pytest.mark.usefixtures("one_at_a_time")

GOING_ON = {
    "running": "main",
    "interrupted": "second",
    "started": "started",
    "cancelling": "unreached",
    "workflow-running": "flows",
}
"""The runs that lived when the release's service was killed, and their instances."""


def _packs(progress: Json) -> dict[str, str]:
    return {row["name"]: row["state"] for row in progress["nodes"]}


@ONE_AT_A_TIME
def test_runs_that_ended_meanwhile_are_followed_to_their_ends(restore: Restore) -> None:
    """From the byte to which the release had read their journals; then what had waited behind them starts, with today's
    runner, and the workflow and the fleet that they belong to complete."""
    restored = restore(*GOING_ON.values())
    for task, instance in GOING_ON.items():
        restored.run_folder(instance, task, "journal-ended.ndjson")
    api = restored.serve()
    ends = restored.expected("ended/essences")
    for task in GOING_ON:
        if task == "cancelling":  # the pack that was cloned and not finished says so by now
            ends[task]["nodes"] = [
                row | ({"error": "cancelled"} if row["name"] == "gated" else {}) for row in ends[task]["nodes"]
            ]
        assert essence(restored.ended(task)) == ends[task], task
    for task in ("running", "interrupted"):
        assert lasting_differences(restored.expected(f"ended/tasks/{task}"), restored.task(task)) == []
    assert restored.progress("running")["retry"] == restored.expected("ended/tasks/running")["progress"]["retry"]
    for task in ("queued", "fleet-waiting-main", "fleet-waiting-second"):
        end = restored.ended(task)
        assert (end["state"], end["outcome"]) == (ends[task]["state"], ends[task]["outcome"])
        assert _packs(end) == {row["name"]: row["state"] for row in ends[task]["nodes"]}
    fleet = content(api.get(f"/fleet/{RECORDING['fleets']['fleet-waiting']}"))
    assert (fleet["completed"], fleet["states"]["completed"]) == (True, 2)
    wait_until(lambda: restored.workflow("running")["state"] == "completed", 120, "the workflow completes")
    assert lasting_differences(restored.expected("ended/workflows/running"), restored.workflow("running")) == []


@ONE_AT_A_TIME
@pytest.mark.parametrize("journal", ["journal.ndjson", "journal-cut.ndjson"])
def test_a_run_that_died_meanwhile_is_told_and_the_next_one_starts(restore: Restore, journal: str) -> None:
    """What its journal had said counts, up to the last whole line."""
    restored = restore("main")
    folder = restored.run_folder("main", "running", journal)
    whole = (folder / "journal.ndjson").read_bytes().split(b"\n")[:-1]
    restored.serve()
    end = restored.ended("running")
    assert (end["state"], end["error"]["code"]) == ("failed", "runner_lost")
    events = [event for event in map(json.loads, whole) if event["event"] == "node"]
    told = {event["name"]: event["state"] for event in events}
    assert told["gated"] == ("installed" if journal == "journal-cut.ndjson" else "installing")
    assert _packs(end) == told | {"gated": "failed" if told["gated"] == "installing" else "installed"}
    assert (journal == "journal-cut.ndjson") == (not (folder / "journal.ndjson").read_bytes().endswith(b"\n"))
    following = restored.ended("queued")
    assert (following["state"], following["outcome"]) == ("completed", "all")


def test_an_instance_that_lost_the_journal_is_told_so(restore: Restore) -> None:
    """Another machine at the address, or a home that was emptied: today's runner does not begin the run anew."""
    restored = restore("started", "main")
    folder = restored.run_folder("main", "running", "journal.ndjson")
    (folder / "journal.ndjson").write_bytes((folder / "journal.ndjson").read_bytes()[:400])
    restored.serve()
    end = restored.ended("running")
    assert (end["state"], end["error"]["code"]) == ("failed", "runner_lost")
    assert names_in(restored.standins["main"].custom_nodes) == []


class Live:
    """The run `started` of the older runner, alive on its instance and waiting at its gate."""

    def __init__(self, restored: Restored) -> None:
        self.restored = restored
        self.standin = restored.standins["started"]
        self.task_id = TASKS["started"]
        self.folder = self.standin.home / STATE / self.task_id
        self.bin = self.standin.home / STATE / "bin"
        self.bin.mkdir(parents=True)
        self.runner = Path(shutil.copy(RUNNER, self.bin / RUNNER.name))
        recorded = next((restored.source / "instance" / "started").glob("*/request.json"))
        self.before = names_in(self.standin.custom_nodes)
        self.command("start", restored.put(recorded.read_text("utf-8")))
        [self.process] = self.processes()

    def command(self, command: str, given: str = "") -> None:
        """Has the older runner do something, as its service had it over SSH."""
        argv = [sys.executable, "-I", "-S", str(self.runner), command, self.task_id, "--nonce", "0"]
        environ = {"HOME": str(self.standin.home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        subprocess.run(argv, input=given.encode(), env=environ, check=True, capture_output=True, timeout=120)

    def processes(self) -> list[Process]:
        """The runner's."""
        below = processes_below(self.standin.home)  # another worker may play the same task
        return [each for each in below if f" start {self.task_id}" in command_line(each)]

    def at_the_gate(self) -> None:
        """Waits until the service shows that the pack `gated` runs its install.py."""

        def waits() -> bool:
            rows = self.restored.progress("started")["nodes"]
            return any(row["name"] == "gated" and row["script_status"] == "running" for row in rows)

        wait_until(waits, 120, "the run is at its gate")

    def open_the_gate(self) -> None:
        (self.standin.home / "gate-is-open").touch()

    def journal(self) -> list[Json]:
        return [json.loads(line) for line in (self.folder / "journal.ndjson").read_text("utf-8").splitlines()]

    def is_still_the_older(self) -> None:
        """Today's runner came beside the older one, and the run is still the older one's."""
        runners = [name for name in names_in(self.bin) if not name.endswith(".compiled")]
        assert runners == sorted([RUNNER.name, pack_runner().name])
        assert self.runner.read_bytes() == RUNNER.read_bytes()
        assert self.processes() == [self.process]
        assert str(self.runner) in command_line(self.process)


@pytest.fixture
def live(restore: Restore) -> Live:
    return Live(restore("started"))


def _ends_as_recorded(live: Live) -> None:
    live.open_the_gate()
    end = live.restored.ended("started")
    assert essence(end) == live.restored.expected("ended/essences")["started"]
    [begun] = [event for event in live.journal() if event["event"] == "run_started"]
    assert begun["pid"] == live.process.pid, "the run was begun once, by the older runner"


@ONE_AT_A_TIME
def test_a_live_run_of_the_older_runner_is_followed_and_undone(live: Live) -> None:
    """To its true end, by the runner that had begun it. Then today's runner undoes it, from the older one's notes."""
    restored = live.restored
    api = restored.serve()
    live.at_the_gate()
    live.is_still_the_older()
    _ends_as_recorded(live)
    assert names_in(live.standin.custom_nodes) == sorted([*live.before, "gated", "light", "scripted"])
    assert (live.folder / "packs-after.json").is_file()
    refused = api.post(f"/tasks/{live.task_id}/retry")
    assert content(refused)["error"] == "nothing_to_retry"
    answer = api.post(f"/tasks/{live.task_id}/rollback")
    assert answer.status_code == 202, answer.text
    undone = api.ended(content(answer)["task_id"])["progress"]
    assert (undone["state"], undone["error"]) == ("completed", None)
    assert {row["error"]["code"] for row in undone["nodes"]} == {"rolled_back"}
    assert names_in(live.standin.custom_nodes) == live.before


@ONE_AT_A_TIME
def test_a_cut_line_and_a_second_restart_leave_the_older_runner_its_run(live: Live) -> None:
    """Attached to three times, begun once."""
    live.restored.serve()
    live.at_the_gate()
    live.standin.kill_connections()
    wait_until(lambda: live.restored.progress("started")["state"] == "interrupted", 120, "the cut is seen")
    wait_until(lambda: live.restored.progress("started")["state"] == "running", 120, "it is mended")
    live.restored.close()
    live.restored.serve()
    wait_until(lambda: live.restored.progress("started")["state"] == "running", 120, "it is attached to again")
    live.is_still_the_older()
    _ends_as_recorded(live)


@ONE_AT_A_TIME
def test_a_live_run_of_the_older_runner_is_cancelled(live: Live) -> None:
    """The older runner heeds the cancel, and cleans up."""
    api = live.restored.serve()
    live.at_the_gate()
    assert api.post(f"/tasks/{live.task_id}/cancel").status_code == 202
    end = live.restored.ended("started")
    assert (end["state"], end["error"]) == ("cancelled", None)
    assert live.journal()[-1]["event"] == "run_ended" and live.journal()[-1]["state"] == "cancelled"
    wait_until(lambda: not live.processes(), 60, "the runner is gone")


@ONE_AT_A_TIME
def test_a_run_whose_older_runner_is_killed_is_swept(live: Live) -> None:
    """By today's runner, which knows the older one's files."""
    live.restored.serve()
    live.at_the_gate()
    os.kill(live.process.pid, signal.SIGKILL)
    end = live.restored.ended("started")
    assert (end["state"], end["error"]["code"]) == ("failed", "runner_lost")
    script = [each for each in processes_below(live.standin.root) if "install.py" in command_line(each)]
    assert script == [], "what the run had started is ended"
    assert not list(live.standin.custom_nodes.glob(".nodeferry-*"))
    assert (live.folder / "packs-after.json").is_file(), "noted for a rollback"


def test_an_ended_run_is_undone_from_the_older_runners_notes(restore: Restore) -> None:
    """The packs are where the release's run had left them, and go; its packages were brought back by somebody else
    meanwhile, and are left as they are."""
    restored = restore("main")
    standin = restored.standins["main"]
    restored.run_folder("main", "packages", "journal.ndjson")
    for task in ("running", "queued", "fleet-waiting-main"):  # nothing else is to happen on that instance
        restored.sql("update installs set state = 'cancelled', finished_at = 1 where task_id = ?", TASKS[task])
    for folder, name in (("in colours", "coloured"), ("versions", "versions")):
        url = restored.put(f"http://127.0.0.1:{RECORDING['git_port']}/o/{name}")
        git = ["git", "-c", "advice.detachedHead=false"]
        subprocess.run([*git, "clone", "-q", url, str(standin.custom_nodes / folder)], check=True)
        commit = RECORDING["packs"][name][0]
        subprocess.run([*git, "-C", str(standin.custom_nodes / folder), "checkout", "-q", commit], check=True)
    _pretend_installed(standin.python, "nf-colors", "0.9")
    api = restored.serve()
    answer = api.post(f"/tasks/{TASKS['packages']}/rollback")
    undone = api.ended(content(answer)["task_id"])["progress"]
    assert (undone["state"], undone["error"]) == ("completed", None), undone
    assert {row["name"]: row["error"]["code"] for row in undone["nodes"]} == {
        "coloured": "rolled_back",
        "versions": "rolled_back",
    }
    assert names_in(standin.custom_nodes) == []


def _pretend_installed(python: Path, name: str, version: str) -> None:
    [packages] = python.parents[1].glob("lib/python3*/site-packages")
    folder = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "ascii")
    (folder / "RECORD").touch()
