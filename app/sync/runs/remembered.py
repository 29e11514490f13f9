"""The instances that the service remembers, from its own records of runs and host keys. Opens no connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.errors import InstanceBusy, InstanceNotFound, RunNotFound
from app.domain.hostkeys import HostKey, HostKeyPins
from app.protocol import progress_json
from app.protocol.task_id import canonical
from app.storage.instance_store import InstanceStore, RememberedInstance
from app.sync.runs.runs import Runs
from app.sync.runs.view import name_of


class RememberedInstances:
    """Every method may be called from any thread; StorageError when the database fails."""

    def __init__(self, store: InstanceStore, pins: HostKeyPins, runs: Runs) -> None:
        self._store = store
        self._pins = pins
        self._runs = runs

    def list(self) -> list[dict[str, Any]]:
        """Every instance, that with the newest run first."""
        keys: dict[tuple[str, int], HostKey] = {(key.host, key.port): key for key in self._pins.all()}
        rows = [self._shown(known, keys) for known in self._store.all()]
        return sorted(rows, key=lambda row: str((row["last_run"] or {}).get("at") or ""), reverse=True)

    def name_of(self, text: str) -> str:
        """The name under which runs have an instance, from that or from its instance_id."""
        known = self._store.get(text) if canonical(text) else None
        return known.instance if known else text

    def forget(self, instance_id: str) -> int:
        """Forgets an instance and its host keys; how many keys these were. Its runs stay. Raises InstanceNotFound,
        InstanceBusy while something runs there."""
        known = self._store.get(instance_id)
        if known is None:
            raise InstanceNotFound(field="instance_id")
        if self._runs.works_on(known.instance):
            raise InstanceBusy
        return self._store.forget(known)

    def _shown(self, known: RememberedInstance, keys: Mapping[tuple[str, int], HostKey]) -> dict[str, Any]:
        last = self._last_run(known)
        key = keys.get((known.host or "", known.port or 0))
        return {
            "instance_id": known.instance_id,
            "name": name_of(known.instance),
            "instance": known.instance,
            "ssh_connection": known.ssh_connection or known.instance,
            "source": "remembered",
            "ui_home": last["machine"]["ui_home"] if last else None,
            "gpu": last["machine"]["gpu"] if last else None,
            "host_key": None if key is None else _key_json(key),
            "last_run": None if last is None else _run_json(last),
            "packs_known": len(known.packs or []),
        }

    def _last_run(self, known: RememberedInstance) -> dict[str, Any] | None:
        try:
            return self._runs.row(known.last_run_id) if known.last_run_id else None
        except RunNotFound:  # forgotten
            return None


def _key_json(key: HostKey) -> dict[str, Any]:
    seen = progress_json.iso(key.added_at) if key.added_at else None
    return {"type": key.key_type, "sha256": key.sha256, "first_seen_at": seen}


def _run_json(row: Mapping[str, Any]) -> dict[str, Any]:
    at = row["finished_at"] or row["created_at"]
    return {
        "run_id": row["run_id"],
        "in_progress": row["in_progress"],
        "summary": row["summary"],
        "counts": row["counts"],
        "at": at,
    }
