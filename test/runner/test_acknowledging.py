"""What `start` answers when the runner cannot say itself that it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TASK = "550e8400-e29b-41d4-a716-446655440000"
START = """import json, os, select, signal, sys
from app.runner.daemon import control
from app.runner.process.paths import Task

def run(task, request, ready, seal):
    {run}

control.select.select = lambda r, w, x, wait=None, real=select.select: real(r, w, x, min(wait or 0, 1.0))
print(json.dumps(control.start(Task("{task}"), {{}}, run)))
"""
OPENED = "task.journal.write_bytes(b'{\"seq\":1}\\n')"
SLOW = "any(select.select([], [], [], 0.05)[0] or os.path.exists(os.path.expanduser('~/go')) for _ in range(1200))"


@pytest.mark.parametrize(
    ("run", "statuses"),
    [
        pytest.param(f"{OPENED}; os.kill(os.getpid(), signal.SIGKILL)", {"died", "running"}, id="killed"),
        pytest.param(f"{OPENED}; {SLOW}", {"running"}, id="slow"),
        pytest.param(SLOW, {"running"}, id="slow-before-its-journal"),
    ],
)
def test_a_run_that_has_begun_is_told_as_begun(tmp_path: Path, run: str, statuses: set[str]) -> None:
    """Killed, or stopped for longer than is waited, after its beginning: it is followed, and swept, as any other run;
    nobody goes on unseen after a start that was told as failed."""
    answer = answer_of(run, tmp_path)
    (tmp_path / "go").touch()
    assert answer.get("status") in statuses, answer


def test_a_run_that_has_not_begun_is_told_with_its_reason(tmp_path: Path) -> None:
    """Nothing is there to be followed: the start may be tried again."""
    error = answer_of("raise OSError(28, 'No space left on device')", tmp_path)["error"]
    assert error["code"] == "runner_start_failed"
    assert "No space left" in error["message"]


def answer_of(run: str, home: Path) -> dict[str, Any]:
    """What is answered when `run` is what the daemon does; the wait for its word is a second here."""
    done = subprocess.run(
        [sys.executable, "-c", START.format(run=run, task=TASK)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
