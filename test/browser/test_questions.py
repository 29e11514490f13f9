"""What a run asks, on its page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import OpenTab, fill_in
from test.browser.run_page import row
from test.browser.test_accessibility import faults
from test.support.manager_copies import put_disabled, put_registry_copy
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]


def test_a_question_is_answered_by_a_button(
    service: ServiceProcess, standin: StandIn, git_server: GitServer, tab: OpenTab
) -> None:
    """The start page asks for it; the card says what is done without an answer; a reload has it still; another
    question follows, and the keyboard answers it."""
    urls = [make_pack(git_server, "o", name).url for name in ("copied", "disabled")]
    put_registry_copy(standin.custom_nodes, "copied")
    put_disabled(standin.custom_nodes, "disabled")
    page = tab(service.url)
    fill_in(page, standin, urls)
    page.get_by_role("button", name="Install", exact=True).click()
    question = page.locator("#question")
    first = "Replace ComfyUI-Manager's copies?"
    expect(question.get_by_role("heading", name=first)).to_be_focused(timeout=60_000)
    expect(question).to_contain_text("1 node pack was installed by ComfyUI-Manager")
    expect(question).to_contain_text("Without an answer in")
    expect(question).to_contain_text("Put back brings it back")
    expect(page).to_have_title(re.compile(r"^\? · "))
    expect(page.locator("#head, .run-tabs, .run-body").filter(visible=True)).to_have_count(0)
    assert faults(page) == []
    runs = tab(f"{service.url}/ui/runs")
    waits = runs.locator(".run-row[data-kind=question]")
    expect(waits).to_contain_text("Needs your answer")
    expect(waits.locator("[data-icon=question]")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert faults(page) == []
    page.reload()
    question.get_by_role("button", name="Replace by the repository").click()
    expect(question.get_by_role("heading", name="Install disabled packs?")).to_be_visible()
    question.get_by_role("button", name="Leave it disabled").press("Enter")
    expect(question).to_be_hidden()
    assert page.evaluate("document.activeElement !== document.body")
    expect(row(page, "copied")).to_contain_text("loads in ComfyUI", timeout=60_000)
    expect(row(page, "disabled")).to_contain_text("disabled")
    [task] = service.get("/tasks")["tasks"]
    assert service.get(f"/tasks/{task['task_id']}")["request"]["options"]["ask"] == "ask"
