"""A workflow is dropped on the start page: its packs with their reasons, its questions, and then its install."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, expect

from app.standin.instance import StandIn
from test.browser.conftest import OpenTab, trust
from test.browser.test_accessibility import faults
from test.browser.test_start_page import paste
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SAMPLES = Path(__file__).parents[1] / "workflowfile/samples"


def _graph(*nodes: tuple[str, dict[str, str]]) -> bytes:
    listed: list[dict[str, Any]] = [
        {"id": number, "type": name, "properties": hints, "pos": [0, 0]} for number, (name, hints) in enumerate(nodes)
    ]
    return json.dumps({"nodes": listed, "links": []}).encode()


def _choose(page: Page, name: str, content: bytes) -> None:
    page.get_by_role("radio", name="File").check()
    page.locator("#file").set_input_files(FilePayload(name=name, mimeType="", buffer=content))


def test_a_dropped_workflow_shows_its_packs_and_why(service: ServiceProcess, tab: OpenTab) -> None:
    page = tab(service.url)
    mine = ("Mine", {"aux_id": "me/mine"})
    _choose(page, "flow.json", _graph(mine, ("Note", {}), ("KSampler", {})))
    expect(page.locator("#list-rows label")).to_have_count(1)
    expect(page.locator("#file-chosen")).to_have_text("flow.json · 1 node pack")
    page.locator("#workflow-why summary").click()
    expect(page.locator("#workflow-needed li")).to_have_text("mine Mine (the workflow says so)")
    _choose(page, "flow.json", _graph(("KSampler", {})))
    expect(page.locator("#list-rows label")).to_have_count(0)
    expect(page.locator("#file-chosen")).to_contain_text("ComfyUI itself has everything")
    _choose(page, "flow.json", _graph(("Future", {"cnr_id": "comfy-core", "ver": "9.0.0"}), mine))
    expect(page.locator("#workflow-old")).to_contain_text("needs a newer ComfyUI: Future")


def test_a_question_holds_the_install_until_it_is_answered(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    page = tab(service.url)
    page.get_by_text("Options", exact=True).click()
    page.locator("#ui-home").fill(str(standin.ui_home))
    paste(page, standin.ssh_command)
    trust(page)
    _choose(page, "flow.json", _graph(("Nowhere", {}), ("Mine", {"aux_id": "me/mine"})))
    question = page.get_by_role("group", name="Which node pack has Nowhere?")
    expect(question).to_be_visible()
    expect(page.locator("#go-hint")).to_contain_text("Answer 1 question first")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_disabled()
    assert faults(page) == []
    question.get_by_role("textbox", name="Another repository").fill("https://github.com/a/b")
    question.get_by_role("textbox", name="Another repository").blur()
    expect(page.locator("#list-rows label")).to_have_count(2)
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_enabled()
    question.get_by_text("Leave it out").click()
    expect(page.locator("#list-rows label")).to_have_count(1)
    expect(page.locator("#go-hint")).to_contain_text("1 node pack on ")


def test_a_picture_has_a_workflow_by_its_bytes_whatever_its_name(service: ServiceProcess, tab: OpenTab) -> None:
    """And models, which are named; a pack of which only the registry's id is known is a question."""
    page = tab(service.url)
    _choose(page, "holiday.csv", (SAMPLES / "core.png").read_bytes())
    expect(page.get_by_role("group", name="Which node pack has ImageResize+?")).to_contain_text("comfyui_essentials")
    expect(page.locator("#workflow-models summary")).to_have_text("It names 1 model, which is not downloaded.")
