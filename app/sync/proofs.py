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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from app.domain import asked_for
from app.domain.errors import AppError, RemoteError, RunnerError, TaskNotFound
from app.domain.request import NO_TASK, Request
from app.domain.run_summary import restarted
from app.domain.stored_request import read_request
from app.protocol import progress_json
from app.protocol.snapshot import Snapshot
from app.remote.connector import SshConnector
from app.settings import Timeouts
from app.storage.documents import Documents
from app.storage.errors import StorageError
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.comfyui_proof import Asker, Place, names_of, place_of, together, unknown
from app.sync.installs.cancel_signal import CancelSignal
from app.sync.installs.service import Installs
from app.sync.missing_packs import ClassPacks, Ends, explained
from app.workflowfile.forms import Graphs
from app.workflowfile.limits import MAX_TEXT_BYTES
from app.workflowfile.several import MAX_FILES

FOLDER, _PROOF, _GRAPHS = "proofs", ".json", ".graph.z"
MAX_KEPT = 500
"""Of the graphs of more runs, the oldest are forgotten."""
_KEPT = frozenset({"names", "checked_at", "results"})
_WANTED = "wanted"
_MOST_TASKS = 50
_log = logging.getLogger(__name__)


class Proofs:
    """The proofs of one service, by run. Every method may be called from any thread."""

    def __init__(
        self,
        documents: Documents,
        installs: Installs,
        connector: SshConnector,
        *,
        background: BackgroundTaskManager,
        timeouts: Timeouts,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now`: Unix seconds."""
        self._documents = documents
        self._installs = installs
        self._asker = Asker(connector, timeouts)
        self._background = background
        self._now = now
        self._stop = CancelSignal()
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def begin(
        self, run_id: str, workflows: Sequence[tuple[Graphs, str | None]], wanted: ClassPacks | None = None
    ) -> None:
        """Keeps the workflows that a run is started with, each with its file's name. `wanted`: which pack has which of
        their classes. Raises StorageError."""
        self._forget_old()
        graphs = [{"ui": each.ui, "api": each.api} for each, _ in workflows[:MAX_FILES]]
        self._documents.write(_name(run_id, _GRAPHS), zlib.compress(json.dumps(graphs).encode()))
        known = {_WANTED: (wanted or ClassPacks()).to_json()}
        self._keep(run_id, {"names": names_of(workflows[:MAX_FILES]), "checked_at": None, "results": [], **known})

    def of(self, run_id: str) -> dict[str, Any] | None:
        """What is known of a run's workflows; None where it was not started with any."""
        kept = self._kept(run_id)
        if kept is None:
            return None
        with self._lock:
            running = run_id in self._running
        known = {name: kept[name] for name in _KEPT}
        return {"in_progress": running, **known, **together(kept["results"])}

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
        return self.prove(run_id, replace(request, ui_home=home), task_id=task_id)

    def prove(
        self, run_id: str, request: Request, stop: CancelSignal | None = None, *, task_id: str | None = None
    ) -> dict[str, Any] | None:
        """Asks the ComfyUI that a request means; the result is kept. `task_id`: of the run's newest task that is known.
        None where the run has no workflow."""
        kept, graphs = self._kept(run_id), self._graphs(run_id)
        if kept is None or not graphs:
            return None
        with self._lock:
            self._running.add(run_id)
        try:
            results = self._asked(request, graphs, kept["names"], stop or self._stop)
            results = explained(results, ClassPacks.of(kept.get(_WANTED)), Ends.of(self._snapshots(task_id)))
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

    def check(
        self, place: Place, workflows: Sequence[tuple[Graphs, str | None]], *, saves: bool, seconds: float
    ) -> dict[str, Any]:
        """Asks the ComfyUI that runs at a place now, without any run: nothing is kept. Raises RemoteError and
        RunnerError."""
        names = names_of(workflows)
        named = [(graphs, name) for (graphs, _), name in zip(workflows, names, strict=True)]
        results = self._asker.results(place, named, self._stop, saves=saves, seconds=seconds)
        known = {"names": names, "in_progress": False, "checked_at": progress_json.iso(self._now())}
        return {**known, "results": results, **together(results)}

    # -- asking -----------------------------------------------------------------------------------------------------

    def _asked(
        self, request: Request, graphs: Sequence[Graphs], names: Sequence[str], stop: CancelSignal
    ) -> list[dict[str, Any]]:
        """A result for each workflow of a run."""
        try:
            return self._asker.results(place_of(request), list(zip(graphs, names, strict=True)), stop, saves=True)
        except (RemoteError, RunnerError) as exc:
            return [unknown(name, exc.message) for name in names]

    def _snapshots(self, task_id: str | None) -> Iterator[Snapshot]:
        """Of a task and of those that it followed, the newest first."""
        for _ in range(_MOST_TASKS):
            if task_id is None:
                return
            try:
                record, status = self._installs.look(task_id)
            except TaskNotFound:
                return
            yield status.snapshot
            followed = record.request.get("restart_of") or record.request.get("retry_of")
            task_id = followed if followed != NO_TASK else None

    # -- what is kept -----------------------------------------------------------------------------------------------

    def _keep(self, run_id: str, kept: Mapping[str, Any]) -> None:
        self._documents.write(_name(run_id, _PROOF), json.dumps(kept).encode())

    def _kept(self, run_id: str) -> dict[str, Any] | None:
        try:
            content = self._documents.read(_name(run_id, _PROOF))
            found = json.loads(content) if content else None
        except (StorageError, ValueError):
            return None
        return found if isinstance(found, dict) and set(found) >= _KEPT else None

    def _graphs(self, run_id: str) -> list[Graphs]:
        try:
            content = self._documents.read(_name(run_id, _GRAPHS))
        except StorageError:
            content = None
        if content is None:
            return []
        most = 3 * MAX_TEXT_BYTES * MAX_FILES
        return [Graphs(each["ui"], each["api"]) for each in json.loads(zlib.decompressobj().decompress(content, most))]

    def _forget_old(self) -> None:
        with suppress(OSError):
            for name, _ in self._documents.newest_first(FOLDER, _PROOF)[MAX_KEPT - 1 :]:
                self._documents.remove(name.removesuffix(_PROOF) + _GRAPHS)
                self._documents.remove(name)


def _name(run_id: str, ending: str) -> str:
    return f"{FOLDER}/{uuid.UUID(run_id)}{ending}"
