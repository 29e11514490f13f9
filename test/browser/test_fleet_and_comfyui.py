"""Several machines on one page; and what is done with the ComfyUI that runs on one: opened, restarted."""

from __future__ import annotations

import re
import socket

import pytest
from playwright.sync_api import BrowserContext, expect

from app.standin.instance import StandIn
from test.browser.conftest import OpenTab
from test.browser.run_page import choose, row, sentence
from test.support.running_comfyui import pids, running_comfyui
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
END = 60_000


def test_a_fleet_is_started_watched_and_stopped(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """A row a machine: one is done while the other, which is not there, is waited for, with the reason; a stop ends
    that one alone, and what failed can be retried from the same page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        away = f"root@127.0.0.1 -p {free.getsockname()[1]}"
    page = tab(f"{service.url}/ui/fleet")
    page.get_by_label("SSH commands").fill(f"{standin.ssh_command}\n\n# not yet\n{away}")
    expect(page.locator("#commands-count")).to_have_text("2 machines")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("ComfyUI’s folder").fill(str(standin.ui_home))
    page.get_by_text("Paste repositories").click()
    page.get_by_label("Repositories", exact=True).fill(urls[1])
    page.get_by_role("button", name="Install on all 2").click()
    rows = page.locator(".ship")
    expect(rows).to_have_count(2)
    expect(rows.nth(0).locator(".pill")).to_have_text("done", timeout=END)
    expect(rows.nth(0)).to_contain_text("1 of 1 ready")
    expect(rows.nth(1)).to_contain_text("refused")
    page.get_by_role("button", name="Stop all").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop all").click()
    expect(rows.nth(1).locator(".pill")).to_have_text("stopped", timeout=END)
    expect(rows.nth(0).locator(".pill")).to_have_text("done")
    page.get_by_role("button", name="Retry what failed").click()
    expect(rows.nth(1)).to_contain_text("Retry")
    page.get_by_role("button", name="Stop all").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop all").click()
    expect(page.locator("#state")).to_have_text("ended", timeout=END)
    rows.nth(0).get_by_role("link").click()
    expect(sentence(page)).to_have_text("The node pack is ready")


def test_comfyui_is_opened_and_restarted_from_a_finished_run(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, context: BrowserContext
) -> None:
    """Open leads to the ComfyUI of the instance in a tab of its own; a restart asks first, as a chapter here."""
    with running_comfyui(standin):
        task_id = service.install(standin, manifest={"urls": urls[1:2]})
        page = tab(f"{service.url}/ui/run/{task_id}")
        expect(sentence(page)).to_have_text("The node pack is ready", timeout=END)
        with context.expect_page() as opened:
            choose(page, "Open ComfyUI")
        opened.value.wait_for_url(re.compile(r"http://localhost:\d+/$"))
        assert service.url.startswith("http://127.0.0.1:")
        before = pids(standin)
        choose(page, "Restart ComfyUI")
        page.get_by_role("dialog").get_by_role("button", name="Restart", exact=True).click()
        expect(sentence(page)).to_have_text("ComfyUI was restarted and loads the node pack", timeout=END)
        expect(page.locator(".steps")).to_contain_text("Restart ComfyUI")
        expect(row(page, "light")).to_be_visible()
        assert pids(standin)
        assert not set(pids(standin)) & set(before)
