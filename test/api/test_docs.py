"""docs/api.md says what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain import errors
from app.domain.run_summary import summary_of
from app.protocol import progress_json
from app.protocol.snapshot import Node
from app.protocol.states import NodeState, TaskState
from app.sync.http import bodies, fleet_bodies, log_bodies
from test.api.client import Api, closed_address, content

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
ROUTE = re.compile(r"^### ([A-Z]+) (/\S+)$", re.MULTILINE)
RUNNING = replace(
    progress_json.initial("", 0, auto_installer=True),
    nodes={"One": Node("One", "https://github.com/owner/one", NodeState.CLONING)},
)


def section(title: str) -> str:
    return TEXT.split(f"\n### {title}\n")[1].split("\n### ")[0]


def examples(text: str) -> list[dict[str, Any]]:
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def _codes(above: type[errors.AppError]) -> Iterator[str]:
    for kind in above.__subclasses__():
        if kind.__module__ in {errors.__name__, bodies.__name__}:
            yield kind.code
            yield from _codes(kind)


def test_every_route_is_documented_and_no_other(idle: Api) -> None:
    registered = {
        (method, rule.rule)
        for rule in idle.app.url_map.iter_rules()
        if not rule.endpoint.startswith("webui.")  # pages
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(ROUTE.findall(TEXT)) == registered


def test_every_example_is_json() -> None:
    assert len(examples(TEXT)) >= 12


def test_the_example_of_a_progress_has_the_fields_that_a_progress_has() -> None:
    running, finished, unchanged = examples(section("POST /ssh/install-custom-nodes/progress"))
    real = {**progress_json.progress(RUNNING, 0), "summary": summary_of(RUNNING).to_json()}
    assert set(running) == set(real)
    assert set(running["nodes"][0]) == set(real["nodes"][0])
    assert set(running["steps"][0]) == set(real["steps"][0])
    ended = progress_json.progress(replace(RUNNING, state=TaskState.COMPLETED, finished_at=0.0), 0)
    assert set(finished) == set(ended) - set(real)
    assert unchanged["unchanged"] is True


def test_the_examples_of_tasks_have_the_fields_that_tasks_have(api: Api) -> None:
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    [listed] = examples(section("GET /tasks"))
    assert set(listed["tasks"][0]) == set(content(api.get("/tasks"))["tasks"][0])
    [shown] = examples(section("GET /tasks/<task_id>"))
    real = content(api.get(f"/tasks/{task_id}"))
    assert set(shown) == set(real)
    assert set(shown["request"]) == set(real["request"])
    assert set(shown["request"]["options"]) == set(real["request"]["options"])


def test_every_error_code_is_named() -> None:
    missing = [code for code in _codes(errors.AppError) if f"`{code}`" not in TEXT]
    assert not missing


def test_every_field_of_a_request_is_named() -> None:
    fields = {
        *bodies.InstallBody.model_fields,
        *bodies.OptionsBody.model_fields,
        *bodies.ProgressBody.model_fields,
        *bodies.CheckBody.model_fields,
        *bodies.AcceptBody.model_fields,
        *bodies.TasksQuery.model_fields,
        *bodies.TaskQuery.model_fields,
        *fleet_bodies.RetryBody.model_fields,
        *fleet_bodies.FleetBody.model_fields,
        *fleet_bodies.FleetQuery.model_fields,
        *log_bodies.LogQuery.model_fields,
    }
    missing = [name for name in fields if not re.search(rf'[`"?]{name}[`"=]', TEXT)]
    assert not missing
