"""The whole job in the browser, from the pasted command to its end: by the mouse, and by the keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FilePayload, expect

from app.standin.instance import StandIn
from test.browser.conftest import OpenTab, fill_in, trust
from test.browser.run_page import END, downloaded, row, sentence
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]


def test_it_works(service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab) -> None:
    """Paste, test, choose, install; rows move; the failed one says why and what to do; the end is one sentence."""
    page = tab(service.url)
    heavy, light, gone_url = urls
    file = FilePayload(name="packs.txt", mimeType="text/plain", buffer=f"# mine\n{heavy}\n- {light}\n".encode())
    page.get_by_role("radio", name="File").check()
    page.locator("#file").set_input_files(file)
    expect(page.locator("#list-rows label")).to_have_count(2)
    fill_in(
        page, standin, [f"git clone --depth 1 {heavy}", f"- [light]({light}/tree/main/docs?tab=readme)", f"{gone_url},"]
    )
    page.get_by_role("button", name="Install", exact=True).click()
    first = downloaded(page, "heavy")
    downloaded(page, "heavy", above=first)
    expect(page).to_have_title(re.compile(r"^\d+ % · 127.0.0.1"))
    expect(row(page, "gone")).to_contain_text("The repository does not exist")
    row(page, "gone").click()
    expect(page.locator("#log")).to_contain_text("not found")
    page.get_by_role("button", name="Close the log").click()
    expect(sentence(page)).to_have_text("2 of 3 node packs ready, 1 failed", timeout=END)
    expect(page.locator("#needs")).to_contain_text("Check the repository's address")
    expect(page).to_have_title(re.compile("^! · "))
    page.goto(service.url)
    expect(page.locator("[name=source]").first).to_have_value("last")
    expect(page.locator("#list-rows label")).to_have_count(3)


def test_the_keyboard_is_enough_from_the_start_to_the_run(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """By Tab, Space, arrows and Enter alone, and what has the focus can be seen on all the way."""
    page = tab(service.url)

    def reach(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = "document.activeElement"
            seen_in = f"{focused}.matches('[name=source]') ? {focused}.nextSibling : {focused}"
            assert page.evaluate(f"getComputedStyle({seen_in}).outlineStyle") != "none"
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab does not lead to {selector}")

    expect(page.locator("#ssh")).to_be_focused()
    page.keyboard.type(standin.ssh_command)
    reach("[name=source]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[name=source]:checked")).to_have_value("urls")
    reach("#urls")
    page.keyboard.type(urls[0])
    expect(page.locator("#list-rows label")).to_have_count(1)
    reach("summary")
    page.keyboard.press("Enter")
    reach("#ui-home")
    page.keyboard.type(str(standin.ui_home))
    reach("#existing")
    trust(page)
    reach("#go")
    page.keyboard.press("Enter")
    downloaded(page, "heavy")
    reach('[role="tab"]')
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timeline")).to_be_focused()
    expect(page.locator("#panel-timeline")).to_be_visible()
