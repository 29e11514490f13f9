"""Notifications of the browser: asked for by a button, off by it too, one for each end however many tabs see it."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.webui.assets import modules
from app.webui.bundle import joined
from test.browser.conftest import OpenTab
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MODULE = "js/core/notify.js"
HIDDEN = "Object.defineProperty(document, 'visibilityState', { get: () => window.seen ? 'visible' : 'hidden' });"
COUNTED = """
    window.told = [];
    const real = window.Notification;
    window.Notification = class extends real {
        constructor(title, options) {
            super(title, options);
            window.told.push(`${title}: ${options.body}`);
        }
    };
"""


@pytest.fixture
def listening(context: BrowserContext) -> BrowserContext:
    """A browser that has given its permission, whose tabs are in the background and count what they tell."""
    context.grant_permissions(["notifications"])
    context.add_init_script(HIDDEN + COUNTED)
    return context


def tell(page: Page, title: str, tag: str) -> None:
    """As a page does when a run has ended; it need not wait."""
    script = joined(MODULE, modules())
    asked = f"notifyBrowser({json.dumps(title)}, 'All 3 node packs are ready', {{ tag: {json.dumps(tag)} }})"
    page.evaluate(f"(() => {{ {script}; return {asked}; }})()")


def told(*pages: Page) -> list[str]:
    return [text for page in pages for text in page.evaluate("window.told")]


def test_one_notification_for_each_end_over_two_tabs(
    service: ServiceProcess, tab: OpenTab, listening: BrowserContext
) -> None:
    """Off until the button; remembered; off again by it."""
    one, other = tab(f"{service.url}/docs"), tab(f"{service.url}/docs")
    tell(one, "ssh6", "before")
    assert told(one, other) == []
    one.get_by_role("button", name="More").click()
    switch = one.get_by_role("button", name="Notifications")
    expect(switch).to_have_attribute("aria-pressed", "false")
    switch.click()
    expect(one.locator("#toasts")).to_contain_text("This browser will tell you")
    for page in (one, other):
        tell(page, "ssh6", "run-1 ready")
    assert told(one, other) == ["ssh6: All 3 node packs are ready"]
    tell(other, "ssh6", "run-2 ready")
    assert len(told(one, other)) == 2
    one.reload()
    tell(one, "ssh6", "run-1 ready")
    assert told(one) == [], "it was told before"
    one.get_by_role("button", name="More").click()
    expect(switch).to_have_attribute("aria-pressed", "true")
    switch.click()
    tell(other, "ssh6", "run-3 ready")
    assert len(told(other)) == 1


def test_who_looks_at_the_page_is_not_told_again_by_another_tab(
    service: ServiceProcess, tab: OpenTab, listening: BrowserContext
) -> None:
    seen, hidden = tab(f"{service.url}/docs"), tab(f"{service.url}/docs")
    seen.evaluate("window.seen = true; localStorage.setItem('nodeferry:notify', 'true')")
    tell(seen, "ssh6", "run-1 ready")
    tell(hidden, "ssh6", "run-1 ready")
    assert told(seen, hidden) == []
