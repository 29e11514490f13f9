"""axe (https://github.com/dequelabs/axe-core) on every page, in light, dark and at a phone's width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from test.browser.conftest import Complaints
from test.support.stage import Stage, scenario
from test.support.stage.states import show_all

pytestmark = [pytest.mark.browser, pytest.mark.slow]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
VIEW_WITH_SOMETHING = "[role=tabpanel]:not([hidden]) :is(.pack-what, .timeline-line, tbody tr, .fact, .lock-packs li)"
WIDTHS = (320, 390, 640, 720, 768, 1024, 1440)
STATES = (*("question", "cloning", "cut", "partial", "nothing", "restarted", "waiting", "no_comfyui", "put_back"),)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Every page of a service on which runs are in many states, by a name for it."""
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        one, other = stage.ended(scenario(12, failed=1), ago=7200), stage.ended(scenario(12), ago=3600)
        fleet, _ = stage.ended_fleet(scenario(4), scenario(4, failed=1), ago=90_000)
        runs = {f"run: {state}": f"/ui/run/{run_id}" for state, run_id in show_all(stage, STATES, 8).items()}
        paths = {
            "start": "/",
            **runs,
            "runs": "/ui/runs",
            "machines": "/ui/machines",
            "compare": f"/ui/compare?a={one}&b={other}",
            "fleet": "/ui/fleet",
            "one fleet": f"/ui/fleet/{fleet}",
            "API": "/docs",
            "nothing here": "/ui/nothing",
        }
        yield {name: stage.url + path for name, path in paths.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_a_serious_fault(
    browser: Browser, addresses: dict[str, str], complaints: Complaints, look: str
) -> None:
    """Every page, and every state and view of a run; none is wider than its window, at any width."""
    complaints.expected += ["404", r"\b502\b"]  # the page that is not there; the list that cannot be fetched here
    wrong = []
    with browser.new_context(**LOOKS[look]) as context:
        page = context.new_page()
        complaints.watch(page)
        for name, address in addresses.items():
            page.goto(address)
            expect(page.locator("main")).to_be_visible()
            wrong += [f"{name}: {fault}" for fault in faults(page)]
            if name == "run: partial":
                wrong += [f"{name}, {fault}" for fault in _faults_of_views(page)]
            if look == "light":
                wrong += [f"{name}: wider than {width}" for width in WIDTHS if _is_wider(page, width)]
    assert wrong == []


def _faults_of_views(page: Page) -> Iterator[str]:
    for view in page.locator("main").get_by_role("tab").all():
        view.click()
        expect(page.locator(VIEW_WITH_SOMETHING).first).to_be_visible()
        yield from (f"{view.inner_text()}: {fault}" for fault in faults(page))


def _is_wider(page: Page, width: int) -> bool:
    page.set_viewport_size({"width": width, "height": 900})
    wider: bool = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return wider


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
