"""What the last release had recorded is runs now, each with the tasks that belong to it."""

from __future__ import annotations

from test.api.client import content
from test.upgrade.recorded import TASKS, Json, Restored


def _all(restored: Restored, path: str, name: str) -> list[Json]:
    found: list[Json] = []
    page: Json = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        more = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        page = content(restored.api.get(f"{path}?limit=200{more}"))
        found += page[name]
    return found


def test_every_task_is_a_part_of_one_run(taken_up: Restored) -> None:
    """Found by its own id; what follows a task is in that task's run, and no sentence is empty."""
    tasks = {task["task_id"]: task for task in _all(taken_up, "/tasks", "tasks")}
    run_of = {}
    for task_id in TASKS.values():
        run = content(taken_up.api.get(f"/runs/{task_id}"))
        run_of[task_id] = run["run_id"]
        assert task_id in [chapter["task_id"] for chapter in run["chapters"]] or run["kind"] == "fleet"
        assert run["summary"]["sentence"]
    for task_id, task in tasks.items():
        for link in ("retry_of", "rollback_of", "restart_of"):
            if task[link] in run_of:
                assert run_of[task_id] == run_of[task[link]], (task_id, link)


def test_the_list_has_each_run_once_in_its_order(taken_up: Restored) -> None:
    """With fleets and workflows; those that ended are found by how they ended."""
    runs = _all(taken_up, "/runs", "runs")
    assert len({run["run_id"] for run in runs}) == len(runs)
    assert [run["created_at"] for run in runs] == sorted((run["created_at"] for run in runs), reverse=True)
    assert {run["kind"] for run in runs} == {"install", "workflow", "fleet"}
    for run in runs:
        counts = run["counts"]
        assert sum(counts.values()) == 2 * counts["total"]
        kept = content(taken_up.api.get(f"/runs?limit=200&state={run['summary']['kind']}"))["runs"]
        assert run["run_id"] in [row["run_id"] for row in kept]


def test_the_instances_of_the_runs_are_remembered(taken_up: Restored) -> None:
    instances = content(taken_up.api.get("/instances"))["instances"]
    ran_on = {run["machine"]["instance"] for run in _all(taken_up, "/runs", "runs")} - {None}
    assert ran_on <= {row["instance"] for row in instances}
    assert len({row["instance_id"] for row in instances}) == len(instances)
