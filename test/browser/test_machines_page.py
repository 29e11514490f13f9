"""The page Machines: what is remembered of each, install there, forget it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from test.browser.conftest import Complaints, OpenTab
from test.browser.test_accessibility import LOOKS, faults
from test.browser.test_runs_page import HOUR, WIDTHS
from test.support.stage import Stage, scenario

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A service that has never connected."""
    with Stage(tmp_path) as made:
        yield made


def test_a_machine_is_remembered_with_what_is_known_of_it(stage: Stage, tab: OpenTab) -> None:
    """Its last run in the service's words, GPU, ComfyUI's folder, host key with its date; a run there is one click
    away, and its runs are listed."""
    task_id = stage.live(scenario(3), until="half")
    stage.ended(scenario(4, failed=1), ago=HOUR, machine="ssh4.vast.ai")
    page = tab(f"{stage.url}/ui/machines")
    told = stage.service.get("/instances")["instances"]
    expect(page.locator(".machine-row")).to_have_count(2)
    for row, machine in zip(page.locator(".machine-row").all(), told, strict=True):
        expect(row.locator(".machine-name")).to_have_text(machine["name"])
        expect(row.locator(".machine-said")).to_have_text(machine["last_run"]["summary"]["sentence"])
        expect(row).to_contain_text(machine["gpu"])
        expect(row).to_contain_text(machine["ui_home"])
    live, old = page.locator(".machine-row").all()
    key = told[0]["host_key"]
    expect(live.get_by_title(key["sha256"])).to_contain_text(key["sha256"].removeprefix("SHA256:")[:12])
    expect(live).to_contain_text("first seen")
    expect(old).to_contain_text("No host key kept")
    said = live.locator(".machine-said").inner_text()
    stage.play(task_id, "end")
    expect(live.locator(".machine-said")).not_to_have_text(said)
    expect(live.locator(".machine-said")).to_have_text("All 3 node packs are ready")
    old.get_by_role("button", name="More for").click()
    page.get_by_role("link", name="Its runs").click()
    page.wait_for_url("**/ui/runs?instance=*")
    expect(page.locator("#rows > li")).to_have_count(1)
    expect(page.get_by_label("Machine")).to_have_value(told[1]["instance"])
    page.go_back()
    page.get_by_role("link", name=f"Install on {told[0]['name']}").click()
    page.wait_for_url(re.compile(r"/\?ssh="))
    expect(page.get_by_label("SSH command")).to_have_value(told[0]["ssh_connection"])


def test_a_machine_is_forgotten_after_a_question_but_not_while_it_works(
    stage: Stage, tab: OpenTab, complaints: Complaints
) -> None:
    """The question says what goes and what stays; a refusal stands beside the machine that it is about."""
    complaints.expected += ["409"]
    task_id = stage.live(scenario(2), until="half")
    page = tab(f"{stage.url}/ui/machines")
    row = page.locator(".machine-row")

    def forget(answer: str) -> None:
        row.get_by_role("button", name="More for").click()
        page.get_by_role("button", name="Forget").click()
        expect(page.get_by_role("dialog")).to_contain_text("its runs stay in Runs")
        page.get_by_role("dialog").get_by_role("button", name=answer).click()

    forget("Forget")
    expect(row.get_by_role("alert")).to_be_visible()
    stage.play(task_id, "end")
    expect(row.locator(".machine-said")).to_have_text("All 2 node packs are ready")
    expect(row.get_by_role("alert")).to_be_visible()
    forget("No, go back")
    expect(row).to_have_count(1)
    forget("Forget")
    expect(row).to_have_count(0)
    expect(page.get_by_text("No machines yet")).to_be_visible()
    assert stage.service.get("/instances")["instances"] == []
    assert len(stage.service.get("/runs")["runs"]) == 1


def test_it_fits_every_width_and_look(browser: Browser, stage: Stage, complaints: Complaints) -> None:
    """Nothing serious for axe, without and with machines; no width is too small."""
    address, wrong = f"{stage.url}/ui/machines", []
    with browser.new_context() as context:
        page = context.new_page()
        complaints.watch(page)
        page.goto(address)
        expect(page.get_by_text("No machines yet")).to_be_visible()
        wrong += [f"empty {fault}" for fault in faults(page)]
    stage.live(scenario(2), until="half")
    for number in range(10):
        stage.ended(scenario(1), ago=HOUR, machine=f"a-machine-with-a-very-long-name-{number}.example.net")
    for look, options in LOOKS.items():
        with browser.new_context(**options) as context:
            page = context.new_page()
            complaints.watch(page)
            page.goto(address)
            expect(page.locator(".machine-row")).to_have_count(11)
            wrong += [f"{look} {fault}" for fault in faults(page)]
            for width in WIDTHS if look == "light" else ():
                page.set_viewport_size({"width": width, "height": 844})
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wrong.append(f"it is wider than {width}")
    assert wrong == []
