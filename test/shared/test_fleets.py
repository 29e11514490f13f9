"""Fleets where several processes share a queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from test.api.client import Api, content, service_in
from test.support.waiting import wait_until

MACHINES = [f"ssh -p 22 root@h{number}.invalid" for number in range(5)]
WHY = "Waiting: 2 installs of this fleet are running, and no more run at the same time"


def _start(api: Api, **changed: Any) -> str:
    asked = {"ssh_connections": MACHINES, "manifest": {"urls": ["https://github.com/a/a"]}, **changed}
    answer = api.post("/fleet/install-custom-nodes", asked)
    assert answer.status_code == 202, answer.get_data()
    return str(content(answer)["fleet_id"])


def _rows(api: Api, fleet_id: str) -> list[dict[str, Any]]:
    return list(content(api.get(f"/fleet/{fleet_id}"))["instances"])


def test_who_waits_for_a_limit_says_so_in_every_process_and_a_retry_waits_again(
    tmp_path: Path, postgresql_url: str
) -> None:
    """Those that have a place wait for a worker only; what is stopped gives its place to the next."""
    with (
        service_in(tmp_path / "one", database_url=postgresql_url, role="web") as one,
        service_in(tmp_path / "two", database_url=postgresql_url, role="web") as two,
    ):
        fleet_id = _start(one, limits={"at_once": 2})
        for api in (one, two):
            texts = [row["message"] for row in _rows(api, fleet_id)]
            assert texts == ["Waiting for a free worker"] * 2 + [WHY] * 3
        last = _rows(two, fleet_id)[4]["task_id"]
        progress = content(two.get(f"/tasks/{last}"))["progress"]
        assert progress["queue"] == {"position": 5, "behind": None}
        assert (progress["message"], progress["message_code"]) == (WHY, "waiting_for_place")
        first = _rows(two, fleet_id)[0]["task_id"]
        assert two.post(f"/tasks/{first}/cancel").status_code == 202
        wait_until(lambda: _rows(one, fleet_id)[2]["message"] == "Waiting for a free worker", 5, "the next has it")
        stopped = content(one.post(f"/fleet/{fleet_id}/cancel"))["tasks"]
        assert [row["state"] for row in stopped] == ["cancelled"] * 4
        retried = content(two.post(f"/fleet/{fleet_id}/retry"))
        assert (len(retried["tasks"]), retried["left"]) == (5, {})
        texts = [row["message"] for row in _rows(one, fleet_id)]
        assert texts == ["Waiting for a free worker"] * 2 + [WHY] * 3
