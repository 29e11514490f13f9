"""A machine that something works on is not forgotten: its next connection would trust any key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.api.client import Api, content, service_in, silent_address
from test.support.waiting import wait_until


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with service_in(tmp_path) as running:
        yield running


def forgotten(api: Api, user: str) -> str | None:
    """What is said to whoever forgets the user's machine."""
    rows = content(api.get("/instances"))["instances"]
    [known] = [row for row in rows if row["instance"].startswith(f"{user}@")]
    answer = api.send("DELETE", f"/instances/{known['instance_id']}", json={})
    return content(answer).get("error")


def test_the_same_address_with_another_user_is_busy(api: Api) -> None:
    """Host keys are an address's, not a user's."""
    with silent_address() as address:
        other = address.replace("root@", "ubuntu@")
        ended = api.start(other)
        assert api.post(f"/tasks/{ended}/cancel").status_code == 202
        api.ended(ended)
        running = api.start(address)
        assert forgotten(api, "ubuntu") == "instance_busy"
        api.post(f"/tasks/{running}/cancel")
        api.ended(running)
        assert forgotten(api, "ubuntu") is None


def test_a_workflow_that_only_connects_makes_it_busy(api: Api) -> None:
    with silent_address() as address:
        ended = api.start(address)
        api.post(f"/tasks/{ended}/cancel")
        api.ended(ended)
        started = content(api.post("/workflow/start", {"ssh_connection": address}))["workflow_id"]
        assert forgotten(api, "root") == "instance_busy"
        assert api.post("/workflow/stop", {"workflow_id": started}).status_code in {200, 202}

        def is_over() -> bool:
            return not content(api.get(f"/runs/{started}"))["in_progress"]

        wait_until(is_over, 20, "the workflow has ended")
        assert forgotten(api, "root") is None
