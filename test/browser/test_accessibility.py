"""axe (https://github.com/dequelabs/axe-core) on every page, in light, dark and at a phone's width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from app.standin.instance import StandIn
from test.browser.conftest import Complaints
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


@pytest.mark.timeout(400)  # some thirty runs of axe
def test_no_page_has_a_serious_fault(
    browser: Browser, service: ServiceProcess, standin: StandIn, urls: list[str], complaints: Complaints
) -> None:
    """Every page, and every view of a run, in every look; no page is wider than the window."""
    asked = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home), "manifest": {"urls": urls[1:]}}
    workflow_id = service.post("/workflow/start", asked).json()["workflow_id"]
    task_id = service.install(standin, manifest={"urls": urls[1:2]})
    service.ended(task_id)
    many = {"ssh_connections": ["root@127.0.0.1 -p 9"], "options": {"wait_seconds": 0}}
    fleet_id = service.post("/fleet/install-custom-nodes", many).json()["fleet_id"]
    compare = f"/ui/compare?a={task_id}&b={task_id}"
    paths = ["/", f"/ui/workflow/{workflow_id}", "/ui/history", compare, "/ui/fleet", f"/ui/fleet/{fleet_id}", "/docs"]
    wrong = []
    for look, options in LOOKS.items():
        with browser.new_context(**options) as context:
            page = context.new_page()
            complaints.watch(page)
            for path in paths:
                page.goto(service.url + path)
                expect(page.locator("main")).to_be_visible()
                wrong += [f"{look} {path} {fault}" for fault in faults(page)]
            page.goto(f"{service.url}/ui/task/{task_id}")
            expect(page.get_by_role("heading", level=1)).to_have_text("The node pack is ready")
            for view in page.get_by_role("tab").all():
                view.click()
                wrong += [f"{look} {view.inner_text()} {fault}" for fault in faults(page)]
    assert wrong == []


def faults(page: Page) -> list[str]:
    """What axe finds that is serious or worse, and whether the page is wider than its window."""
    page.evaluate(AXE)
    run = "axe.run({ resultTypes: ['violations'] }).then((result) => result.violations)"
    found: list[dict[str, Any]] = page.evaluate(run)
    wrong = [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        wrong.append("wider than the window")
    return wrong
