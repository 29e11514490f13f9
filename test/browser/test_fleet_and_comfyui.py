"""Several machines on one page; and what is done with the ComfyUI that runs on one: opened, restarted."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.standin.instance import StandIn
from test.browser.conftest import Complaints, OpenTab
from test.browser.run_page import choose, row, sentence
from test.browser.test_accessibility import LOOKS, faults
from test.browser.test_runs_page import WIDTHS
from test.support.running_comfyui import pids, running_comfyui
from test.support.service import ServiceProcess
from test.support.stage import Stage, scenario

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
END = 60_000


def test_a_fleet_is_started_watched_and_stopped(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """A row a machine: one is done while the other, which is not there, is waited for, with the reason; a stop ends
    that one alone, and the rest can be retried from the same page, which says what the service says."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        away = f"root@127.0.0.1 -p {free.getsockname()[1]}"
    page = tab(f"{service.url}/ui/fleet")
    page.get_by_label("SSH commands").fill(f"{standin.ssh_command}\n\n# not yet\n{away}")
    expect(page.locator("#commands-count")).to_have_text("2 machines")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("ComfyUI’s folder").fill(str(standin.ui_home))
    page.get_by_role("radio", name="Paste").check()
    page.get_by_label("Repositories", exact=True).fill(urls[1])
    expect(page.locator("#go-hint")).to_have_text("1 node pack on 2 machines")
    page.get_by_role("button", name="Install", exact=True).click()
    rows = page.locator(".fleet-row")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("The node pack is ready", timeout=END)
    expect(rows.nth(0)).to_contain_text("1 of 1 ready")
    expect(rows.nth(1)).to_contain_text("The machine does not answer yet")
    expect(page.get_by_role("heading", level=1)).to_have_text("Installing on 1 machine")
    stop_all(page)
    expect(rows.nth(1)).to_contain_text("Stopped before anything was changed", timeout=END)
    expect(rows.nth(0)).to_contain_text("The node pack is ready")
    assert_same_as_told(page, service)
    page.get_by_role("button", name="Retry the rest").click()
    expect(rows.nth(1)).to_contain_text("The machine does not answer yet", timeout=END)
    stop_all(page)
    expect(rows.nth(1)).to_contain_text("Stopped", timeout=END)
    assert_same_as_told(page, service)
    rows.nth(0).get_by_role("link").click()
    expect(sentence(page)).to_have_text("The node pack is ready")


def stop_all(page: Page) -> None:
    """With the question before it."""
    page.get_by_role("button", name="Stop all").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop all").click()


def assert_same_as_told(page: Page, service: ServiceProcess) -> None:
    """Head and rows say what the service says of the fleet and its runs, here and in Runs."""
    told = service.get(f"/runs/{page.url.rpartition('/')[2]}")
    assert next(run for run in service.get("/runs", kind="fleet")["runs"])["summary"] == told["summary"]
    expect(page.get_by_role("heading", level=1)).to_have_text(told["summary"]["sentence"])
    numbers = f"{told['counts']['ready']} of {told['counts']['total']} ready" if told["in_progress"] else ""
    expect(page.locator("#in-words")).to_have_text(re.compile(f"^{numbers}" if numbers else "^$"))
    for one, run in zip(page.locator(".fleet-row").all(), told["runs"], strict=True):
        expect(one.locator(".run-said")).to_have_text(run["machine"]["name"])
        expect(one.locator(".fleet-sentence")).to_have_text(run["summary"]["sentence"])


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


def test_the_pages_of_a_fleet_fit_every_width_and_look(
    browser: Browser, tmp_path: Path, complaints: Complaints
) -> None:
    """Nothing serious for axe, and no page is wider than the window: the form with all that it offers, and a fleet."""
    wrong = []
    with Stage(tmp_path) as stage:
        fleet_id, _ = stage.ended_fleet(scenario(2), scenario(3, failed=1), ago=60.0)
        for look, options in LOOKS.items():
            with browser.new_context(**options) as context:
                page = context.new_page()
                complaints.watch(page)
                for path, ready in (("/ui/fleet", "#offered-list button"), (f"/ui/fleet/{fleet_id}", ".fleet-row")):
                    page.goto(stage.url + path)
                    expect(page.locator(ready).first).to_be_visible()
                    wrong += [f"{look} {path} {fault}" for fault in faults(page)]
                    for width in WIDTHS if look == "light" else ():
                        page.set_viewport_size({"width": width, "height": 844})
                        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                            wrong.append(f"{path} is wider than {width}")
    assert wrong == []
