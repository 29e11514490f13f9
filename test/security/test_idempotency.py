"""An idempotency key answers for one request: another body with the same key is refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.domain.same_request import is_same
from test.api.client import START, Api, content, service_in
from test.support.ports import closed_port

PACKS = {"nodes": [{"name": "one", "repo_url": "https://github.com/o/one"}]}
OTHERS: dict[str, dict[str, Any]] = {
    "another machine": {"ssh_connection": "root@127.0.0.1 -p 1"},
    "another ComfyUI": {"ui_home": "/root/other"},
    "other packs": {"manifest": {"nodes": [{"name": "two", "repo_url": "https://github.com/o/two"}]}},
    "no packs": {"manifest": None},
    "another option": {"options": {"wait_seconds": 0, "plan_only": True}},
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service for all tests here: their keys differ."""
    with service_in(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def asked() -> dict[str, Any]:
    """The body of an install on a machine that is not there."""
    machine = f"root@127.0.0.1 -p {closed_port()}"
    return {"ssh_connection": machine, "manifest": PACKS, "options": {"wait_seconds": 0}}


def _refused(api: Api, path: str, body: dict[str, Any]) -> None:
    answer = api.post(path, body)
    found = content(answer)
    assert (answer.status_code, found["error"], found["field"]) == (409, "idempotency_conflict", "idempotency_key")
    assert "task_id" not in found


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_an_install(api: Api, asked: dict[str, Any], other: dict[str, Any]) -> None:
    """The same body is the same task; another one is neither started nor given the first one's task."""
    asked = {**asked, "idempotency_key": f"install {other}"[:200]}
    first = content(api.post(START, asked))["task_id"]
    _refused(api, START, asked | other)
    assert content(api.post(START, asked))["task_id"] == first


@pytest.mark.parametrize(
    "other", [*OTHERS.values(), {"steps": ["test_ssh"]}, {"review_plan": "always"}, {"deadline_seconds": 60}]
)
def test_a_workflow(api: Api, asked: dict[str, Any], other: dict[str, Any]) -> None:
    """Its steps count, too."""
    asked = {**asked, "steps": ["test_ssh", "install_custom_nodes"], "idempotency_key": f"workflow {other}"[:200]}
    first = content(api.post("/workflow/start", asked))["workflow_id"]
    _refused(api, "/workflow/start", asked | other)
    assert content(api.post("/workflow/start", asked))["workflow_id"] == first


@pytest.mark.parametrize("other", [*list(OTHERS.values())[1:], {"ssh_connections": ["root@127.0.0.1 -p 1"]}])
def test_a_fleet(api: Api, asked: dict[str, Any], other: dict[str, Any]) -> None:
    """Its instances, and what is installed on them."""
    machines = [asked.pop("ssh_connection"), f"root@127.0.0.1 -p {closed_port()}"]
    asked |= {"ssh_connections": machines, "idempotency_key": f"fleet {other}"[:200]}
    path = "/fleet/install-custom-nodes"
    first = content(api.post(path, asked))["fleet_id"]
    _refused(api, path, asked | other)
    assert content(api.post(path, asked))["fleet_id"] == first


def test_many_at_once(api: Api, asked: dict[str, Any]) -> None:
    """Of two bodies that come with one key at the same time, one is a task, and the other is refused each time."""
    bodies = [{**asked, "idempotency_key": "once", "ui_home": f"/root/{number % 2}"} for number in range(12)]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda body: Api(api.app).post(START, body), bodies))
    task_ids = {content(answer)["task_id"] for answer in answers if answer.status_code == 202}
    assert len(task_ids) == 1
    assert [answer.status_code for answer in answers].count(409) == 6


def test_a_record_of_an_earlier_version_is_read_first() -> None:
    """What it did not know has its default, and does not make it another request."""
    new = {
        "version": 2,
        "ssh_connection": "root@host",
        "ui_home": None,
        "venv_path": None,
        "options": {"wait_seconds": 5},
        "idempotency_key": "k",
        "manifest": PACKS,
        "rollback_of": None,
        "restart_of": None,
    }
    old = {name: value for name, value in new.items() if name != "version"}
    assert is_same(old, new)
    assert not is_same(old, {**new, "options": {"wait_seconds": 6}})
    assert not is_same({"ssh_connection": "root@host"}, new)


def test_after_a_restart_of_the_service(tmp_path: Path, asked: dict[str, Any]) -> None:
    """What counts is on disk."""
    asked["idempotency_key"] = "k"
    with service_in(tmp_path) as before:
        first = content(before.post(START, asked))["task_id"]
    with service_in(tmp_path) as after:
        assert content(after.post(START, asked))["task_id"] == first
        _refused(after, START, asked | OTHERS["another ComfyUI"])
