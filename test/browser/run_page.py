"""What tests look at on the page of a run."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

END = 60_000


def row(page: Page, name: str) -> Locator:
    """The row of a pack."""
    return page.locator(f'#rows [data-pack="{name}"]')


def sentence(page: Page) -> Locator:
    """How the run stands."""
    return page.get_by_role("heading", level=1)


def choose(page: Page, label: str) -> None:
    """Something that can be done about the run: by the primary button, or in the menu beside it."""
    head = page.locator("#head")
    button = head.get_by_role("button", name=label, exact=True)
    more = head.get_by_role("button", name="More", exact=True)
    expect(more.or_(button).first).to_be_visible()
    if not button.is_visible():
        more.click()
    button.click()


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
