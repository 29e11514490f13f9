"""The whole job, from the start page to the ComfyUI that has the node packs: by the mouse alone, and by the keyboard
alone, where the focus is never lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.standin.git_rules import PRIVATE, SERVED
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import OpenTab
from test.browser.run_page import END, row, sentence
from test.browser.test_start_page import Web, paste, web
from test.support.running_comfyui import running_comfyui
from test.support.service import ServiceProcess

__all__ = ["web"]
pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
PARTIAL = "1 of 2 node packs ready, 1 failed"
PROVEN = "ComfyUI was restarted and loads all 2 node packs"
WATCH = """globalThis.lost = [];
let had = "";
const watch = () => {
    const now = document.activeElement;
    if (now && now !== document.body) had = now.id || now.textContent.trim().slice(0, 40) || now.tagName;
    else if (had) {
        lost.push(had);
        had = "";
    }
    requestAnimationFrame(watch);
};
requestAnimationFrame(watch);"""


@pytest.fixture
def service(tmp_path: Path, web: Web, git_server: GitServer) -> Iterator[ServiceProcess]:
    """A service whose recommended list has two node packs, one of which nobody may read yet."""
    git_server.set_rule("o/second", PRIVATE)
    with ServiceProcess(tmp_path, auto_installer_repo=f"http://127.0.0.1:{web.server_port}/o/list") as running:
        make_pack(git_server, "o", "third")
        web.text = f"{web.text}third,{git_server.url}/o/third,,\n"
        yield running


@pytest.fixture
def standin(standin_factory: Callable[..., StandIn], git_server: GitServer) -> Iterator[StandIn]:
    """An instance whose ComfyUI runs."""
    made = standin_factory(git_base_url=git_server.url)
    with running_comfyui(made):
        yield made


def at_the_start(service: ServiceProcess, standin: StandIn, tab: OpenTab) -> Page:
    """Other tests' ComfyUIs run on this machine too: which one is meant stands in the options already."""
    page = tab(service.url)
    page.evaluate("home => (document.getElementById('ui-home').value = home)", str(standin.ui_home))
    return page


def opened(context: BrowserContext, press: Callable[[], None]) -> None:
    """Opens ComfyUI in a tab of its own."""
    with context.expect_page() as comfyui:
        press()
    comfyui.value.wait_for_url(re.compile(r"http://localhost:\d+/$"))


def test_by_the_mouse_alone(
    service: ServiceProcess, standin: StandIn, tab: OpenTab, context: BrowserContext, git_server: GitServer
) -> None:
    """What is pasted is pasted by the mouse too; no key is pressed."""
    page = at_the_start(service, standin, tab)
    paste(page, standin.ssh_command)
    page.get_by_role("button", name="Trust this key").click()
    expect(page.locator("#tested")).to_contain_text("Connected")
    page.get_by_text("third", exact=True).click()
    expect(page.locator("#list-count")).to_have_text("2 of 3 chosen")
    page.get_by_role("button", name="Install", exact=True).click()
    expect(sentence(page)).to_have_text(PARTIAL, timeout=END)
    row(page, "second").click()
    expect(page.locator("#log")).to_contain_text(re.compile("[Aa]uthentication|denied|403|401|could not read"))
    page.get_by_role("button", name="Close the log").click()
    git_server.set_rule("o/second", SERVED)
    page.locator("#needs").get_by_role("button", name="Retry it").click()
    expect(sentence(page)).to_have_text("All 2 node packs are ready", timeout=END)
    page.locator("#head").get_by_role("button", name="Restart ComfyUI").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart", exact=True).click()
    expect(sentence(page)).to_have_text(PROVEN, timeout=END)
    opened(context, page.locator("#head").get_by_role("button", name="Open ComfyUI").click)


class Keyboard:
    """Nothing but keys."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def focused(self) -> str:
        """What has the focus, in words."""
        found: str = self.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        return found

    def to(self, name: str, *, most: int, key: str = "Tab") -> int:
        """Presses Tab until this has the focus; how often."""
        for number in range(1, most + 1):
            self.page.keyboard.press(key)
            if self.focused.startswith(name):
                return number
        pytest.fail(f"{key} does not lead to {name!r}")

    def press(self, name: str, *, most: int = 3, key: str = "Tab") -> None:
        self.to(name, most=most, key=key)
        self.page.keyboard.press("Enter")


def test_by_the_keyboard_alone(
    service: ServiceProcess, standin: StandIn, tab: OpenTab, context: BrowserContext, git_server: GitServer
) -> None:
    """12 stops at most to Install; a link skips to the rows; buttons that are gone leave the focus on the page."""
    context.add_init_script(WATCH)
    page = at_the_start(service, standin, tab)
    keyboard = Keyboard(page)
    expect(page.locator("#ssh")).to_be_focused()
    page.keyboard.type(standin.ssh_command)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Trust this key")).to_be_visible()
    stops = keyboard.to("Trust this key", most=3)
    page.keyboard.press("Enter")
    expect(page.locator("#tested")).to_contain_text("Connected")
    for _ in range(12 - stops):
        page.keyboard.press("Tab")
        stops += 1
        if page.evaluate("document.activeElement.matches('#list-rows input')"):
            page.keyboard.press("End")
            page.keyboard.press("Space")
            expect(page.locator("#list-count")).to_have_text("2 of 3 chosen")
        if keyboard.focused == "go":
            break
    assert (keyboard.focused, stops <= 12) == ("go", True)
    assert page.evaluate("lost") == []
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/ui/run/"))
    expect(page.locator("#rows li")).to_have_count(2)
    keyboard.press("Skip to the node packs")
    expect(row(page, "first")).to_be_focused()
    expect(sentence(page)).to_have_text(PARTIAL, timeout=END)
    expect(row(page, "first")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Close the log")).to_be_visible()
    page.keyboard.press("Escape")
    expect(row(page, "second")).to_be_focused()
    git_server.set_rule("o/second", SERVED)
    keyboard.press("Retry it", most=8, key="Shift+Tab")
    expect(sentence(page)).to_have_text("All 2 node packs are ready", timeout=END)
    expect(sentence(page)).to_be_focused()
    keyboard.press("Restart ComfyUI")
    expect(page.get_by_role("dialog").get_by_role("button", name="No, go back")).to_be_focused()
    keyboard.press("Restart")
    expect(sentence(page)).to_have_text(PROVEN, timeout=END)
    expect(sentence(page)).to_be_focused()
    assert page.evaluate("lost") == []
    opened(context, lambda: keyboard.press("Open ComfyUI"))
