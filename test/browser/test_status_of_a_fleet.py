"""The page behind a status link, while its run goes on: a fleet's machines, a busy service, and the link's end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, Route, expect

from test.browser.conftest import Complaints, OpenTab
from test.browser.test_accessibility import faults
from test.support.stage import Stage, scenario

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
PACKS, MACHINES = 3, 2


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, status_links="true") as opened:
        yield opened


def fleet(stage: Stage) -> str:
    """The same packs on several machines, in the middle."""
    played, machines = scenario(PACKS), [stage.machine() for _ in range(MACHINES)]
    for machine in machines:
        machine.prepare(played, 0.0)
    body = {"ssh_connections": [machine.command for machine in machines], "manifest": played.manifest()}
    found = stage.service.post("/fleet/install-custom-nodes", body).json()
    for machine, row in zip(machines, found["tasks"], strict=True):
        machine.started(row["task_id"]).play("half")
    return str(found["fleet_id"])


def next_look(page: Page) -> None:
    with page.expect_response("**/status"):
        page.clock.run_for(4000)


def busy(route: Route) -> None:
    """What a service answers that has no thread left."""
    route.fulfill(status=503, json={"success": False, "error": "service_busy", "message": "Busy.", "hint": ""})


def test_a_fleets_packs_stand_once_a_machine_and_nothing_stays_after_the_links_end(
    stage: Stage, tab: OpenTab, complaints: Complaints
) -> None:
    run_id = fleet(stage)
    path = stage.service.post(f"/runs/{run_id}/link", {}).json()["path"]
    page = tab("about:blank")
    page.clock.install()
    page.goto(stage.url.rstrip("/") + path)
    expect(page.get_by_role("listitem")).to_have_count(PACKS * MACHINES)
    expect(page.get_by_role("list")).to_contain_text("machine 2")
    for _ in range(3):
        next_look(page)
    expect(page.get_by_role("listitem")).to_have_count(PACKS * MACHINES)
    assert faults(page) == []

    complaints.expected += ["503", "404"]
    page.route("**/status", busy)
    next_look(page)
    expect(page.get_by_role("status")).to_contain_text("does not answer")
    page.unroute("**/status")
    next_look(page)
    expect(page.get_by_role("status")).to_be_hidden()
    assert requests.delete(f"{stage.url}/runs/{run_id}/link", json={}, timeout=10).status_code == 200
    next_look(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("This link shows nothing")
    expect(page).to_have_title("This link shows nothing · Nodeferry")
    expect(page.get_by_role("listitem")).to_have_count(0)
    expect(page.locator("#bar > *")).to_have_count(0)
