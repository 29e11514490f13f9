"""What a task must say at its end, from what its instance has written: folded here, not by the service."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from app.protocol.events import Attached, Connected, Connecting, Event, GivenUp, Source, Uploaded, decode
from app.protocol.progress_json import initial, progress
from app.protocol.reducer import reduce
from app.protocol.snapshot import Problem, Snapshot
from app.protocol.states import TaskState
from bench.fleet.run import Run

_KEPT = ("name", "state", "status", "commit", "requirements_status", "script_status", "verified", "kept")
_COUNTS = ("state", "outcome", "total_nodes", "successful", "failed", "processed")
_DIED = "runner_lost"
_known: dict[tuple[str, int], dict[str, Any]] = {}
"""Of whole runs: those of one recording end alike."""


def truth_of(run: Run, recording: str) -> dict[str, Any] | None:
    """The end; None while there is none."""
    if not run.is_over:
        return None
    key = (recording, len(run.bodies))
    whole = run.word == "ended" and run.bodies[-1]["state"] == TaskState.COMPLETED
    if whole and key in _known:
        return _known[key]
    snapshot = _folded(run)
    if run.word == "died":
        snapshot = _with(snapshot, GivenUp(TaskState.FAILED, Problem(_DIED, "The runner is gone.")))
    end = end_of(progress(snapshot, snapshot.finished_at or 0.0))
    if whole:
        _known[key] = end
    return end


def end_of(shown: dict[str, Any]) -> dict[str, Any]:
    """What of an ended task's progress does not depend on how the line was. `packs`: a hash of how each one ended."""
    rows = [{key: row[key] for key in _KEPT} | {"error": (row["error"] or {}).get("code")} for row in shown["nodes"]]
    packs = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
    return {**{key: shown[key] for key in _COUNTS}, "code": (shown["error"] or {}).get("code"), "packs": packs}


def _folded(run: Run) -> Snapshot:
    snapshot = initial(run.task_id, 0.0, auto_installer=False)
    for body in (Connecting(1), Connected("a"), Uploaded(), Attached(0, "running")):
        snapshot = _with(snapshot, body)
    for line in run.lines:
        event = decode(line)
        snapshot = reduce(snapshot, event, event.wall)
    return snapshot


def _with(snapshot: Snapshot, body: Any) -> Snapshot:
    return reduce(snapshot, Event(body, snapshot.service_seq + 1, 0.0, 0.0, Source.SERVICE), 0.0)
