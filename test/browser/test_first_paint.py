"""Pages are painted from their first answer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from test.api.client import closed_address
from test.browser.conftest import OpenTab
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATHS = ("/", "/ui/runs", "/ui/machines", "/ui/fleet", "/docs", "/ui/run/{}")
PAINTED = "() => performance.getEntriesByName('first-contentful-paint').length > 0"


def test_a_page_is_painted_while_its_sheet_and_script_are_on_their_way(service: ServiceProcess, tab: OpenTab) -> None:
    """What the first screen needs stands in the page, and its policy allows just that."""
    task_id = service.install(closed_address(), options={"wait_seconds": 0})
    service.get(f"/tasks/{task_id}", wait=30)
    page = tab("about:blank")
    held: list[Route] = []

    painted = False

    def hold(route: Route) -> None:
        if painted:
            route.continue_()
        else:
            held.append(route)

    page.route("**/ui/static/**", hold)
    for path in PATHS:
        painted = False
        page.goto(service.url + path.format(task_id), wait_until="commit")
        page.wait_for_function(PAINTED)
        expect(page.locator(".topbar")).to_have_css("height", "48px")
        expect(page.locator("p.bare")).to_be_hidden()
        assert any(".css" in route.request.url for route in held), path
        painted = True
        while held:
            held.pop().continue_()
        page.wait_for_load_state("load")
