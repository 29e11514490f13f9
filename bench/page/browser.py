"""Chromium, and what it says of a page: processor time, shifts, paints, places of rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from test.support.chromium import ARGUMENTS, CHROMIUM

PROBE = (Path(__file__).parent / "probe.js").read_text("utf-8")
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
WIDTHS = (320, 390, 640, 720, 768, 1024)
_ROWS = "ol.packs > li"
_PLACES = """() => {
  const rows = [...document.querySelectorAll("ol.packs > li")].map((row) => row.getBoundingClientRect());
  const whole = rows.filter((row) => row.height > 0 && row.top >= 0 && row.bottom <= innerHeight);
  return { first: rows.length ? Math.round(rows[0].top + scrollY) : null, whole: whole.length };
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise SystemExit("There is no Chromium here: make system-deps installs it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def fresh(browser: Browser, *, reduced: bool = False, size: dict[str, int] | None = None) -> Iterator[BrowserContext]:
    """A browser that was never here before, with an empty cache."""
    motion: Any = "reduce" if reduced else "no-preference"
    viewport: Any = size or DESKTOP
    with browser.new_context(viewport=viewport, reduced_motion=motion) as context:
        context.add_init_script(PROBE)
        yield context


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of the main thread's processor time: all of it, scripts, layout and style."""

    task: float
    script: float
    layout: float
    style: float

    def since(self, before: Used) -> Used:
        """What was used meanwhile."""
        return Used(*(getattr(self, name) - getattr(before, name) for name in self.__slots__))

    def to_json(self) -> dict[str, float]:
        """In seconds."""
        return {name: round(getattr(self, name), 3) for name in self.__slots__}


class Gauge:
    """What Chromium itself counts of a page."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read(self) -> Used:
        """So far."""
        raw = self._session.send("Performance.getMetrics")["metrics"]
        values = {metric["name"]: float(metric["value"]) for metric in raw}
        names = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
        return Used(*(values[name] for name in names))


def first_paint(browser: Browser, address: str) -> float:
    """Milliseconds to the first contentful paint with an empty cache."""
    with fresh(browser) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_function("() => window.__seen && window.__seen.paint !== null", timeout=20_000)
        return float(page.evaluate("() => window.__seen.paint"))


def requests_of_a_load(browser: Browser, address: str) -> list[str]:
    """The addresses that a page asks for until it shows its rows and rests."""
    asked: list[str] = []
    with fresh(browser) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.wait_for_selector(_ROWS, state="attached", timeout=20_000)
        page.wait_for_timeout(1500)
    return asked


def places(browser: Browser, address: str, size: dict[str, int]) -> dict[str, Any]:
    """Where the first row is, and how many rows are in view as a whole, on a screen of this size."""
    with fresh(browser, size=size) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector(_ROWS, state="attached", timeout=20_000)
        page.wait_for_timeout(800)
        found: dict[str, Any] = page.evaluate(_PLACES)
        return found


def overflows(browser: Browser, address: str) -> list[int]:
    """The widths at which the page can be scrolled sideways."""
    found = []
    for width in WIDTHS:
        with fresh(browser, size={"width": width, "height": 844}) as context:
            page = context.new_page()
            page.goto(address)
            page.wait_for_selector(_ROWS, state="attached", timeout=20_000)
            page.wait_for_timeout(300)
            if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
                found.append(width)
    return found
