"""A workflow is dropped on the start page: its packs with their reasons, its questions, and then its install."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, Request, expect

from app.standin.instance import StandIn
from test.api.test_templates import put_templates
from test.browser.conftest import OpenTab, trust
from test.browser.test_accessibility import faults
from test.browser.test_start_page import paste
from test.support.registry_api import registry_api
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


def _connect(page: Page, standin: StandIn) -> None:
    page.get_by_text("Options", exact=True).click()
    page.locator("#ui-home").fill(str(standin.ui_home))
    paste(page, standin.ssh_command)
    trust(page)


def test_a_dropped_workflow_shows_its_packs_and_why(service: ServiceProcess, tab: OpenTab) -> None:
    page = tab(service.url)
    mine = ("Mine", {"aux_id": "me/mine"})
    _choose(page, "flow.json", _graph(mine, ("Note", {}), ("KSampler", {})))
    expect(page.locator("#list-rows label")).to_have_count(1)
    expect(page.locator("#file-chosen")).to_have_text("flow.json · 1 node pack")
    page.locator("#workflow-why summary").click()
    expect(page.locator("#workflow-needed li")).to_have_text("mineMinethe workflow says so")
    _choose(page, "flow.json", _graph(("KSampler", {})))
    expect(page.locator("#list-rows label")).to_have_count(0)
    expect(page.locator("#file-chosen")).to_contain_text("ComfyUI itself has everything")
    _choose(page, "flow.json", _graph(("Future", {"cnr_id": "comfy-core", "ver": "9.0.0"}), mine))
    expect(page.locator("#workflow-needs")).to_have_text("It needs ComfyUI 9.0.0 or newer.")


def test_a_comfyui_that_is_too_old_is_told_as_soon_as_the_machine_is_known(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    (standin.ui_home / "comfyui_version.py").write_text('__version__ = "0.3.40"\n', "utf-8")
    page = tab(service.url)
    _choose(page, "flow.json", _graph(("AddLayer", {"cnr_id": "comfy-core"}), ("Mine", {"aux_id": "me/mine"})))
    expect(page.locator("#workflow-needs")).to_have_text("It needs ComfyUI 0.31.0 or newer.")
    page.locator("#list-rows input").uncheck()
    _connect(page, standin)
    told = "ComfyUI too oldThe workflow needs ComfyUI 0.31.0 or newer; this one is 0.3.40 and lacks AddLayer."
    expect(page.locator("#workflow-old .note[data-tone=bad]")).to_contain_text(told)
    expect(page.locator("#list-rows input")).not_to_be_checked()
    page.locator("#list-rows input").check()
    expect(page.locator("#go-warn")).to_contain_text("the run asks first")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_enabled()
    (standin.ui_home / "comfyui_version.py").write_text('__version__ = "0.33.0"\n', "utf-8")
    page.get_by_role("button", name="Test again").click()
    expect(page.locator("#workflow-needs")).to_have_text("It needs ComfyUI 0.31.0 or newer: this machine has 0.33.0.")
    expect(page.locator("#go-warn")).to_be_hidden()


def test_a_question_holds_the_install_until_it_is_answered(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    page = tab(service.url)
    _connect(page, standin)
    _choose(page, "flow.json", _graph(("Nowhere", {}), ("Mine", {"aux_id": "me/mine"})))
    question = page.get_by_role("group", name="Which node pack has Nowhere?")
    expect(question).to_be_visible()
    expect(page.locator("#go-hint")).to_contain_text("Answer 1 question first")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_disabled()
    assert faults(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    assert faults(page) == []
    question.get_by_role("radio", name="Another repository").check()
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


def _choose_all(page: Page, files: dict[str, bytes]) -> None:
    page.get_by_role("radio", name="File").check()
    page.locator("#file").set_input_files(
        [FilePayload(name=name, mimeType="", buffer=content) for name, content in files.items()]
    )


def test_several_files_are_one_list_and_one_that_cannot_be_read_loses_no_other(
    service: ServiceProcess, tab: OpenTab
) -> None:
    page = tab(service.url)
    files = {"a.json": _graph(("Mine", {"aux_id": "me/mine"})), "b.json": _graph(("Yours", {"aux_id": "you/yours"}))}
    _choose_all(page, {**files, "c.csv": b"https://github.com/a/b\n"})
    expect(page.locator("#list-rows label")).to_have_count(2)
    expect(page.locator("#file-chosen")).to_have_text("a.json, b.json · 2 node packs")
    expect(page.locator("#workflow-lost")).to_have_text("c.csv is a list, not a workflow. Choose it alone.")
    page.locator("#workflow-why summary").click()
    expect(page.locator("#workflow-needed li").last).to_contain_text("for b.json")


def test_five_files_dropped_on_another_list_are_read_one_after_another(service: ServiceProcess, tab: OpenTab) -> None:
    page = tab(service.url)
    page.get_by_role("radio", name="Paste").check()
    sending: list[int] = [0]
    page.on("request", lambda request: sending.append(sending[-1] + _is_upload(request)))
    page.on("requestfinished", lambda request: sending.append(sending[-1] - _is_upload(request)))
    files = {f"{number}.json": _graph((f"N{number}", {"aux_id": f"me/n{number}"})).decode() for number in range(5)}
    _drop(page, files)
    expect(page.get_by_role("radio", name="File")).to_be_checked()
    expect(page.locator("#file-chosen")).to_have_text(f"{', '.join(files)} · 5 node packs")
    expect(page.locator("#workflow-lost")).to_be_hidden()
    assert (max(sending), sending[-1], sending.count(1)) == (1, 0, 5)
    _drop(page, {"odd.json": json.dumps({"nodes": [{"id": 1, "type": "a\nb", "pos": [0, 0]}], "links": []})})
    expect(page.locator("#workflow-unreadable")).to_have_text("1 node with an unreadable name was ignored.")
    expect(page.locator("#list-rows label")).to_have_count(0)


def _is_upload(request: Request) -> int:
    return int("/workflow-files" in request.url)


def _drop(page: Page, files: dict[str, str]) -> None:
    page.evaluate(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name));
            const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
            document.querySelector("h1").dispatchEvent(new DragEvent("drop", how));
        }""",
        files,
    )


def test_an_answer_is_remembered_until_it_is_asked_again(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    page = tab(service.url)
    _connect(page, standin)
    flow = _graph(("Nowhere", {}), ("Mine", {"aux_id": "me/mine"}))
    _choose(page, "flow.json", flow)
    page.get_by_role("group", name="Which node pack has Nowhere?").get_by_text("Leave it out").click()
    page.get_by_role("checkbox", name="Remember these answers").check()
    page.get_by_role("button", name="Install", exact=True).click()
    page.wait_for_url("**/ui/run/**")
    expect(page.locator(".run-files")).to_have_text("flow")
    kept = service.get("/workflow-answers")["answers"]
    assert [(each["question_id"], each["answer"]) for each in kept] == [("pack:Nowhere", "skip")]
    page.goto(f"{service.url}/ui/runs")
    expect(page.locator("#rows .run-what")).to_have_text("flow · mine")
    page.goto(service.url)
    _choose(page, "other.json", flow)
    expect(page.locator("#workflow-skipped")).to_contain_text("Nowhere is left out, as you said on")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("group", name="Which node pack has Nowhere?")).to_be_visible()
    expect(page.locator("#workflow-skipped")).to_be_hidden()
    assert service.get("/workflow-answers")["answers"] == []


def test_ids_of_the_registry_are_pasted(tab: OpenTab, tmp_path: Path) -> None:
    with registry_api() as registry, ServiceProcess(tmp_path, registry_url=registry.url) as service:
        registry.add("comfyui-impact-pack", "8.0.0", "8.1.0")
        registry.add("comfyui-kjnodes", "1.1.0")
        page = tab(service.url)
        page.get_by_role("radio", name="Paste").check()
        page.locator("#urls").fill("comfyui-impact-pack@8.0.0\ncomfyui-kjnodes")
        rows = page.locator("#list-rows label")
        expect(rows).to_have_text(["comfyui-impact-pack8.0.0 · registry", "comfyui-kjnodes1.1.0 · registry"])
        page.locator("#urls").fill("comfyui-impact-pack@8.0.0\nno-such-pack")
        expect(page.locator("#left-out-rows")).to_contain_text("no-such-pack")
        expect(rows.locator("input").first).to_be_checked()
        expect(rows.locator("input").last).not_to_be_checked()


def test_what_only_opens_a_workflow_is_a_choice(service: ServiceProcess, tab: OpenTab) -> None:
    page = tab(service.url)
    muted = {"id": 9, "type": "Muted", "mode": 4, "pos": [0, 0], "properties": {"aux_id": "m/muted"}}
    graph = json.loads(_graph(("Mine", {"aux_id": "me/mine"})))
    graph["nodes"].append(muted)
    _choose(page, "flow.json", json.dumps(graph).encode())
    expect(page.locator("#list-rows label")).to_have_count(1)
    page.get_by_role("radio", name="also to open it without red nodes").check()
    expect(page.locator("#list-rows label")).to_have_count(2)
    page.get_by_role("radio", name="to run it", exact=True).check()
    expect(page.locator("#list-rows label")).to_have_count(1)


def test_nodes_of_one_unknown_pack_are_one_question_and_its_answer_can_be_remembered(
    service: ServiceProcess, tab: OpenTab
) -> None:
    page = tab(service.url)
    _choose(page, "flow.json", _graph(("Nowhere", {}), ("Mine", {"aux_id": "me/mine"})))
    expect(page.get_by_role("checkbox", name="Remember these answers")).not_to_be_checked()
    question = page.get_by_role("group", name="Which node pack has Nowhere?")
    expect(question.locator('[type="url"]')).to_be_hidden()
    question.get_by_role("radio", name="Another repository").focus()
    page.keyboard.press("Space")
    expect(question.locator('[type="url"]')).to_be_focused()
    page.keyboard.type("https://github.com/a/b")
    page.keyboard.press("Tab")
    expect(page.locator("#list-rows label")).to_have_count(2)


def test_a_template_is_found_by_words_and_picked_by_the_keyboard(
    tab: OpenTab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_templates(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with ServiceProcess(tmp_path / "data", node_map_url="", registry_url="") as service:
        page = tab(service.url)
        page.get_by_role("radio", name="File").check()
        page.get_by_text("official templates").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#template-count")).to_have_text("3 templates")
        expect(page.locator(".template").first).to_contain_text("models 7.0 GB · ComfyUI 9.2.0 or newer")
        assert faults(page) == []
        page.get_by_role("searchbox", name="Search templates").fill("big")
        expect(page.locator("#template-count")).to_have_text("1 template")
        page.locator(".template").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#file-chosen")).to_have_text("A big picture · 1 node pack")
        expect(page.locator("#workflow-needs")).to_have_text("It needs ComfyUI 9.2.0 or newer.")


def test_without_the_templates_the_command_that_brings_them_is_told(service: ServiceProcess, tab: OpenTab) -> None:
    page = tab(service.url)
    page.get_by_role("radio", name="File").check()
    page.get_by_text("official templates").click()
    expect(page.get_by_role("alert").filter(has_text="pip install comfyui-workflow-templates-json")).to_be_visible()
