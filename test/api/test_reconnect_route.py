"""POST /tasks/ID/reconnect: an instance that is not reached is tried again at once."""

from __future__ import annotations

from test.api.client import Api, closed_address, content
from test.support.waiting import wait_until


def test_a_wait_ends_at_once(api: Api) -> None:
    """The next try is made now, and counted."""
    task_id = api.start(closed_address(), options={"wait_seconds": 600})

    def pauses() -> bool:
        progress = api.progress(task_id)
        return bool(progress["attempt"] and progress["attempt"] >= 5)

    wait_until(lambda: api.progress(task_id)["message_code"] == "waiting_for_instance", 20, "it waits")

    def asked() -> bool:
        answer = api.post(f"/tasks/{task_id}/reconnect")
        assert (answer.status_code, content(answer)["task_id"]) == (202, task_id)
        return pauses()

    wait_until(asked, 5, "five tries, which by themselves would take 15 s")
    api.post(f"/tasks/{task_id}/cancel")
    assert api.ended(task_id)["state"] == "cancelled"


def test_a_task_that_does_not_wait_is_left_alone(api: Api) -> None:
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    refused = api.post(f"/tasks/{task_id}/reconnect")
    assert (refused.status_code, content(refused)["error"]) == (409, "task_not_waiting")
