"""What every page has: the bar, words where something is missing or not right, shortcuts, the service away and back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from test.browser.conftest import Complaints, OpenTab
from test.browser.test_accessibility import faults
from test.support.service import ROOT, ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOBODY = "00000000-0000-4000-8000-000000000000"
WIDTHS = (320, 390, 640, 720, 768, 1024, 1440)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for the tests that leave nothing in it."""
    with ServiceProcess(tmp_path_factory.mktemp("idle")) as running:
        yield running


MISSING = {
    "/ui/nothing": "There is no page here",
    "/ui/task/not-an-id": "There is no page here",
    f"/ui/task/{NOBODY}": "This run is not known here",
    "/tasks/../nonsense": "There is no page here",
    f"/tasks/{NOBODY}": "This run is not known here",
}


def test_an_address_without_anything_is_a_page_in_words(
    idle: ServiceProcess, tab: OpenTab, complaints: Complaints
) -> None:
    """With the bar, and ways to go on. Who asks for JSON gets JSON."""
    complaints.expected += ["404"]
    page = tab(f"{idle.url}/docs")
    for path, title in MISSING.items():
        page.goto(idle.url + path)
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        expect(page.locator("main").get_by_role("link", name="Start an install")).to_be_visible()
        expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Runs")).to_be_visible()
    assert faults(page) == []
    assert idle.get("/ui/nothing")["error"] == "not_found"
    assert idle.get(f"/tasks/{NOBODY}")["error"] == "task_not_found"


def test_an_unknown_id_is_told_in_words_where_the_page_learns_of_it_late(
    tmp_path: Path, tab: OpenTab, complaints: Complaints
) -> None:
    """With a login the page is a shell: its script learns it."""
    complaints.expected += ["401", "404"]
    with ServiceProcess(tmp_path, token="long enough for a test") as locked:
        page = tab(f"{locked.url}/ui/task/{NOBODY}#token=long enough for a test")
        expect(page.get_by_role("heading", name="This run is not known here")).to_be_focused()


def test_the_service_away_is_told_with_a_button_and_goes_by_itself(
    service: ServiceProcess, tab: OpenTab, complaints: Complaints
) -> None:
    """A page that is not reloaded goes on when it is back."""
    complaints.expected += ["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"]
    page = tab(f"{service.url}/ui/history")
    expect(page.get_by_text("No run yet")).to_be_visible()
    page.evaluate("window.notReloaded = true")
    port = int(service.url.rsplit(":", 1)[1])
    service.kill()
    banner = page.locator("#banner")
    expect(banner).to_contain_text("Nodeferry does not answer.")
    service.start(port)
    banner.get_by_role("button", name="Try now").click()
    expect(banner).to_contain_text("Nodeferry answers again.")
    assert page.evaluate("window.notReloaded")


def test_a_page_of_an_older_version_says_so_and_goes_on(
    service: ServiceProcess, tmp_path: Path, tab: OpenTab, complaints: Complaints
) -> None:
    """Nothing is reloaded by itself: something may have been typed."""
    complaints.expected += ["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"]
    page = tab(f"{service.url}/")
    page.evaluate("window.notReloaded = true")
    port = int(service.url.rsplit(":", 1)[1])
    service.stop()
    with ServiceProcess(tmp_path, tree=_newer(tmp_path / "newer")) as newer:
        newer.stop()
        newer.start(port)
        banner = page.locator("#banner")
        page.evaluate("dispatchEvent(new CustomEvent('nodeferry:try'))")
        expect(banner).to_contain_text("Nodeferry was updated.")
        assert page.evaluate("window.notReloaded")
        banner.get_by_role("button", name="Reload").click()
        expect(banner).to_be_hidden()
        assert page.evaluate("window.notReloaded") is None


def _newer(folder: Path) -> Path:
    """A checkout whose pages have another style."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "app", folder / "app", ignore=without)
    shutil.copy(ROOT / "run.py", folder)
    style = folder / "app" / "webui" / "static" / "css" / "base.css"
    style.write_text(f"{style.read_text('utf-8')}\nbody {{ letter-spacing: 0; }}\n", "utf-8")
    return folder


def test_shortcuts_are_listed_and_can_be_switched_off(idle: ServiceProcess, tab: OpenTab) -> None:
    """Not in fields, not with a modifier; the dialog gives the focus back."""
    page = tab(f"{idle.url}/docs")
    expect(page.locator("#found")).to_contain_text("routes")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("?/g s")
    expect(page.get_by_role("searchbox")).to_have_value("?/g s")
    page.get_by_role("button", name="More").focus()
    page.keyboard.press("Control+/")
    page.keyboard.press("Shift+?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    for words in ("Search", "Go to Runs", "Go to Machines", "Start an install", "Close what is open"):
        expect(sheet.get_by_text(words, exact=True)).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("s")
    assert page.url.endswith("/docs"), "a dialog is open"
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.get_by_role("button", name="More")).to_be_focused()
    page.keyboard.press("?")
    sheet.get_by_label("Use these shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.keyboard.press("?")
    expect(sheet).to_be_hidden()
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    sheet.get_by_label("Use these shortcuts").check()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url(f"{idle.url}/")


def test_the_menu_works_by_keyboard_alone(idle: ServiceProcess, tab: OpenTab) -> None:
    """Arrows and Escape; the focus stays in it, then on its button."""
    page = tab(f"{idle.url}/docs")
    button = page.get_by_role("button", name="More")
    button.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Several machines at once")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="API", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    page.locator("main").click(position={"x": 5, "y": 5})
    expect(button).to_have_attribute("aria-expanded", "false")


def test_the_skip_link_is_the_first_stop(idle: ServiceProcess, tab: OpenTab) -> None:
    page = tab(f"{idle.url}/docs")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_bar_and_what_opens_from_it_have_no_fault_and_fit(idle: ServiceProcess, tab: OpenTab) -> None:
    """At every width, in both looks; by axe with the menu, then the sheet of shortcuts open."""
    page = tab(f"{idle.url}/ui/fleet")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            page.get_by_role("button", name="More").click()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            if width in {320, 1440}:
                assert faults(page) == []
            page.keyboard.press("Escape")
            assert page.locator(".topbar").bounding_box()["height"] == 48  # type: ignore[index]
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert faults(page) == []
        page.keyboard.press("Escape")
