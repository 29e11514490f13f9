"""One sum: whoever shows how many node packs are ready, failed or anything else shows the same numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from test.one_sum.drawn import STANDINGS, Drawn, Sums
from test.one_sum.said import differences, numbers_in
from test.support.stage import Stage

pytestmark = pytest.mark.sshd

Json = dict[str, Any]


def test_thirty_ends_of_every_kind_have_one_sum_in_the_api(told: tuple[Stage, list[Drawn]]) -> None:
    """Polls, tasks, lists, runs, chapters, fleets, sentences."""
    stage, drawn = told
    listed = _listed_runs(stage)
    tasks = {row["task_id"]: row for row in _pages(stage, "/tasks", "tasks")}
    found: list[str] = []
    for run in drawn:
        found += _of_run(stage, run, listed[run.run_id])
        for child in run.children:
            found += _of_run(stage, child, None)
            found += _of_tasks(stage, child, tasks)
        found += _of_tasks(stage, run, tasks)
    assert not found, "\n".join(found)


def test_the_command_line_says_that_sum_too(told: tuple[Stage, list[Drawn]]) -> None:
    """`tasks show`, and the table of `tasks list`."""
    stage, drawn = told
    found: list[str] = []
    for run in drawn:
        for task_id, sums in run.tasks.items():
            said = CliRunner().invoke(cli, ["tasks", "show", task_id, "--server", stage.url])
            assert said.exit_code == 0, said.output
            found += differences(f"{run.name}: tasks show", numbers_in(said.output.replace("\n", " ")), sums)
    assert not found, "\n".join(found)


def test_remembered_machines_say_what_their_last_run_says(told: tuple[Stage, list[Drawn]]) -> None:
    """The counts of the newest run on each."""
    stage, drawn = told
    known = {run.run_id: run for each in drawn for run in (each, *each.children)}
    rows = stage.service.get("/instances")["instances"]
    found: list[str] = []
    for row in rows:
        last = row["last_run"]
        found += differences(f"instance {row['name']}", last["counts"], known[last["run_id"]].sums)
    assert rows
    assert not found, "\n".join(found)


def test_metrics_count_the_tasks_that_there_are(told: tuple[Stage, list[Drawn]]) -> None:
    """By state, as the list of tasks has them."""
    stage, _ = told
    states = Counter(row["state"] for row in _pages(stage, "/tasks", "tasks"))
    lines = stage.service.text("/metrics").splitlines()
    shown = {line.split('"')[1]: int(float(line.split()[-1])) for line in lines if line.startswith("nodeferry_tasks{")}
    assert {state: number for state, number in shown.items() if number} == dict(states)


def test_a_sentence_is_read_as_it_is_meant() -> None:
    """What is left out of a sum is none."""
    assert numbers_in("31 of 34 node packs ready, 3 failed") == {
        "ready": 31,
        "total": 34,
        "failed": 3,
        "problem": 0,
        "skipped": 0,
        "cancelled": 0,
    }
    assert numbers_in("All 5 node packs are ready")["total"] == 5
    assert numbers_in("Downloading 34 node packs; 2 failed") == {"failed": 2}


def _of_run(stage: Stage, run: Drawn, row: Json | None) -> list[str]:
    """The run by itself, its chapters, its row in the list."""
    shown = stage.service.get(f"/runs/{run.run_id}")
    found = differences(f"{run.name}: GET /runs/ID", shown["counts"], run.sums)
    found += differences(
        f"{run.name}: {shown['summary']['sentence']!r}", numbers_in(shown["summary"]["sentence"]), run.sums
    )
    if row is not None:
        found += differences(f"{run.name}: GET /runs", row["counts"], run.sums)
        found += [] if row["summary"] == shown["summary"] else [f"{run.name}: {row['summary']} in the list"]
    for chapter in shown.get("chapters") or []:
        known = run.tasks.get(chapter["task_id"])
        if known is not None:
            found += differences(f"{run.name}: chapter {chapter['name']}", chapter["counts"], known)
    return found + _adds_up(run.name, shown["counts"])


def _of_tasks(stage: Stage, run: Drawn, listed: dict[str, Json]) -> list[str]:
    """Each task of the run: its polls, its rows, its old fields, its row in the list."""
    found: list[str] = []
    for task_id, sums in run.tasks.items():
        progress, task = stage.service.progress(task_id), stage.service.get(f"/tasks/{task_id}")
        rows = Counter(row["standing"] for row in progress["nodes"])
        by_rows = {"total": len(progress["nodes"]), **{word: rows[word] for word in STANDINGS}}
        for where, shown in (
            ("progress", progress["counts"]),
            ("its rows", by_rows),
            ("GET /tasks/ID", task["progress"]["counts"]),
            ("old fields", _old(progress)),
            ("row of GET /tasks/ID", _old(task)),
            ("row of GET /tasks", _old(listed[task_id])),
        ):
            found += differences(f"{run.name}: {where}", shown, sums | {"good": sums["ready"] + sums["problem"]})
        said = progress["summary"]["sentence"]
        found += differences(f"{run.name}: {said!r}", numbers_in(said), sums) if len(run.tasks) == 1 else []
        found += _adds_up(run.name, progress["counts"])
    return found


def _old(row: Json) -> Sums:
    """The fields of the original API."""
    names = {"total_nodes": "total", "successful": "good", "failed": "failed", "skipped": "skipped"}
    return {word: row[name] for name, word in names.items() if name in row}


def _adds_up(where: str, counts: Sums) -> list[str]:
    total = sum(counts[word] for word in STANDINGS)
    return [] if total == counts["total"] else [f"{where}: the counts add up to {total}, of {counts['total']}"]


def _listed_runs(stage: Stage) -> dict[str, Json]:
    return {row["run_id"]: row for row in _pages(stage, "/runs", "runs")}


def _pages(stage: Stage, path: str, name: str) -> list[Json]:
    """All pages of a list."""
    rows: list[Json] = []
    cursor: str | None = None
    while True:
        page = stage.service.get(path, limit=20, **({"cursor": cursor} if cursor else {}))
        rows += page[name]
        cursor = page.get("next_cursor")
        if not cursor:
            return rows
