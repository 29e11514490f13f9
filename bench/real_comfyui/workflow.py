"""A workflow file is dropped, its packs are installed, ComfyUI is restarted, and what is said of it then is held
against what that ComfyUI does with it."""

from __future__ import annotations

import json
import time
from typing import Any

import requests

from app.standin.waiting import wait_until
from bench.real_comfyui import graph
from bench.real_comfyui.machine import RealMachine
from test.support.service import ServiceProcess

_RUN_SECONDS = 900.0
_PROMPT_SECONDS = 120.0
_ENDED = {"completed", "failed", "stopped"}
STEPS = ("install_custom_nodes", "verify_dependencies", "restart_comfyui")


def install(service: ServiceProcess, machine: RealMachine) -> dict[str, Any]:
    """The run's end: {workflow, run, asked, seconds}."""
    answer = requests.post(f"{service.url}/workflow-files", data=json.dumps(graph.saved()), timeout=30)
    manifest: dict[str, Any] = {"workflow_file": answer.json()["file_id"]}
    checked = service.post("/manifests/check", {"manifest": manifest}).json()["workflow"]
    manifest["answers"] = {each["question_id"]: _answer(each) for each in checked["questions"]}
    request = {
        "ssh_connection": machine.ssh_command,
        "ui_home": str(machine.ui_home),
        "manifest": manifest,
        "steps": STEPS,
    }
    begun = time.monotonic()
    started = service.post("/workflow/start", request)
    if started.status_code != 202:
        raise RuntimeError(started.text[:2000])
    workflow_id = started.json()["workflow_id"]

    def has_ended() -> bool:
        return service.get("/workflow/state", workflow_id=workflow_id)["state"] in _ENDED

    if not wait_until(has_ended, _RUN_SECONDS):
        raise TimeoutError("the workflow has not ended")
    return {
        "workflow": service.get("/workflow/state", workflow_id=workflow_id),
        "run": service.get(f"/runs/{workflow_id}"),
        "asked": [each.get("classes") or each["question_id"] for each in checked["questions"]],
        "seconds": round(time.monotonic() - begun, 1),
    }


def _answer(question: dict[str, Any]) -> str:
    """The pack that has one of the question's classes."""
    text = json.dumps(question)
    return next(url for name, url in graph.PACKS.items() if json.dumps(name) in text)


def run_it(machine: RealMachine) -> str:
    """What ComfyUI does with the workflow: `success`, or its own reason."""
    answer = requests.post(f"{machine.comfyui}/prompt", json={"prompt": graph.to_run()}, timeout=60)
    if not answer.ok:
        return f"{answer.status_code}: {json.dumps(answer.json().get('error'))}"[:600]
    prompt_id = answer.json()["prompt_id"]
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        found.update(requests.get(f"{machine.comfyui}/history/{prompt_id}", timeout=30).json().get(prompt_id) or {})
        return "status" in found

    if not wait_until(has_ended, _PROMPT_SECONDS):
        return "it has not ended"
    return str(found["status"]["status_str"])
