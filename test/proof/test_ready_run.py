"""A run that was started with a workflow: its ComfyUI is restarted, then asked whether the workflow is ready there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.running_comfyui import running_comfyui
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until
from test.workflow.conftest import Workflows, service, workflows

__all__ = ["service", "workflows"]
pytestmark = [pytest.mark.sshd, pytest.mark.slow]
STEPS = ["install_custom_nodes", "verify_dependencies", "restart_comfyui"]


@pytest.fixture
def port(standin: StandIn) -> Iterator[int]:
    """Of a ComfyUI that runs on the instance, as somebody started it."""
    with running_comfyui(standin) as number:
        yield number


def graph(*, model: str | None = None) -> Json:
    """A text through a node of the pack `light`, saved; with a model that is loaded for nothing."""
    nodes: list[Json] = [
        {"id": 1, "type": "light", "outputs": [{"name": "STRING", "links": [1]}], "widgets_values": ["hello"]},
        {"id": 2, "type": "SaveText", "inputs": [{"name": "text", "type": "STRING", "link": 1}]},
    ]
    links: list[list[object]] = [[1, 1, 0, 2, 0, "STRING"]]
    if model:
        loader = {"id": 3, "type": "CheckpointLoaderSimple", "widgets_values": [model]}
        nodes += [{**loader, "outputs": [{"name": "MODEL", "links": [2]}]}]
        nodes[1]["inputs"].append({"name": "model", "type": "MODEL", "link": 2})
        links.append([2, 3, 0, 2, 1, "MODEL"])
    return {"nodes": nodes, "links": links, "version": 0.4}


def of_comfyui_itself() -> Json:
    """A workflow that needs no node pack: its text stands in the page's own node."""
    nodes: list[Json] = [
        {"id": 1, "type": "PrimitiveNode", "outputs": [{"name": "STRING", "links": [1]}], "widgets_values": ["hello"]},
        {"id": 2, "type": "SaveText", "inputs": [{"name": "text", "type": "STRING", "link": 1}]},
        {"id": 3, "type": "CheckpointLoaderSimple", "widgets_values": ["base.safetensors"]},
    ]
    nodes[1]["inputs"].append({"name": "model", "type": "MODEL", "link": 2})
    return {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "STRING"], [2, 3, 0, 2, 1, "MODEL"]], "version": 0.4}


def put_model(standin: StandIn) -> None:
    """The model of that workflow, as somebody has put it there."""
    folder = standin.ui_home / "models/checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.safetensors").write_bytes(b"x")


def manifest_of(service: ServiceProcess, git_server: GitServer, workflow: Json) -> Json:
    """The workflow as a manifest, its question answered with the pack."""
    pack = make_pack(git_server, "o", "light")
    asked = service.post("/manifests/check", {"manifest": {"workflow": workflow}}).json()["workflow"]["questions"]
    return {"workflow": workflow, "answers": {question["question_id"]: pack.url for question in asked}}


def test_a_workflow_is_proven_after_the_restart_and_stands_in_comfyuis_list(
    workflows: Workflows, service: ServiceProcess, standin: StandIn, git_server: GitServer, port: int
) -> None:
    """The step comes by itself; the run says it too, also after the service was restarted."""
    manifest = manifest_of(service, git_server, graph())
    shown = workflows.ended(workflow_id := workflows.start(standin, manifest=manifest, steps=STEPS))
    assert [(step["name"], step["status"]) for step in shown["steps"]][-1] == ("proof", "success"), shown["steps"][-1]
    assert shown["steps"][-1]["message"] == "This workflow is ready to run here."
    saved = standin.ui_home / "user/default/workflows/workflow.json"
    assert json.loads(saved.read_text()) == graph()
    service.kill()
    service.start()
    run = service.get(f"/runs/{workflow_id}")
    [result] = run["proof"]["results"]
    assert (run["proof"]["verdict"], result["findings"]) == ("ready", [])
    assert result["saved_as"] == "workflows/workflow.json"
    assert run["chapters"][-1]["name"] == "proof" and run["chapters"][-1]["summary"]["tone"] == "good"
    saved.write_text("{}")  # somebody's own: it stays
    again = service.post(f"/runs/{workflow_id}/proof", {}).json()
    assert again["proof"]["results"][0]["saved_as"] == "workflows/workflow (2).json"
    assert saved.read_text() == "{}"


def test_an_install_is_proven_when_its_comfyui_was_restarted(
    service: ServiceProcess, standin: StandIn, git_server: GitServer, port: int
) -> None:
    """Before, its classes are missing; what else is missing is named with its folder."""
    manifest = manifest_of(service, git_server, graph(model="sdxl\\base.safetensors"))
    task_id = service.install(standin, manifest=manifest, options={"verify": False})
    assert service.ended(task_id)["outcome"] == "all"
    early = service.post(f"/runs/{task_id}/proof", {}).json()["proof"]
    [unloaded, model] = early["results"][0]["findings"]
    assert (unloaded["kind"], model["kind"]) == ("class_missing", "model_missing")
    assert unloaded["what"] == "This ComfyUI has no class light: light, which is to have it, is installed."
    assert unloaded["hint"].startswith("Restart ComfyUI if it was not restarted since")
    restart = service.post(f"/tasks/{task_id}/restart", {}).json()["task_id"]
    service.ended(restart)

    def is_new() -> bool:
        found = service.get(f"/runs/{task_id}")["proof"]
        return not found["in_progress"] and found["checked_at"] != early["checked_at"]

    wait_until(is_new, 30, "it was checked again")
    [result] = service.get(f"/runs/{task_id}")["proof"]["results"]
    assert result["verdict"] == "not_ready", result
    [missing] = result["findings"]
    assert (missing["node_id"], missing["input"]) == ("3", "ckpt_name")
    assert missing["file"] == {"name": "sdxl/base.safetensors", "folder": "checkpoints", "url": None}


def test_a_comfyui_that_does_not_run_leaves_it_unknown(
    workflows: Workflows, service: ServiceProcess, standin: StandIn, git_server: GitServer
) -> None:
    """The run does not fail for it. Without ComfyUI its version alone says what it has, so the node that saves is left
    away: it came later than this one."""
    workflow = graph() | {"nodes": graph()["nodes"][:1], "links": []}
    manifest = manifest_of(service, git_server, workflow)
    steps = ["install_custom_nodes", "proof"]
    shown = workflows.ended(workflow_id := workflows.start(standin, manifest=manifest, steps=steps))
    assert (shown["state"], shown["steps"][-1]["status"]) == ("completed", "partial"), shown
    result = service.get(f"/runs/{workflow_id}")["proof"]
    assert result["verdict"] == "unknown" and "not running" in result["sentence"]


def test_a_proof_needs_a_workflow_file(service: ServiceProcess, standin: StandIn, git_server: GitServer) -> None:
    """As a step, and asked for."""
    pack = make_pack(git_server, "o", "light")
    request = {"ssh_connection": standin.ssh_command, "manifest": {"urls": [pack.url]}, "steps": ["proof"]}
    refused = service.post("/workflow/start", request)
    assert (refused.status_code, refused.json()["field"]) == (400, "steps")
    task_id = service.install(standin, manifest={"urls": [pack.url]}, options={"verify": False})
    service.ended(task_id)
    assert service.get(f"/runs/{task_id}")["proof"] is None
    answer = service.post(f"/runs/{task_id}/proof", {})
    assert (answer.status_code, answer.json()["error"]) == (404, "run_has_no_workflow")


def test_the_command_line_says_at_its_end_whether_it_is_ready(
    service: ServiceProcess, standin: StandIn, git_server: GitServer, port: int, tmp_path: Path
) -> None:
    """And what is missing; in its document too."""
    manifest = manifest_of(service, git_server, flow := graph(model="base.safetensors"))
    (tmp_path / "my flow.json").write_text(json.dumps(flow), "utf-8")
    [(question, url)] = manifest["answers"].items()
    where = ["--server", service.url, "--ui-home", str(standin.ui_home), "--restart", "--no-verify"]
    options = ["--workflow", str(tmp_path / "my flow.json"), "--answer", f"{question}={url}", *where]
    result = CliRunner().invoke(cli, ["install", standin.ssh_command, *options])
    assert "This workflow is not ready to run here: 1 model is missing." in result.stdout, result.output
    assert "The model base.safetensors is not on this machine." in result.stdout
    assert "Put it into models/checkpoints. (node 3, CheckpointLoaderSimple, ckpt_name)" in result.stdout
    assert "It is in ComfyUI’s own list of workflows as my flow.json." in result.stdout


def test_a_machine_is_checked_as_it_is_without_any_run(
    service: ServiceProcess, standin: StandIn, git_server: GitServer, port: int
) -> None:
    """Nothing is restarted; the workflow is put into ComfyUI's list only when asked."""
    asked = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}
    own = {**asked, "manifest": {"workflow": of_comfyui_itself()}}
    found = service.post("/workflow-proofs", own).json()["proof"]
    assert found["sentence"] == "This workflow is not ready to run here: 1 model is missing."
    put_model(standin)
    found = service.post("/workflow-proofs", own).json()["proof"]
    assert (found["verdict"], found["results"][0]["saved_as"]) == ("ready", None), found
    assert not (standin.ui_home / "user/default/workflows").exists()
    missing = {**asked, "manifest": {"workflow": graph(model="other.safetensors")}, "save": True}
    found = service.post("/workflow-proofs", missing).json()["proof"]
    assert found["results"][0]["counts"] == {"class_missing": 1, "model_missing": 1}
    assert found["results"][0]["saved_as"] == "workflows/workflow.json"
    assert service.get("/runs")["runs"] == []


def test_a_machine_that_cannot_be_asked_is_an_error_and_one_without_comfyui_unknown(
    service: ServiceProcess, standin: StandIn
) -> None:
    where = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}
    asked = {**where, "manifest": {"workflow": of_comfyui_itself()}}
    found = service.post("/workflow-proofs", asked).json()["proof"]
    assert (found["verdict"], found["results"][0]["problem"]) == (
        "unknown",
        "ComfyUI is not running on this machine. Start or restart it, then check again.",
    )
    refused = service.post("/workflow-proofs", {**asked, "ui_home": "/nowhere"})
    assert (refused.status_code, refused.json()["error"]) == (409, "ui_home_not_found"), refused.text
    refused = service.post("/workflow-proofs", {**asked, "manifest": {"urls": ["https://github.com/a/b"]}})
    assert (refused.status_code, refused.json()["field"]) == (400, "manifest")


def test_the_command_line_checks_a_machine_without_a_run(
    service: ServiceProcess, standin: StandIn, git_server: GitServer, port: int, tmp_path: Path
) -> None:
    """Exit status 0 ready, 1 not ready; a workflow of ComfyUI's own nodes is put into its list too."""
    (tmp_path / "own.json").write_text(json.dumps(of_comfyui_itself()), "utf-8")
    where = ["--server", service.url, "--ui-home", str(standin.ui_home), "--workflow", str(tmp_path / "own.json")]
    missing = CliRunner().invoke(cli, ["install", standin.ssh_command, *where, "--check-only", "--json"])
    said = json.loads(missing.stdout)
    assert (missing.exit_code, said["error"]["code"]) == (1, "workflow_not_ready"), missing.output
    assert said["data"]["proof"]["results"][0]["counts"] == {"model_missing": 1}
    put_model(standin)
    ready = CliRunner().invoke(cli, ["install", standin.ssh_command, *where])
    assert ready.exit_code == 0, ready.output
    assert "This workflow is ready to run here." in ready.stdout
    assert (standin.ui_home / "user/default/workflows/own.json").exists()
    assert service.get("/runs")["runs"] == []


def test_a_run_says_why_a_class_is_missing(service: ServiceProcess, standin: StandIn, port: int) -> None:
    """One whose question was answered with nothing, one whose pack cannot be had."""
    workflow = graph()
    workflow["nodes"].append({"id": 3, "type": "Lost", "properties": {"aux_id": "gone/lost"}, "inputs": []})
    workflow["nodes"][2]["inputs"].append({"name": "text", "type": "STRING", "link": 2})
    workflow["links"].append([2, 1, 0, 3, 0, "STRING"])
    manifest = {"workflow": workflow, "answers": {"pack:light": "skip"}}
    task_id = service.install(standin, manifest=manifest, options={"verify": False})
    service.ended(task_id)
    found = service.post(f"/runs/{task_id}/proof", {}).json()["proof"]["results"][0]["findings"]
    assert [each["what"].split(": ")[:2] for each in found] == [
        ["This ComfyUI has no class light", "you left its node pack out."],
        ["This ComfyUI has no class Lost", "lost, which has it, failed"],
    ]
    assert found[1]["hint"].endswith("See the log of lost.")
