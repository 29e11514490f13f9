"""Runs with a fault at a random moment (`make bench-chaos`): a few for real, and what the judge must see."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.runner.process.locks import try_lock
from app.standin.git_server import GitServer
from bench.chaos import judge
from bench.chaos.__main__ import main
from bench.chaos.faults import KINDS
from bench.chaos.play import Played
from bench.chaos.results import Results, table
from bench.chaos.stage import Stage
from bench.chaos.watch import faults_between

TASK = "550e8400-e29b-41d4-a716-446655440000"
STOPPED = "SIGSTOP for 20 s"


@pytest.mark.sshd
@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.long
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_runs_end_as_they_must_whatever_happens_to_them(
    engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One of each kind, but the stop that takes 20 s: true counts, no pack lost or twice, nothing left anywhere."""
    numbers = [number for number, kind in enumerate(KINDS) if kind.name != STOPPED]
    asked = [word for number in numbers for word in ("--only", str(number))]
    words = ["--engine", engine, "--at-once", "2", "--output", str(tmp_path / "out")]
    assert main([*asked, *words]) == 0, capfd.readouterr().out
    assert "left behind: 0" in capfd.readouterr().out


def shown(**fields: Any) -> dict[str, Any]:
    """A progress with two packs, both good."""
    rows = [row("a"), row("b")]
    usual = {"state": "completed", "outcome": "all", "revision": 9, "percent": 100.0, "total_nodes": 2, "processed": 2}
    counts = {"successful": 2, "failed": 0, "skipped": 0, "cancelled": 0}
    timed: dict[str, Any] = {"elapsed_seconds": 2.0, "steps": [], "phases": []}
    return {"nodes": rows, "error": None, **usual, **counts, **timed, **fields}


def row(name: str, **fields: Any) -> dict[str, Any]:
    kept = {"requirements_status": "none", "script_status": "none", "verified": True, "kept": False, "seconds": 1.0}
    return {"name": name, "state": "verified", "status": "success", "commit": "c", "error": None, **kept, **fields}


REFERENCE = {
    "nodes": [{key: value for key, value in row(name).items() if key != "seconds"} for name in "ab"],
    "state": "completed",
    "outcome": "all",
    "total_nodes": 2,
    "successful": 2,
    "failed": 0,
    "processed": 2,
}
FULL = row("b", state="failed", status="failed", error={"code": "disk_full"}, commit=None, verified=None)


class TestWatching:
    def test_a_run_that_goes_on_as_it_must(self) -> None:
        assert faults_between({}, shown()) == []
        assert faults_between(shown(state="running", revision=8), shown()) == []

    @pytest.mark.parametrize("name", ["revision", "percent", "processed"])
    def test_what_fell_is_seen(self, name: str) -> None:
        assert any(f"{name} fell" in text for text in faults_between(shown(**{name: 101}), shown()))

    def test_an_end_that_is_taken_back_is_seen(self) -> None:
        assert any("completed became running" in text for text in faults_between(shown(), shown(state="running")))

    def test_counts_that_do_not_add_up_are_seen(self) -> None:
        assert faults_between({}, shown(successful=1))
        assert faults_between({}, shown(successful=1, processed=1)), "completed, and one is missing"


class TestEnds:
    def test_the_usual_end_is_right_for_every_fault(self) -> None:
        assert judge.end_of(shown(), REFERENCE, frozenset()) == ("equal", [])

    def test_another_end_is_right_only_where_the_fault_may_have_it(self) -> None:
        lost = shown(state="failed", error={"code": "runner_lost", "message": "m"})
        assert judge.end_of(lost, REFERENCE, frozenset({"runner_lost"})) == ("failed", [])
        assert judge.end_of(lost, REFERENCE, frozenset())[1]
        full = shown(nodes=[row("a"), FULL], successful=1, failed=1)
        assert judge.end_of(full, REFERENCE, frozenset({"disk_full"})) == ("failed", [])
        assert judge.end_of(full, REFERENCE, frozenset())[1]

    @pytest.mark.parametrize(
        "nodes", [[row("a")], [row("a"), row("b", commit="other")], [row("a"), {**FULL, "error": {"code": "stalled"}}]]
    )
    def test_a_lost_pack_another_commit_and_another_reason_are_wrong(self, nodes: list[dict[str, Any]]) -> None:
        assert judge.end_of(shown(nodes=nodes), REFERENCE, frozenset({"disk_full"}))[1]

    def test_a_retry_makes_it_whole(self) -> None:
        first, again = shown(nodes=[row("a"), FULL]), shown(nodes=[row("b", kept=True)])
        assert judge.merged(first, again, REFERENCE) == []
        assert judge.merged(first, shown(nodes=[]), REFERENCE)

    def test_the_step_of_a_clock_in_a_duration_is_seen(self) -> None:
        assert judge.durations_faults(shown(), 5.0) == []
        assert judge.durations_faults(shown(nodes=[row("a", seconds=3601.0)]), 5.0)
        assert judge.durations_faults(shown(elapsed_seconds=-1.0), 5.0)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """One that was never started: its folders are made by hand."""
    git = GitServer(tmp_path / "git")
    stage = Stage(tmp_path / "stage", git, {})
    stage.standin.custom_nodes.mkdir(parents=True)
    stage.state_of(TASK).mkdir(parents=True)
    yield stage
    git.stop()


class TestWhatIsLeft:
    def test_nothing_is_nothing(self, stage: Stage) -> None:
        assert judge.left_on_instance(stage, str(uuid.uuid4()), 0.0) == []

    def test_a_process_a_staged_folder_a_lock_and_a_draft_are_seen(self, stage: Stage) -> None:
        (stage.standin.custom_nodes / f".nodeferry-{TASK}.disabled").mkdir()
        (stage.state_of(TASK) / "request.json.7.tmp").touch()
        held = try_lock(stage.state_of(TASK).parent / "locks" / "ui_home-1.lock")
        assert held is not None
        argv = [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
        environ = {**os.environ, "NODEFERRY_TASK_ID": TASK}
        with subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdin is not None
            child.stdout.readline()
            left = judge.left_on_instance(stage, TASK, 0.0)
            child.stdin.close()
        os.close(held)
        assert [text.partition(":")[0] for text in left] == ["process", "staged", "lock", "draft"]

    def test_a_pack_that_is_told_and_not_there_and_one_that_nobody_told_are_seen(self, stage: Stage) -> None:
        (stage.standin.custom_nodes / "x").mkdir()
        wrong = list(judge.on_instance(stage, shown(), REFERENCE, strict=True))
        assert len(wrong) == 4, wrong
        assert "a is told as good and is not there" in wrong and "custom_nodes has x" in wrong


def test_the_table_says_how_to_repeat_what_went_wrong_and_a_stopped_campaign_goes_on(tmp_path: Path) -> None:
    results = Results(tmp_path, 7, resume=False)
    results.add(Played(3, KINDS[3].name, 0.5))
    results.add(Played(12, KINDS[3].name, 0.25, wrong=("a was lost",)))
    again = Results(tmp_path, 7, resume=True)
    assert again.played == results.played
    lines = list(table(list(again.played.values()), 7))
    assert any("--seed 7 --only 12" in line for line in lines)
    assert lines[1].split()[-7:] == ["2", "1", "0", "0", "0", "0", "1"]
    with pytest.raises(ValueError, match="has the seed 7"):
        Results(tmp_path, 8, resume=True)
