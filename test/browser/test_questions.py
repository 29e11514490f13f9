"""What a run asks, on its page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import OpenTab, fill_in
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
    first = page.get_by_role("region", name="1 node pack was installed by ComfyUI-Manager")
    expect(first).to_contain_text("Without an answer by", timeout=60_000)
    expect(page.locator("#steps")).to_contain_text("?")
    assert faults(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert faults(page) == []
    page.reload()
    first.get_by_role("button", name="Replace by the repository").click()
    second = page.get_by_role("region", name="1 node pack was installed and disabled")
    expect(first).to_have_count(0)
    second.get_by_role("button", name="Leave it disabled").press("Enter")
    expect(second).to_have_count(0)
    expect(page.locator('.pack[data-key="copied"]')).to_contain_text("loads in ComfyUI", timeout=60_000)
    expect(page.locator('.pack[data-key="disabled"]')).to_contain_text("disabled")
    [task] = service.get("/tasks")["tasks"]
    assert service.get(f"/tasks/{task['task_id']}")["request"]["options"]["ask"] == "ask"
