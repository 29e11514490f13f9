"""A run as it is shown to whoever has its status link: how it stands and which packs, and nothing of the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.run_summary import Kind, Purpose
from app.protocol import reasons
from app.protocol.counts import standing
from app.sync.runs.parts import Tasks
from app.words import word

_FIELDS = ("created_at", "finished_at", "in_progress", "seconds", "working_since", "counts", "percent")
_OWN_WORDS: Mapping[str, str] = {Kind.FAILED.value: "summary.failed", Kind.LOST.value: "summary.lost"}
"""Kinds whose sentence may be an error's message, which may name the machine."""


def shared_view(row: Mapping[str, Any], parts: Sequence[Tasks | None]) -> dict[str, Any]:
    """`row`: the run as lists show it; `parts`: its own tasks, then those of each machine of a fleet."""
    summary = dict(row["summary"])
    if summary["kind"] in _OWN_WORDS:
        summary["sentence"] = word(_OWN_WORDS[summary["kind"]])
    return {
        **{name: row[name] for name in _FIELDS},
        "summary": summary,
        "list": row["list"],
        "nodes": [node for number, tasks in enumerate(parts) if tasks for node in _nodes(tasks, number or None)],
    }


def _nodes(tasks: Tasks, machine: int | None) -> list[dict[str, Any]]:
    """Each pack as the newest task that had it has left it; a plan's count as long as nothing else has any. `machine`:
    which of a fleet's."""
    done = [task for task in tasks.all if task.purpose is not Purpose.PLAN]
    found: dict[str, dict[str, Any]] = {}
    for snapshot in (task.status.snapshot for task in done or tasks.all):
        for node in snapshot.nodes.values():
            found[node.name] = {
                "name": node.name,
                "machine": machine,
                "standing": standing(snapshot, node).value,
                "problem": reasons.find(node.error.code).title if node.error else None,
            }
    return list(found.values())
