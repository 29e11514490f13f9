"""Records that an older version filled with what a hostile instance had sent: their tasks end, and hide no other."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.protocol.snapshot import to_stored
from test.api.client import Api, content
from test.security.hostile_journals import Fields, deep, events, folded
from test.sync.conftest import BenchFactory, bench_factory  # noqa: F401 - a fixture
from test.sync.test_unreadable_records import Left


def running() -> dict[str, Any]:
    """What a record has of a run that goes on, with every part of it."""
    answers = [{"answer": "a", "label": ""}]
    asked = {"id": "q", "code": "c", "text": "t", "answers": answers, "default": "a", "seconds": 9, "facts": {}}
    run: list[Fields] = [
        {"event": "run_started", "task_id": "t", "version": "1", "pid": 1, "verify": True},
        {"event": "phase", "phase": "verify", "status": "running"},
        {"event": "step", "name": "a step", "status": "running"},
        {"event": "probed", "ui_home": "/ui", "comfyui_start_seconds": 1.5},
        {"event": "manifest", "source": "csv", "nodes": [{"name": "p", "repo_url": "https://example.org/o/p"}]},
        {"event": "node", "name": "p", "state": "cloning"},
        {"event": "plan", "changes": [{"package": "numpy", "new": "2"}]},
        {"event": "build", "package": "x", "version": "1", "state": "running", "packs": ["p"]},
        {"event": "question_asked", "question": asked},
        {"event": "warning", "code": "c", "message": "m"},
        {"event": "lock", "lock": {"format": 1}},
    ]
    return to_stored(folded(events(len(run), lambda number: run[number - 1])))


def put(stored: Any, path: str, value: object) -> Any:
    """`stored` with another value at a dotted path."""
    name, _, rest = path.partition(".")
    key: Any = int(name) if isinstance(stored, list) else name
    changed = list(stored) if isinstance(stored, list) else dict(stored)
    changed[key] = put(stored[key], rest, value) if rest else value
    return changed


POISON: dict[str, tuple[str, object]] = {
    "a clock of 1e308": ("last_mono", 1e308),
    "a calendar of 1e308": ("last_at", 1e308),
    "NaN": ("nodes.p.rate", float("nan")),
    "Infinity": ("steps.a step.seconds", float("inf")),
    "nesting of 900": ("lock", deep(450)),
    "a deep fact": ("probe.gpu", deep(20)),
    "a pack that is none": ("nodes.p", [1]),
    "packs that are none": ("nodes", 5),
    "a state of a pack": ("nodes.p.state", "splendid"),
    "an error that is text": ("nodes.p.error", "it broke"),
    "a warning that is none": ("warnings.0", None),
    "a plan that is none": ("plan", {"package": "numpy"}),
    "a build without packs": ("builds.x.packs", None),
    "a question that is none": ("questions.q.asked", 5),
    "a phase that is not known": ("phases", {"dreaming": {}}),
    "a number that is text": ("packages_done", "7"),
    "a number that is a name": ("current_node", 10**400),
}
HARMLESS: dict[str, tuple[str, object]] = {
    "a fact of another type": ("probe.comfyui_start_seconds", "five"),
    "a text of a megabyte": ("nodes.p.folder", "x" * 1_000_000),
    "escape sequences": ("warnings.0.message", "\x1b]52;c;eA==\x07"),
    "a field of a newer version": ("aura", {"new": 1}),
    "numbers beyond the clock": ("nodes.p.worked", -0.001),
}


@pytest.fixture
def left(tmp_path: Path, bench_factory: BenchFactory) -> Left:  # noqa: F811
    """Two tasks that had not ended when their service did."""
    return Left(tmp_path / "left", bench_factory)


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_poisoned_record_ends_its_task_once(left: Left, poison: tuple[str, object]) -> None:
    """With a reason, in this service and in the next; the other task goes on, and can be cancelled."""
    left.set("snapshot = ?", json.dumps(put(running(), *poison)))
    revisions = set()
    for _ in range(2):
        bench = left.taken_up()
        api = Api(bench.service.app)
        shown = api.progress(left.task_id)
        assert (shown["state"], shown["error"]["code"]) == ("failed", "record_unreadable")
        assert content(api.get(f"/tasks/{left.task_id}"))["state"] == "failed"
        assert {row["task_id"] for row in content(api.get("/tasks"))["tasks"]} == {left.task_id, left.other}
        assert api.post(f"/tasks/{left.task_id}/cancel").status_code == 409
        assert api.post(f"/tasks/{left.other}/cancel").status_code in (202, 409)
        assert bench.ended(left.other)["state"] in ("cancelled", "failed")
        revisions.add(shown["revision"])
        bench.service.close()
    assert len(revisions) == 1, "a restart ends it no second time"


@pytest.mark.parametrize("poison", HARMLESS.values(), ids=HARMLESS)
def test_what_can_be_read_goes_on_and_can_be_cancelled(left: Left, poison: tuple[str, object]) -> None:
    """Polls answer, in JSON, whatever the record holds; texts are cut and cleaned."""
    left.set("snapshot = ?", json.dumps(put(running(), *poison)))
    bench = left.taken_up()
    api = Api(bench.service.app)
    shown = api.progress(left.task_id)
    assert shown["nodes"][0]["name"] == "p"
    assert len(json.dumps(shown, allow_nan=False)) < 20_000
    assert "\x1b" not in json.dumps(shown, ensure_ascii=False)
    assert api.post(f"/tasks/{left.task_id}/cancel").status_code in (202, 409)
    bench.until(left.task_id, lambda progress: progress["state"] in ("cancelling", "cancelled", "failed"), "heard")


@pytest.mark.parametrize("error", ["[1]", '"text"', "5", '{"code": {"a": 1}, "message": NaN}', "[" * 5000])
def test_an_error_of_an_ended_task_may_be_anything(left: Left, error: str) -> None:
    left.set("state = 'failed', finished_at = 1.5, snapshot = null, error = ?", error)
    api = Api(left.taken_up().service.app)
    assert api.progress(left.task_id)["state"] == "failed"
    json.dumps(content(api.get("/tasks")), allow_nan=False)


def test_a_database_keeps_no_number_that_is_none(left: Left) -> None:
    """What the service writes is JSON: a NaN that got so far would make the record unwritable for ever."""
    with closing(sqlite3.connect(left._file)) as database:
        for [stored] in database.execute("select snapshot from installs"):
            json.loads(stored, parse_constant=pytest.fail)
