"""How a fleet stands: the sums of all of its instances, and a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.domain.errors import FleetNotFound, TaskNotFound
from app.protocol import counts, progress_json
from app.protocol.counts import Counts
from app.protocol.reasons import for_people
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.storage.fleet_store import Fleet, FleetStore
from app.sync.installs.progress_cache import InstallStatus
from app.sync.installs.service import Installs
from app.sync.runs import view
from app.sync.runs.fleet_page import FleetPage, first_needing, kinds
from app.sync.runs.members import Member, Members, Newest


class FleetProgress:
    """Every method may be called from any thread; StorageError when the database fails."""

    def __init__(self, installs: Installs, store: FleetStore, members: Members) -> None:
        self._installs = installs
        self._store = store
        self._members = members

    def progress(self, fleet_id: str, page: FleetPage, since: int | None = None) -> dict[str, Any]:
        """The progress JSON of a fleet; with `since` equal to the revision only that nothing is new. Raises
        FleetNotFound."""
        fleet = self._store.get(fleet_id)
        members = [] if fleet is None else self._members.of(fleet_id)
        if fleet is None or not members:
            raise FleetNotFound(field="fleet_id")
        newest = [member.facts.newest for member in members if member.facts]
        goes_on = any(each.state not in TERMINAL_TASK_STATES for each in newest)
        revision = sum(len(member.facts.seen) + sum(member.facts.seen) for member in members if member.facts)
        head = {"success": True, "fleet_id": fleet_id, "revision": revision, "in_progress": goes_on}
        if since is not None and since == revision:
            return {**head, "unchanged": True}
        listed, about = page.of(members)
        total, _ = first_needing(members)
        return {
            **head,
            "completed": not goes_on,
            "created_at": progress_json.iso(fleet.created_at),
            "summary": view.summary_of_fleet([(each.facts.row, each.facts.rows) for each in members if each.facts]),
            **_totals(newest),
            "kinds": kinds(members),
            "needing": total,
            "page": about,
            "instances": self._rows(fleet, listed),
        }

    def _rows(self, fleet: Fleet, listed: Sequence[Member]) -> list[dict[str, Any]]:
        found = []
        for member in self._members.fresh(fleet.fleet_id, listed):
            try:
                if member.facts:
                    status = self._installs.status_with_reason(member.facts.newest.task_id)
                    found.append({**fleet.instances[member.position], **_row(status)})
            except TaskNotFound:  # forgotten since it was listed
                continue
        return found


def _totals(newest: Sequence[Newest]) -> dict[str, Any]:
    states = [each.state for each in newest]
    percents = [each.percent for each in newest]
    return {
        "total_instances": len(newest),
        "states": {state.value: states.count(state) for state in TaskState},
        "percent": round(sum(percents) / len(percents), 1) if percents else 0.0,
        **Counts.sum([each.counts for each in newest]).to_json(),
    }


def _row(status: InstallStatus) -> dict[str, Any]:
    """One instance of a fleet's progress."""
    snapshot, numbers = status.snapshot, counts.count(status.snapshot)
    outcome = counts.outcome(snapshot)
    return {
        "task_id": snapshot.task_id,
        "retry_of": status.retry_links.retry_of,
        "state": snapshot.state.value,
        "outcome": outcome.value if outcome else None,
        "percent": snapshot.percent,
        "phase": progress_json.phase_of(snapshot).value,
        "message": progress_json.message(snapshot),
        "message_code": progress_json.message_code(snapshot),
        "summary": status.summary.to_json(),
        "questions": progress_json.question_rows(snapshot),
        **numbers.to_json(),
        "error": for_people(snapshot.error.to_json()) if snapshot.error else None,
    }
