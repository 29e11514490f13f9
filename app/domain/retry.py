"""Retries: what of an ended run is worth another try, when, and the manifest for it. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.domain import asked_for
from app.domain.errors import NothingToRetry
from app.domain.record import InstallRecord
from app.domain.stored_request import read_options
from app.protocol import progress_json, reasons
from app.protocol.counts import AS_ASKED, has_problem
from app.protocol.manifest import ManifestFault
from app.protocol.snapshot import Node, Snapshot
from app.protocol.states import GOOD_NODE_STATES, TERMINAL_TASK_STATES, NodeState, TaskState

CAP_SECONDS = 900.0
_BY_PARENT = "parent_failed"


@dataclass(frozen=True, slots=True)
class RetryLinks:
    """A task's links to its retries. `limit`: options.auto_retry; `number`: which of these it is itself, 0 for
    none; `is_open`: whether its end is yet to be looked at for the next."""

    retry_of: str | None = None
    retried_by: str | None = None
    limit: int = 0
    number: int = 0
    is_open: bool = False

    @classmethod
    def of(cls, record: InstallRecord) -> RetryLinks:
        """The links that a record holds."""
        number = record.request.get("retry_number")
        return cls(
            record.request.get("retry_of"),
            record.retried_by,
            read_options(record.request).auto_retry,
            number if isinstance(number, int) else 0,
            record.auto_retry_open,
        )


def next_attempt(retry_links: RetryLinks, snapshot: Snapshot, first_pause: float) -> float | None:
    """When (Unix seconds) an ended task is retried by itself; None when it is not, or has not ended.

    The pause doubles from `first_pause` seconds, and up to half of it is added by the task_id, so that the tasks of a
    fleet do not come back all at once. It depends on nothing but these, so that it outlives a restart."""
    if not retry_links.is_open or snapshot.finished_at is None or names_to_retry(snapshot, automatic=True) is None:
        return None
    pause = min(CAP_SECONDS, first_pause * 2.0**retry_links.number)
    spread = zlib.crc32(snapshot.task_id.encode("ascii")) / 2**32
    return snapshot.finished_at + pause * (1 + spread / 2)


def names_to_retry(snapshot: Snapshot, *, automatic: bool) -> tuple[str, ...] | None:
    """The packs that did not end well, in their order; `automatic`: those alone that may go better by themselves. Empty
    for the whole request, where the run never came to know its packs; None for nothing at all."""
    failed = snapshot.state in TERMINAL_TASK_STATES - {TaskState.COMPLETED}
    passes = snapshot.error is not None and reasons.find(snapshot.error.code).transient
    if automatic and (snapshot.state is TaskState.CANCELLED or (failed and not passes)):
        return None
    if not snapshot.nodes:
        return () if failed else None
    unwell = [node for node in snapshot.nodes.values() if not _is_well(node, snapshot)]
    if automatic and not failed:
        unwell = _passing(unwell)
    return tuple(node.name for node in unwell) or (() if failed else None)


def with_parents(snapshot: Snapshot, chosen: Collection[str]) -> tuple[str, ...]:
    """`chosen` and the packs in whose folders they go, where those did not end well either; in the manifest's order."""
    folders = [snapshot.nodes[name].folder for name in chosen]
    return tuple(
        node.name
        for node in snapshot.nodes.values()
        if node.name in chosen
        or (not _is_well(node, snapshot) and any(folder.startswith(node.folder + "/") for folder in folders))
    )


def manifest_of(
    manifest: Mapping[str, Any] | None, snapshot: Snapshot, names: Collection[str], schemes: Collection[str]
) -> Mapping[str, Any] | None:
    """The part of `manifest` for the packs `names`, with the pins that it has for them; all of it for no names. A lock
    stays a lock: it has the packages' versions too. Raises NothingToRetry where it has none of these packs."""
    if not names:
        return manifest
    if manifest is not None and "lock" in manifest:
        lock = manifest["lock"]
        return {"lock": {**lock, "node_packs": [pack for pack in lock["node_packs"] if pack["name"] in names]}}
    try:
        packs = asked_for.entries(manifest, snapshot, names, schemes)
    except ManifestFault as fault:
        message = f"The list that the instance has read cannot be asked for again: {fault.message}"
        raise NothingToRetry(message) from fault
    if not packs:
        raise NothingToRetry("The packs that did not end well are none that the task was asked to install.")
    return {"nodes": [asdict(pack) for pack in packs]}


def _is_well(node: Node, snapshot: Snapshot) -> bool:
    code = node.error.code if node.error else None
    if node.state in GOOD_NODE_STATES:
        return not has_problem(node)
    as_asked = node.state is NodeState.SKIPPED and code in AS_ASKED
    return as_asked and snapshot.state is TaskState.COMPLETED  # a run that was undone since it failed is no rollback


def _passing(unwell: list[Node]) -> list[Node]:
    """Those whose reason may pass, and those that only lack a parent that is among them."""
    passing = [node for node in unwell if node.error and reasons.find(node.error.code).transient]
    folders = tuple(node.folder + "/" for node in passing)
    orphans = [node for node in unwell if node.error and node.error.code == _BY_PARENT]
    return passing + [node for node in orphans if node.folder.startswith(folders)]


def retry_json(retry_links: RetryLinks, snapshot: Snapshot, first_pause: float) -> dict[str, Any] | None:
    """The links as progress shows them; None for a task without any."""
    if retry_links.retry_of is None and retry_links.retried_by is None and retry_links.limit == 0:
        return None
    due = next_attempt(retry_links, snapshot, first_pause)
    return {
        "retry_of": retry_links.retry_of,
        "retried_by": retry_links.retried_by,
        "limit": retry_links.limit,
        "count": retry_links.number,
        "next_attempt_at": None if due is None else progress_json.iso(due),
    }
