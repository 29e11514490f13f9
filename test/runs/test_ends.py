"""Each kind of end has its own sentence and its own actions, from real records through the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from test.api.client import Api, content, service_in
from test.runs.played import ENDS, Played

COUNTS = ("ready", "problem", "failed", "skipped", "cancelled", "working", "waiting")


@dataclass(frozen=True)
class Ended:
    """The service, and the tasks of each end by its name."""

    api: Api
    tasks: dict[str, list[str]]

    def run(self, name: str, number: int = 0) -> dict[str, Any]:
        """The run, by the id of its task of this number."""
        return content(self.api.get(f"/runs/{self.tasks[name][number]}"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    folder = tmp_path_factory.mktemp("ends") / "data"
    played = Played(folder)
    tasks = {name: played.add(*end[0]) for name, end in ENDS.items()}
    played.history.close()
    with service_in(folder) as api:
        yield Ended(api, tasks)


@pytest.mark.parametrize("name", ENDS)
def test_each_end_says_what_is_true_and_what_can_be_done(ended: Ended, name: str) -> None:
    """One primary action, for this moment; the same in the list, in the run and by the id of any of its tasks."""
    _, kind, tone, sentence, actions = ENDS[name]
    run = ended.run(name)
    assert run["summary"] == {"kind": kind, "tone": tone, "sentence": sentence}
    assert [action["name"] for action in run["actions"]] == actions.split()
    assert [action["primary"] for action in run["actions"]] == [True] + [False] * (len(run["actions"]) - 1)
    assert run["in_progress"] is False
    assert run["finished_at"] is not None
    for number in range(len(ended.tasks[name])):
        assert ended.run(name, number) == run


@pytest.mark.parametrize("name", ENDS)
def test_the_list_and_the_run_have_the_same_numbers_and_sentence(ended: Ended, name: str) -> None:
    """Nobody counts twice."""
    run = ended.run(name)
    rows = content(ended.api.get("/runs?limit=200"))["runs"]
    [row] = [row for row in rows if row["run_id"] == run["run_id"]]
    names = row.pop("workflow_files")
    assert row == {field: run[field] for field in row}
    assert names == (run["proof"]["names"] if run["proof"] else [])
    assert sum(run["counts"][part] for part in COUNTS) == run["counts"]["total"]


@pytest.mark.parametrize("name", ENDS)
def test_every_action_can_be_asked_for(ended: Ended, name: str) -> None:
    """No button is told that its route refuses: what it is asked of exists, and a retry has something to repeat."""
    for action in ended.run(name)["actions"]:
        assert (action["task_id"] is None) == (action["name"] == "install_again")
        if action["name"] == "lock":
            assert ended.api.get(f"/tasks/{action['task_id']}/lock").status_code == 200


@pytest.mark.parametrize("name", ENDS)
def test_a_task_s_progress_says_the_same_as_its_chapter(ended: Ended, name: str) -> None:
    """And each node pack stands where it is counted."""
    for chapter in ended.run(name)["chapters"]:
        progress = ended.api.progress(chapter["task_id"])
        assert progress["summary"] == chapter["summary"]
        assert progress["counts"] == chapter["counts"]
        standings = [node["standing"] for node in progress["nodes"]]
        assert {part: standings.count(part) for part in COUNTS} == {part: progress["counts"][part] for part in COUNTS}


def test_chapters_are_named_in_their_order(ended: Ended) -> None:
    run = ended.run("restarted, then retried")
    assert [chapter["name"] for chapter in run["chapters"]] == ["install", "restart", "retry"]
    assert run["current"] == run["rows_of"] == ended.tasks["restarted, then retried"][2]
    proven = ended.run("restarted and proven")
    assert proven["current"] == ended.tasks["restarted and proven"][1]
    assert proven["rows_of"] == ended.tasks["restarted and proven"][0]
    assert proven["machine"] == {
        "name": "ssh6:12345",
        "instance": "root@ssh6.vast.ai:12345",
        "ssh_connection": "ssh -p 12345 root@ssh6.vast.ai",
        "ui_home": "/workspace/ComfyUI",
        "gpu": "RTX 4090",
    }
    assert proven["list"] == {"label": "One and 1 more", "total": 2}
