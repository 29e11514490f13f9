"""Installs of the past, as records with the snapshot that such an install has."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain.record import InstallRecord
from app.protocol import progress_json
from app.protocol.snapshot import Node, to_stored
from app.protocol.states import NodeState, TaskState
from app.storage import InstallStore, open_database


def past_record(number: int, state: TaskState = TaskState.COMPLETED) -> InstallRecord:
    """An install of 34 packs; the higher its number, the later."""
    task_id, at = str(uuid.uuid4()), time.time() - 100_000 + number
    names = [f"pack-{n}" for n in range(34)]
    nodes = {name: Node(name, f"https://example.org/o/{name}", NodeState.INSTALLED) for name in names}
    at_first = replace(progress_json.initial(task_id, at, auto_installer=False), nodes=nodes, state=state, revision=400)
    ended: dict[str, Any] = {} if state is TaskState.RUNNING else {"finished_at": at + 60}
    snapshot = to_stored(replace(at_first, **ended))
    request: dict[str, Any] = {"ssh_connection": "root@127.0.0.1 -p 1", "ui_home": f"/c{number}", "venv_path": None}
    manifest = {"urls": ["https://example.org/o/p"]}
    request |= {"manifest": manifest, "options": {"wait_seconds": 600}, "idempotency_key": None}
    counts: dict[str, Any] = {"total": 34, "successful": 34, "revision": 400}
    return InstallRecord(task_id, at, request, "root@127.0.0.1:1", state=state, snapshot=snapshot, **ended, **counts)


def put_past(data_dir: Path, *records: InstallRecord) -> None:
    """Into the database of a service that does not run."""
    engine = open_database(f"sqlite:///{data_dir / 'nodeferry.db'}")
    store = InstallStore(engine)
    for record in records:
        store.add(record)
    engine.dispose()
