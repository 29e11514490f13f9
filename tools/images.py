"""The README's pictures, of runs that are played without a machine: `make images`.

Writes docs/images/{start,running,needs-you,end,phone}.png; needs the system's Chromium.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from test.support.stage import Stage
from test.support.stage.packs import real_list
from test.support.stage.states import show

PLACE = Path(__file__).parents[1] / "docs" / "images"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def main() -> None:
    """A service with some runs, five pictures, everything away."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nf-images-") as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        with Stage(Path(folder)) as stage:
            _start(browser, stage)
            for name, state in (("needs-you", "partial"), ("end", "ready"), ("running", "cloning")):
                address = f"{stage.url}/ui/run/{show(stage, state)}"
                _picture(browser, address, name)
            _picture(browser, address, "phone", narrow=True)
        browser.close()
    for picture in sorted(PLACE.glob("*.png")):
        Console().print(f"{picture.name}: {picture.stat().st_size // 1024} KB")


def _start(browser: Browser, stage: Stage) -> None:
    page = _opened(browser, stage.url)
    page.get_by_role("radio", name="Paste").check()
    page.get_by_label("Repositories", exact=True).fill("\n".join(pack.repo_url for pack in real_list()))
    page.locator("#list-rows > *").nth(3).wait_for()
    page.screenshot(path=PLACE / "start.png")
    page.close()


def _picture(browser: Browser, address: str, name: str, *, narrow: bool = False) -> None:
    page = _opened(browser, address, narrow=narrow)
    page.locator("#rows > *").nth(3).wait_for()
    page.screenshot(path=PLACE / f"{name}.png")
    page.close()


def _opened(browser: Browser, address: str, *, narrow: bool = False) -> Page:
    page = browser.new_page(viewport=NARROW if narrow else WIDE, color_scheme="dark" if narrow else "light")
    page.goto(address)
    return page


if __name__ == "__main__":
    main()
