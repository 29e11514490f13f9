"""POST /tasks/ID/retry, and what a cancel means for an automatic one."""

from __future__ import annotations

from pathlib import Path

import pytest

from test.api.client import Api, closed_address, content, service_in
from test.api.test_docs import examples, section

AT_ONCE = {"wait_seconds": 0}


@pytest.fixture
def failed(api: Api) -> str:
    """The task_id of a task whose instance was not there."""
    task_id = api.start(closed_address(), options=AT_ONCE)
    assert api.ended(task_id)["state"] == "failed"
    return task_id


def test_it_answers_as_a_start_does(api: Api, failed: str) -> None:
    answer = api.post(f"/tasks/{failed}/retry")
    assert answer.status_code == 202
    [example] = examples(section("POST /tasks/<task_id>/retry"))
    assert set(content(answer)) == set(example)
    assert content(answer)["retry_of"] == failed
    task = api.ended(content(answer)["task_id"])
    assert (task["retry_of"], task["request"]["options"]["wait_seconds"]) == (failed, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"nodes": "One"}, "nodes"),
        ({"nodes": []}, "nodes"),
        ({"nodes": [5]}, "nodes[0]"),
        ({"nodes": ["One"]}, "nodes"),
        ({"node": "One"}, "node"),
        ({"options": {"existing": "burn"}}, "options.existing"),
        ({"options": {"verify": False}}, "options.verify"),
    ],
)
def test_a_request_that_cannot_be_is_refused(api: Api, failed: str, body: dict[str, object], field: str) -> None:
    """A run that never knew its packs has none to name."""
    refused = api.post(f"/tasks/{failed}/retry", body)
    assert (refused.status_code, content(refused)["field"]) == (400, field)


def test_it_may_ask_for_what_a_hint_names(api: Api, failed: str) -> None:
    """The other options stay as they were."""
    body = {"options": {"allow_yanked": ["pip==1.0"], "system_packages": "install"}}
    answer = api.post(f"/tasks/{failed}/retry", body)
    assert answer.status_code == 202
    options = api.ended(content(answer)["task_id"])["request"]["options"]
    assert (options["allow_yanked"], options["system_packages"]) == (["pip==1.0"], "install")
    assert (options["existing"], options["wait_seconds"]) == ("keep", 0)


@pytest.mark.parametrize("count", [-1, 6, 1.5, "2", True])
def test_auto_retry_is_a_count_from_0_to_5(idle: Api, count: object) -> None:
    body = {"ssh_connection": "root@127.0.0.1", "options": {"auto_retry": count}}
    refused = idle.post("/ssh/install-custom-nodes", body)
    assert (refused.status_code, content(refused)["field"]) == (400, "options.auto_retry")


def test_a_cancel_of_an_ended_task_calls_its_retry_off(tmp_path: Path) -> None:
    """Once; after that there is nothing left to cancel."""
    with service_in(tmp_path, retry_seconds=600.0) as api:
        task_id = api.start(closed_address(), options=AT_ONCE | {"auto_retry": 2})
        assert api.ended(task_id)["progress"]["retry"]["next_attempt_at"] is not None
        called_off = api.post(f"/tasks/{task_id}/cancel")
        assert (called_off.status_code, content(called_off)["state"]) == (202, "failed")
        assert api.progress(task_id)["retry"]["next_attempt_at"] is None
        again = api.post(f"/tasks/{task_id}/cancel")
        assert (again.status_code, content(again)["error"]) == (409, "task_not_cancellable")


def test_an_unknown_task_is_not_found(idle: Api) -> None:
    unknown = "550e8400-e29b-41d4-a716-446655440000"
    refused = idle.post(f"/tasks/{unknown}/retry")
    assert (refused.status_code, content(refused)["error"]) == (404, "task_not_found")
