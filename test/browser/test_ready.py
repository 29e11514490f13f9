"""Ready on the run's page: one sentence, what is missing and where, and a check that says why it cannot be made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, expect

from app.standin.instance import StandIn
from test.browser.conftest import Complaints, OpenTab, trust
from test.browser.test_accessibility import faults
from test.browser.test_start_page import paste
from test.proof.test_ready_run import of_comfyui_itself, put_model
from test.support.running_comfyui import running_comfyui
from test.support.service import ServiceProcess
from test.support.stage import Stage
from test.support.stage.states import show

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MODEL = {
    "kind": "model_missing",
    "node_id": "4",
    "class": "CheckpointLoaderSimple",
    "input": "ckpt_name",
    "what": "The model base.safetensors is not on this machine.",
    "hint": "Put it into models/checkpoints.",
    "file": {"name": "base.safetensors", "folder": "checkpoints", "url": "https://example.org/base.safetensors"},
}
RESULT: dict[str, Any] = {
    "name": "my flow",
    "verdict": "not_ready",
    "sentence": "This workflow is not ready to run here: 2 models are missing.",
    "counts": {"model_missing": 2},
    "checked": {"nodes": 7, "classes": 7, "models": 1},
    "findings": [MODEL, {**MODEL, "node_id": "5:1"}],
    "saved_as": "workflows/my flow.json",
    "problem": None,
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A service of its own."""
    with Stage(tmp_path) as made:
        yield made


def _keep(tmp_path: Path, run_id: str, *results: dict[str, Any]) -> None:
    """What a proof has left of a run, as the service keeps it."""
    folder = next(tmp_path.rglob("progress")).parent / "proofs"
    folder.mkdir(mode=0o700, exist_ok=True)
    kept = {"names": ["my flow"], "checked_at": "2026-01-31T12:00:00.000Z" if results else None, "results": results}
    path = folder / f"{run_id}.json"
    path.write_text(json.dumps(kept), "utf-8")
    path.chmod(0o600)


def test_what_is_missing_stands_with_its_node_and_its_address(
    stage: Stage, tab: OpenTab, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expected = [r"404"]
    run_id = show(stage, "partial", 3)
    page = tab(f"{stage.url}/ui/run/{run_id}")
    expect(page.locator("#rows li")).to_have_count(3)
    expect(page.locator("#ready")).to_be_hidden()
    _keep(tmp_path, run_id)
    page.reload()
    expect(page.locator("#ready h2")).to_have_text("Restart ComfyUI to see whether the workflow is ready.")
    expect(page.locator(".run-line .run-files")).to_have_text("my flow")
    _keep(tmp_path, run_id, RESULT)
    page.reload()
    expect(page.locator("#ready h2")).to_have_text(RESULT["sentence"])
    expect(page.locator("#ready-list li")).to_have_count(1)
    expect(page.locator("#ready-list .ready-where")).to_have_text("nodes 4, 5:1CheckpointLoaderSimpleckpt_name")
    expect(page.get_by_role("link", name="https://example.org/base.safetensors")).to_be_visible()
    assert faults(page) == []
    page.get_by_role("button", name="Hide").click()
    expect(page.locator("#ready-list")).to_be_hidden()
    expect(page.get_by_role("button", name="Show 1 problem")).to_be_visible()
    page.get_by_role("button", name="Check again").click()
    expect(page.locator("#ready [role=alert]")).to_contain_text("not kept any more")  # the graph is not there


def test_a_machine_is_checked_from_the_start_page_without_an_install(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    """A workflow of ComfyUI's own nodes: what is missing stands there, and once nothing is, it is put into the list."""
    with running_comfyui(standin):
        page = tab(service.url)
        page.get_by_text("Options", exact=True).click()
        page.locator("#ui-home").fill(str(standin.ui_home))
        content = json.dumps(of_comfyui_itself()).encode()
        page.get_by_role("radio", name="File").check()
        page.locator("#file").set_input_files(FilePayload(name="own.json", mimeType="", buffer=content))
        expect(page.locator("#file-chosen")).to_contain_text("ComfyUI itself has everything")
        here = page.get_by_role("region", name="Whether the workflow is ready")
        expect(here).to_be_hidden()
        paste(page, standin.ssh_command)
        trust(page)
        expect(here).to_contain_text("Nothing is installed or restarted")
        here.get_by_role("button", name="Check this machine").click()
        expect(here).to_contain_text("This workflow is not ready to run here: 1 model is missing.", timeout=20_000)
        expect(here.locator("li")).to_contain_text("Put it into models/checkpoints.")
        assert faults(page) == []
        put_model(standin)
        here.get_by_role("button", name="Check again").click()
        expect(here).to_contain_text("This workflow is ready to run here.", timeout=20_000)
        expect(here.locator("ul")).to_be_hidden()
        here.get_by_role("button", name="Put it into ComfyUI’s list").click()
        expect(here).to_contain_text("It is in ComfyUI’s own list of workflows as own.json.", timeout=20_000)
        assert (standin.ui_home / "user/default/workflows/own.json").exists()
        expect(here.get_by_role("button", name="Put it into ComfyUI’s list")).to_be_hidden()
