"""Whether the workflows that a run was started with are ready to run on its machine: asked of the ComfyUI there.

The graphs stay with the run, so that a service that was restarted meanwhile can still prove them. A proof never fails a
run: what cannot be found out is the verdict `unknown`, with the reason.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain import asked_for
from app.domain.errors import AppError, RemoteError, RunnerError
from app.domain.request import Request
from app.domain.run_summary import restarted
from app.domain.stored_request import read_request
from app.proof.findings import Verdict
from app.proof.judge import classes_of as classes_in
from app.proof.judge import prove
from app.proof.node_specs import Specs
from app.protocol import progress_json
from app.remote.comfyui_files import NotTaken, safe_name, save_workflow
from app.remote.connector import SshConnector
from app.remote.host import RemoteHost
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.remote.web_text import WebError
from app.settings import Timeouts
from app.storage.errors import StorageError
from app.storage.private_file import read_private, write_private
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.comfyui_facts import classes_of
from app.sync.installs.cancel_signal import CancelSignal
from app.sync.installs.service import Installs
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.forms import Graphs
from app.workflowfile.limits import MAX_TEXT_BYTES
from app.workflowfile.several import MAX_FILES

_BADNESS = (Verdict.READY.value, Verdict.UNKNOWN.value, Verdict.NOT_READY.value)
MAX_KEPT = 500
"""Of the graphs of more runs, the oldest are forgotten."""
CLASSES_SECONDS = 120.0
SAVE_SECONDS = 20.0
_log = logging.getLogger(__name__)


class Proofs:
    """The proofs of one service, by run. Every method may be called from any thread."""

    def __init__(
        self,
        folder: Path,
        installs: Installs,
        connector: SshConnector,
        *,
        background: BackgroundTaskManager,
        timeouts: Timeouts,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now`: Unix seconds."""
        self._folder = folder
        self._installs = installs
        self._connector = connector
        self._background = background
        self._timeouts = timeouts
        self._now = now
        self._stop = CancelSignal()
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def begin(self, run_id: str, workflows: Sequence[tuple[Graphs, str | None]]) -> None:
        """Keeps the workflows that a run is started with, each with its file's name. Raises StorageError."""
        self._forget_old()
        graphs = [{"ui": each.ui, "api": each.api} for each, _ in workflows[:MAX_FILES]]
        write_private(self._path(run_id, "graph.z"), zlib.compress(json.dumps(graphs).encode()))
        names = [safe_name(name) for _, name in workflows[:MAX_FILES]]
        self._keep(run_id, {"names": names, "checked_at": None, "results": []})

    def of(self, run_id: str) -> dict[str, Any] | None:
        """What is known of a run's workflows; None where it was not started with any."""
        kept = self._kept(run_id)
        if kept is None:
            return None
        with self._lock:
            running = run_id in self._running
        return {"in_progress": running, **kept, **_together(kept["results"])}

    def names_of(self, run_id: str) -> list[str]:
        """The names of the workflow files that a run was started with."""
        kept = self._kept(run_id)
        return list(kept["names"]) if kept else []

    def with_proof(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """A run as it is shown, with what is known of its workflows."""
        return {**run, "proof": self.of(str(run["run_id"]))}

    def prove_task(self, run_id: str, task_id: str) -> dict[str, Any] | None:
        """Asks the ComfyUI of a task of the run. None where the run has no workflow. Raises TaskNotFound."""
        record, status = self._installs.look(task_id)
        request = read_request(record.request)
        home = asked_for.home(status.snapshot.probe.get("ui_home"), request.ui_home)
        return self.prove(run_id, replace(request, ui_home=home))

    def prove(self, run_id: str, request: Request, stop: CancelSignal | None = None) -> dict[str, Any] | None:
        """Asks the ComfyUI that a request means; the result is kept. None where the run has no workflow."""
        kept, graphs = self._kept(run_id), self._graphs(run_id)
        if kept is None or not graphs:
            return None
        with self._lock:
            self._running.add(run_id)
        try:
            results = self._asked(request, graphs, kept["names"], stop or self._stop)
            kept |= {"checked_at": progress_json.iso(self._now()), "results": results}
            self._keep(run_id, kept)
        finally:
            with self._lock:
                self._running.discard(run_id)
        return self.of(run_id)

    def look_at(self, task_id: str) -> None:
        """A task has ended: where it has restarted ComfyUI for a run with a workflow, the proof is made. A workflow's
        own steps do that themselves."""
        with suppress(AppError, KeyError, TypeError, ValueError):
            record, status = self._installs.look(task_id)
            run_id = record.run_id or task_id
            of_steps = str(record.idempotency_key or "").startswith("workflow ")
            if of_steps or not restarted(status.snapshot) or self._kept(run_id) is None:
                return
            with suppress(RuntimeError):  # the system gives no more threads: a person can ask for it
                self._background.start_task(f"proof-{task_id}", self._in_background, run_id, task_id)

    def close(self, _timeout: float = 2.0) -> None:
        """Ends what goes on, without waiting: each is made anew when somebody asks."""
        self._stop.set()

    def _in_background(self, run_id: str, task_id: str) -> None:
        try:
            self.prove_task(run_id, task_id)
        except AppError as exc:
            _log.warning("run %s: whether its workflow is ready is not known: %s", run_id, exc.message)

    # -- asking -----------------------------------------------------------------------------------------------------

    def _asked(
        self, request: Request, graphs: Sequence[Graphs], names: Sequence[str], stop: CancelSignal
    ) -> list[dict[str, Any]]:
        """A result for each workflow."""
        try:
            return self._found(request, graphs, names, stop)
        except (RemoteError, RunnerError) as exc:
            problem = exc.message
        except (WebError, WorkflowFileError) as exc:
            problem = f"What ComfyUI says of its nodes cannot be used: {exc}."
        return [_unknown(name, problem) for name in names]

    def _found(
        self, request: Request, graphs: Sequence[Graphs], names: Sequence[str], stop: CancelSignal
    ) -> list[dict[str, Any]]:
        expected, wanted = request.options.host_key_sha256, frozenset[str]().union(*map(classes_in, graphs))
        connector = self._connector.asking_first(request.options.first_contact == "ask")
        with connector.connect(request.address, host_key_sha256=expected, cancel=stop) as host:
            client = RunnerClient(host, pack_runner(), replace(self._timeouts))
            client.ensure_uploaded()
            port = client.probe(request.ui_home, request.venv_path).comfyui_port
            if port is None:
                problem = "ComfyUI is not running on this machine. Start or restart it, then check again."
                return [_unknown(name, problem) for name in names]
            specs = Specs(classes_of(host, port, wanted, seconds=CLASSES_SECONDS).kept)
            return [_one(host, port, each, name, specs) for each, name in zip(graphs, names, strict=True)]

    # -- what is kept -----------------------------------------------------------------------------------------------

    def _path(self, run_id: str, ending: str) -> Path:
        return self._folder / f"{uuid.UUID(run_id)}.{ending}"

    def _keep(self, run_id: str, kept: Mapping[str, Any]) -> None:
        write_private(self._path(run_id, "json"), json.dumps(kept).encode())

    def _kept(self, run_id: str) -> dict[str, Any] | None:
        try:
            content = read_private(self._path(run_id, "json"))
            found = json.loads(content) if content else None
        except (StorageError, ValueError):
            return None
        return found if isinstance(found, dict) and set(found) == {"names", "checked_at", "results"} else None

    def _graphs(self, run_id: str) -> list[Graphs]:
        try:
            content = read_private(self._path(run_id, "graph.z"))
        except StorageError:
            content = None
        if content is None:
            return []
        most = 3 * MAX_TEXT_BYTES * MAX_FILES
        return [Graphs(each["ui"], each["api"]) for each in json.loads(zlib.decompressobj().decompress(content, most))]

    def _forget_old(self) -> None:
        with suppress(OSError):
            paths = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in paths[MAX_KEPT - 1 :]:
                path.with_suffix(".graph.z").unlink(missing_ok=True)
                path.unlink(missing_ok=True)


def _one(host: RemoteHost, port: int, graphs: Graphs, name: str, specs: Specs) -> dict[str, Any]:
    """One workflow: judged, and put into ComfyUI's list."""
    found = {"name": name, "saved_as": None, "problem": None, **prove(graphs, specs).to_json()}
    if graphs.ui is not None:
        try:
            found["saved_as"] = save_workflow(host, port, name, graphs.ui, SAVE_SECONDS)
        except NotTaken as exc:
            found["problem"] = str(exc)
    return found


def _unknown(name: str, problem: str) -> dict[str, Any]:
    """The result where nothing could be asked."""
    sentence = f"Whether this workflow is ready is not known: {problem}"
    nothing: dict[str, Any] = {"counts": {}, "checked": {}, "findings": [], "saved_as": None}
    return {"name": name, "verdict": Verdict.UNKNOWN.value, "sentence": sentence, "problem": problem, **nothing}


def _together(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The verdict on all workflows of a run: the worst of them, and what it says."""
    worst = max(results, key=lambda each: _BADNESS.index(each["verdict"]), default=None)
    if worst is None:
        return {"verdict": None, "sentence": None}
    ready = sum(each["verdict"] == Verdict.READY.value for each in results)
    several = len(results) > 1
    if several and ready == len(results):
        return {"verdict": worst["verdict"], "sentence": f"All {ready} workflows are ready to run here."}
    said = f"{ready} of {len(results)} workflows are ready to run here." if several else worst["sentence"]
    return {"verdict": worst["verdict"], "sentence": said}
