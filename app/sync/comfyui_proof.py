"""Whether workflows are ready to run, asked of the ComfyUI that runs on an instance, which stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.address import SshAddress
from app.domain.request import Request
from app.proof.findings import Verdict
from app.proof.judge import classes_of as classes_in
from app.proof.judge import prove
from app.proof.node_specs import Specs
from app.remote.comfyui_files import NotTaken, safe_name, save_workflow
from app.remote.connector import SshConnector
from app.remote.deadline import Deadline
from app.remote.host import RemoteHost
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.remote.web_text import WebError
from app.settings import Timeouts
from app.sync.comfyui_facts import CLASSES_SECONDS, classes_of
from app.sync.installs.cancel_signal import CancelSignal
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.forms import Graphs

_BADNESS = (Verdict.READY.value, Verdict.UNKNOWN.value, Verdict.NOT_READY.value)
SAVE_SECONDS = 20.0
PROOF_SECONDS = 170.0
"""For all of it: connecting, what ComfyUI has, and putting the workflows into its list."""
NOT_RUNNING = "ComfyUI is not running on this machine. Start or restart it, then check again."


@dataclass(frozen=True, slots=True)
class Place:
    """The ComfyUI that is asked. `asks_first`: the key of a new machine is not trusted by itself."""

    address: SshAddress
    ui_home: str | None = None
    venv_path: str | None = None
    host_key_sha256: str | None = None
    asks_first: bool = False


def place_of(request: Request) -> Place:
    """The ComfyUI that a run's request means."""
    options = request.options
    asks = options.first_contact == "ask"
    return Place(request.address, request.ui_home, request.venv_path, options.host_key_sha256, asks)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks ComfyUIs."""

    connector: SshConnector
    timeouts: Timeouts

    def results(
        self,
        place: Place,
        workflows: Sequence[tuple[Graphs, str]],
        stop: CancelSignal,
        *,
        saves: bool,
        seconds: float = PROOF_SECONDS,
    ) -> list[dict[str, Any]]:
        """A result for each workflow, which comes with its name; `saves`: they are put into ComfyUI's own list. Raises
        RemoteError and RunnerError for an instance that cannot be asked."""
        left = Deadline(seconds, "ComfyUI", stop)
        connector = self.connector.asking_first(place.asks_first)
        with connector.connect(place.address, host_key_sha256=place.host_key_sha256, cancel=stop) as host:
            try:
                return self._found(host, place, workflows, left, saves=saves)
            except (WebError, WorkflowFileError) as exc:
                problem = f"What ComfyUI says of its nodes cannot be used: {exc}."
        return [unknown(name, problem) for _, name in workflows]

    def _found(
        self,
        host: RemoteHost,
        place: Place,
        workflows: Sequence[tuple[Graphs, str]],
        left: Deadline,
        *,
        saves: bool,
    ) -> list[dict[str, Any]]:
        seconds = min(self.timeouts.command, _some(left))
        client = RunnerClient(host, pack_runner(), replace(self.timeouts, command=seconds))
        client.ensure_uploaded()
        port = client.probe(place.ui_home, place.venv_path, timeout=min(seconds, _some(left))).comfyui_port
        if port is None:
            return [unknown(name, NOT_RUNNING) for _, name in workflows]
        wanted = frozenset[str]().union(*(classes_in(graphs) for graphs, _ in workflows))
        specs = Specs(classes_of(host, port, wanted, seconds=min(CLASSES_SECONDS, _some(left))).kept)
        results = [_judged(name, graphs, specs) for graphs, name in workflows]
        for (graphs, name), result in zip(workflows, results, strict=True):
            if saves and graphs.ui is not None:
                result.update(_saved(host, port, name, graphs.ui, min(SAVE_SECONDS, left.remaining)))
        return results


def _some(left: Deadline) -> float:
    """Seconds for the next wait. Raises ConnectFailed when all of them are over."""
    left.check("asking ComfyUI")
    return left.remaining


def _judged(name: str, graphs: Graphs, specs: Specs) -> dict[str, Any]:
    return {"name": name, "saved_as": None, "problem": None, **prove(graphs, specs).to_json()}


def _saved(host: RemoteHost, port: int, name: str, graph: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """One workflow put into ComfyUI's list."""
    try:
        return {"saved_as": save_workflow(host, port, name, graph, seconds)}
    except NotTaken as exc:
        return {"problem": str(exc)}


def unknown(name: str, problem: str) -> dict[str, Any]:
    """The result where nothing could be asked."""
    sentence = f"Whether this workflow is ready is not known: {problem}"
    nothing: dict[str, Any] = {"counts": {}, "checked": {}, "findings": [], "saved_as": None}
    return {"name": name, "verdict": Verdict.UNKNOWN.value, "sentence": sentence, "problem": problem, **nothing}


def names_of(workflows: Sequence[tuple[Graphs, str | None]]) -> list[str]:
    """What the workflows are called, as every system takes it."""
    return [safe_name(name) for _, name in workflows]


def together(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The verdict on all workflows: the worst of them, and what it says."""
    worst = max(results, key=lambda each: _BADNESS.index(each["verdict"]), default=None)
    if worst is None:
        return {"verdict": None, "sentence": None}
    ready = sum(each["verdict"] == Verdict.READY.value for each in results)
    several = len(results) > 1
    if several and ready == len(results):
        return {"verdict": worst["verdict"], "sentence": f"All {ready} workflows are ready to run here."}
    said = f"{ready} of {len(results)} workflows are ready to run here." if several else worst["sentence"]
    return {"verdict": worst["verdict"], "sentence": said}
