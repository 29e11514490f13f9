"""Workflows whose records an older version has filled with what a hostile instance had sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.workflow import Question, Step, StepName, StepState, Workflow, WorkflowState
from app.factory import Service, build_service
from app.settings import Settings
from app.storage.workflow_store import WorkflowStore
from app.sync.background_tasks import BackgroundTaskManager
from test.api.client import Api, content
from test.support.database import put_database

Path_ = tuple[str | int, ...]
POISONED, OTHER = "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440001"
ERROR = {"code": "c", "message": "m", "hint": "h"}
REQUEST: dict[str, Any] = {
    "version": 2,
    "ssh_connection": "ssh -p 9 root@127.0.0.1",
    "ui_home": None,
    "venv_path": None,
    "options": {},
    "idempotency_key": None,
    "manifest": None,
}
BLOCKED = Workflow(
    POISONED,
    time.time(),
    REQUEST,
    (
        Step(StepName.TEST_SSH, StepState.BLOCKED, "m", 1.0, 2.0, error=ERROR, found={"gpus": [{"memory": 1}]}),
        Step(StepName.INSTALL, task_id=OTHER),
    ),
    state=WorkflowState.BLOCKED,
    question=Question("host_key_changed", "t", "h", {"stop": "Stop"}, {"fact": 1}),
    answers={"still_provisioning": "wait"},
)
POISON = ("NaN", "1e400", "5", '"x"', "[]", "{}", "true", "null", f'"{"x" * 50_000}"', "[" * 900 + "]" * 900)
STEERS = '"\\u001b]52;c;eA==\\u0007"'


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """With two workflows that wait for a person."""
    monkeypatch.setenv("HOME", str(tmp_path))
    put_database(tmp_path / "data")
    running = build_service(Settings(data_dir=tmp_path / "data"), background=BackgroundTaskManager())
    for workflow_id in (POISONED, OTHER):
        WorkflowStore(running.engine).add(replace(BLOCKED, workflow_id=workflow_id))
    yield running
    running.close()


def paths(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Of everything in a record."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from paths(inner, (*path, name))


def poisoned(document: Any, path: Path_, value: str) -> str:
    """The record's JSON, with this text at a place."""
    changed = json.loads(json.dumps(document))
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = "POISON"
    return json.dumps(changed).replace('"POISON"', value)


def put(service: Service, record: str) -> None:
    with service.engine.begin() as connection:
        values = {"record": record, "id": POISONED}
        connection.execute(text("UPDATE workflows SET document = :record WHERE workflow_id = :id"), values)


def test_a_poisoned_workflow_hides_no_other(service: Service) -> None:
    """Every field with every kind of nonsense: it is read, cut and cleaned, or is not known any more."""
    api, document = Api(service.app), json.loads(json.dumps(BLOCKED.to_json()))
    wrong: list[tuple[Path_, str, str]] = []
    for number, path in enumerate(paths(document)):
        for value in (POISON[number % 5], POISON[5 + number % 5], STEERS):
            put(service, poisoned(document, path, value))
            addresses = (f"/workflow/state?workflow_id={POISONED}", "/workflows", "/runs", "/instances")
            for address in (*addresses, f"/ui/run/{POISONED}", f"/runs/{POISONED}"):
                answer = api.get(address)
                said = answer.get_data(as_text=True)
                from_an_instance = path[0] in ("steps", "question", "error", "answers")
                if answer.status_code not in (200, 404) or "NaN" in said or "\x1b" in said:
                    wrong.append((path, value[:9], address))
                elif from_an_instance and ("u001b" in said or "x" * 3000 in said):
                    wrong.append((path, value[:9], "not cleaned"))
                elif address in ("/workflows", "/runs") and OTHER not in said:
                    wrong.append((path, value[:9], "the other is hidden"))
    assert wrong == []


def test_a_poisoned_workflow_is_no_error_of_who_starts_or_stops_one(service: Service) -> None:
    """It has an idempotency key that counts; what is asked with it again is refused or begun, and never a bug."""
    api, document = Api(service.app), json.loads(json.dumps(BLOCKED.to_json()))
    document["idempotency_key"] = "key"
    for value in ("NaN", "[]", '"x"'):
        put(service, poisoned(document, ("created_at",), value))
        for path in ("/workflow/stop", "/workflow/resume"):
            answer = api.post(path, {"workflow_id": POISONED, **({"answer": "stop"} if "resume" in path else {})})
            assert answer.status_code == 404, answer.text
        again = api.post("/workflow/start", {"ssh_connection": "ssh -p 9 root@127.0.0.1", "idempotency_key": "key"})
        assert again.status_code in (202, 409), again.text
        assert content(again)["success"] is (again.status_code == 202)


@pytest.mark.parametrize("column", ["created_at", "started_at", "finished_at", "error"])
def test_a_poisoned_task_hides_no_other(service: Service, column: str) -> None:
    """A calendar that no year has, an error that is none: the lists, and the task itself, answer."""
    api = Api(service.app)
    body = {"ssh_connection": "ssh -p 9 root@127.0.0.1"}
    ids = [str(content(api.post("/ssh/install-custom-nodes", body))["task_id"]) for _ in range(2)]
    for value in ("1e308", "-1e308", "9e999", "'x'", "'NaN'", "'[]'", "'5'", """'{"code": NaN}'"""):
        with service.engine.begin() as connection:
            values = f"UPDATE installs SET {column} = {value}, state = 'failed' WHERE task_id = '{ids[0]}'"
            connection.exec_driver_sql(values)
        paths = (f"/tasks/{ids[0]}", f"/ui/run/{ids[0]}", f"/tasks/{ids[0]}/lock", f"/runs/{ids[0]}", "/instances")
        for address in ("/tasks", "/runs", *paths):
            answer = api.get(address)
            assert answer.status_code in (200, 404), (value, address, answer.text)
            assert address not in ("/tasks", "/runs") or ids[1] in answer.text
