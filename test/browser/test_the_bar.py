"""The bar says what runs now, on every page."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from test.browser.conftest import OpenTab
from test.browser.test_accessibility import faults
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
EDGES = """(parts) => parts.map((part) => part.getBoundingClientRect()).filter(({ width }) => width)
    .flatMap(({ left, right }) => [left, right])"""
"""Left and right of each part that is seen, in the order in which they stand."""
WIDTHS = (320, 390, 640, 720, 768, 1024, 1440)


@pytest.fixture
def standins(standin_factory: Callable[..., StandIn], git_server: GitServer) -> Iterator[StandIn]:
    """As many machines as are asked for."""
    return iter(lambda: standin_factory(git_base_url=git_server.url), None)


def ask_now(page: Page) -> None:
    """As "Try now" does: the next poll at once."""
    page.evaluate("dispatchEvent(new CustomEvent('nodeferry:try'))")


def test_what_runs_stands_in_the_bar_with_its_percent_and_goes_when_it_has_ended(
    service: ServiceProcess, standins: Iterator[StandIn], urls: list[str], heavy: threading.Event, tab: OpenTab
) -> None:
    """Carried by the page; several have a menu with a line each; it fits at every width."""
    first = service.install(next(standins), manifest={"urls": urls[:1]})
    service.until(first, "running")
    page = tab(f"{service.url}/docs")
    expect(page.locator("#found")).to_contain_text("routes")
    now = page.locator("#bar-now")
    run = now.get_by_role("link")
    expect(run).to_have_text(re.compile(r".+\d+ %"))
    expect(run).to_have_attribute("href", f"/ui/run/{first}")
    before = page.locator("main").bounding_box()
    fits(page)

    second = service.install(next(standins), manifest={"urls": urls[:1]})
    service.until(second, "running")
    ask_now(page)
    button = now.get_by_role("button", name="2 running")
    expect(button).to_be_visible()
    button.click()
    lines = now.get_by_role("link")
    expect(lines).to_have_count(2)
    assert {line.get_attribute("href") for line in lines.all()} == {f"/ui/run/{first}", f"/ui/run/{second}"}
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    fits(page)
    page.reload()
    expect(now.get_by_role("button", name="2 running")).to_be_visible()

    heavy.set()
    for task_id in (first, second):
        service.ended(task_id)
    ask_now(page)
    expect(now).to_be_hidden()
    assert page.locator("main").bounding_box() == before, "nothing moved"


def fits(page: Page) -> None:
    """No width makes the page wider than its window, or the bar higher."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        edges = page.eval_on_selector_all(".topbar > :not(#bar-now), .now-run", EDGES)
        assert max(edges) <= width
        assert all(one <= next_one + 1 for one, next_one in itertools.pairwise(edges)), (width, edges)
    page.set_viewport_size({"width": 1280, "height": 900})
