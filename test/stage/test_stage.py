"""The stage: what it plays is what a real service would show, and the same each time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.protocol.events import Warned
from test.support.stage import Stage, rollback, scenario
from test.support.stage.states import STATES, show_all
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage")) as opened:
        yield opened


def test_it_works(stage: Stage) -> None:
    """A task is held in the middle, goes on when the test says so, and ends as its scenario does."""
    task = stage.live(scenario(5, failed=1), until="half")
    assert stage.service.progress(task)["phase"] == "clone"
    stage.emit(task, Warned("slow", "It takes long."))
    assert [each["code"] for each in stage.service.progress(task)["warnings"]] == ["slow"]
    stage.play(task, "end")
    ended = stage.service.ended(task)
    assert (ended["outcome"], ended["counts"]["ready"], ended["counts"]["failed"]) == ("partial", 4, 1)


def test_the_same_arguments_give_the_same_events() -> None:
    """Pictures and figures can be made again."""
    assert scenario(34, failed=3, seed=7) == scenario(34, failed=3, seed=7)
    assert scenario(34, failed=3, seed=7) != scenario(34, failed=3, seed=8)


@pytest.mark.parametrize(
    ("fates", "counts"),
    [
        ({"failed": 3, "problem": 1, "skipped": 2}, {"failed": 3, "problem": 1, "skipped": 2, "ready": 28}),
        ({"failed": 34}, {"failed": 34}),
        ({"kept": 10}, {"ready": 34}),
        ({"unchecked": 4}, {"problem": 4, "ready": 30}),
        ({"plan_only": True, "failed": 2}, {"failed": 2, "skipped": 32}),
    ],
)
def test_packs_end_as_the_scenario_says(stage: Stage, fates: dict[str, Any], counts: dict[str, int]) -> None:
    """What was asked for is what is counted."""
    shown = stage.service.progress(stage.ended(scenario(34, **fates)))
    assert {word: number for word, number in shown["counts"].items() if number} == {"total": 34, **counts}


def test_tasks_follow_each_other(stage: Stage) -> None:
    """A retry and a rollback are linked to what they repeat and undo, also in the lists."""
    first = stage.ended(scenario(6, failed=2), ago=3600)
    again = stage.ended(scenario(of=stage.failed_of(first)), ago=1800, retry_of=first)
    undone = stage.ended(rollback(6), ago=600, rollback_of=first)
    assert stage.service.progress(first)["retry"]["retried_by"] == again
    rows = {row["task_id"]: row for row in stage.service.get("/tasks")["tasks"]}
    assert rows[again]["retry_of"] == first
    assert rows[undone]["rollback_of"] == first


def test_a_line_that_is_cut_comes_back(stage: Stage) -> None:
    """As over real SSH: the service counts down, connects again and misses nothing."""
    task = stage.live(scenario(5), until="half")
    stage.machine_of(task).cut()
    stage.service.until(task, "interrupted")
    assert stage.service.progress(task)["next_attempt_at"]
    stage.machine_of(task).mend()
    stage.play(task, "end")
    assert stage.service.ended(task)["counts"]["ready"] == 5


def test_an_answer_lets_the_run_go_on(stage: Stage) -> None:
    """What a person answers reaches the played run."""
    task = stage.live(scenario(5, question=True), speed=50)
    wait_until(lambda: stage.service.progress(task)["questions"], 20, "the question")
    answer = {"id": "1", "answer": "replace"}
    assert stage.service.post(f"/tasks/{task}/answer", answer).ok
    assert stage.service.ended(task)["outcome"] == "all"


def test_logs_come_too(stage: Stage) -> None:
    """Those of the run and of packs, live and of the past."""
    played = scenario(5, failed=1)
    live, past = stage.live(played, speed=200), stage.ended(played)
    stage.service.ended(live)
    failed = next(row["name"] for row in stage.service.progress(past)["nodes"] if row["state"] == "failed")

    def log(task_id: str) -> str:
        return str(stage.service.get(f"/tasks/{task_id}/log", node=failed)["text"])

    wait_until(lambda: "fatal" in log(live), 20, "the log")
    assert log(live) == log(past)


@pytest.mark.long
def test_every_state_can_be_shown(tmp_path: Path) -> None:
    """All of them, in one service."""
    with Stage(tmp_path) as stage:
        for state, run_id in show_all(stage, STATES, 5).items():
            if state != "host_key":  # a workflow's
                assert stage.service.progress(run_id)["task_id"] == run_id, state


def test_a_page_can_be_opened_from_the_command_line() -> None:
    """It prints the address, and ends with Ctrl-C."""
    argv = [sys.executable, "-m", "test.support.stage", "--packs", "3", "--state", "partial"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert requests.get(address, timeout=10).ok
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
