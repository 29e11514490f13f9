"""What tests look at on the page of a run."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page

END = 60_000


def row(page: Page, name: str) -> Locator:
    """The row of a pack."""
    return page.locator(f'#rows [data-pack="{name}"]')


def sentence(page: Page) -> Locator:
    """How the run stands."""
    return page.get_by_role("heading", level=1)


def choose(page: Page, label: str) -> None:
    """Something of the menu beside the primary button."""
    page.locator("#head").get_by_role("button", name="More").click()
    page.locator("#head .menu-list").get_by_role("button", name=label, exact=True).click()


def downloaded(page: Page, name: str, *, above: int = 0) -> int:
    """Waits until the page shows that the pack's download has come further than `above` percent; how far it is."""
    page.wait_for_function(
        """([name, above]) => {
            const said = document.querySelector(`[data-pack="${name}"] .pack-what`)?.textContent ?? "";
            return Number(/downloading (\\d+) %/.exec(said)?.[1] ?? -1) > above;
        }""",
        arg=[name, above],
        timeout=END,
    )
    said = re.search(r"downloading (\d+) %", row(page, name).inner_text())
    return int(said[1]) if said else -1


SHIFTS = """globalThis.shifts = [];
new PerformanceObserver((list) => shifts.push(...list.getEntries().map((entry) => entry.value)))
    .observe({ type: "layout-shift", buffered: true });"""
