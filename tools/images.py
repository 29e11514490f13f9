"""The README's pictures, from a real run on a throw-away instance: `make images`.

Writes docs/images/{start,task,timeline,phone}.png; needs the system's Chromium.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from app.cli.commands.demo_world import World, demo_world

PLACE = Path(__file__).parents[1] / "docs" / "images"
WIDE = {"width": 1280, "height": 860}
NARROW = {"width": 390, "height": 844}
PASTED = "ssh -p 12345 root@ssh6.vast.ai"


def main() -> None:
    """Everything up, four pictures, everything away."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    console = Console()
    PLACE.mkdir(parents=True, exist_ok=True)
    with demo_world(console) as world, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        _start(browser, world)
        _run(browser, world)
        browser.close()
    for picture in sorted(PLACE.glob("*.png")):
        console.print(f"{picture.name}: {picture.stat().st_size // 1024} KB")


def _start(browser: Browser, world: World) -> None:
    page = browser.new_page(viewport=WIDE)
    page.goto(world.url)
    page.get_by_label("SSH command").fill(PASTED)
    page.get_by_text("A file", exact=True).click()
    csv = world.request["manifest"]["csv"].encode()
    page.set_input_files("#file", files=[{"name": "my_nodes.csv", "mimeType": "text/csv", "buffer": csv}])
    page.locator("#list-rows tr").first.wait_for()
    _take(page, "start")


def _run(browser: Browser, world: World) -> None:
    page, phone = (browser.new_page(viewport=size, reduced_motion="reduce") for size in (WIDE, NARROW))
    phone.emulate_media(color_scheme="dark")
    asked = page.request.post(f"{world.url}/ssh/install-custom-nodes", data=world.request).json()
    for one in (page, phone):
        one.goto(f"{world.url}/ui/task/{asked['task_id']}")
    page.get_by_text("cloning").first.wait_for(timeout=60_000)
    _take(page, "task")
    _take(phone, "phone")
    page.locator("[data-ref=summary]:not([data-tone=live])").wait_for(timeout=180_000)
    page.get_by_role("tab", name="Timeline").click()
    page.locator(".card:has([role=tablist])").screenshot(path=PLACE / "timeline.png")


def _take(page: Page, name: str) -> None:
    page.screenshot(path=PLACE / f"{name}.png")


if __name__ == "__main__":
    main()
