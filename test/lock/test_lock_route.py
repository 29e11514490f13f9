"""GET /tasks/ID/lock, and locks as manifests, over HTTP."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.record import InstallRecord
from app.protocol import progress_json
from app.protocol.event_body import Body
from app.protocol.events import Event, LockMade, RunEnded, RunStarted
from app.protocol.reducer import reduce
from app.protocol.snapshot import to_stored
from app.protocol.states import TaskState
from app.settings import Settings
from app.storage import open_database
from app.storage.install_store import InstallStore
from test.api.client import Api, closed_address, content, service_in
from test.lock.test_forms import HASH, SNAPSHOT
from test.lock.test_forms import LOCK as PLAIN

ADDRESS = f"git+https://github.com/openai/CLIP@{HASH}"
LOCK = {
    **PLAIN,
    "packages": {**PLAIN["packages"], "clip": "1.0", "mine": "0.1"},
    "sources": {"clip": ADDRESS},
    "only_there": [
        {"name": "mine", "version": "0.1", "reason": "a folder", "path": "/workspace/mine", "editable": True}
    ],
    "overlaps": [{"on_top": "clip", "beneath": ["numpy"], "files": 2, "example": "tests/__init__.py"}],
    "indexes": ["http://mirror.example/simple"],
    "find_links": ["https://mirror.example/wheels"],
}
TASK_ID = str(uuid.uuid4())
API = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")


def record(folder: Path) -> None:
    """A task that has ended, in the database of the service to come."""
    snapshot = progress_json.initial(TASK_ID, 1.0, auto_installer=False)
    bodies: list[Body] = [RunStarted(TASK_ID, "", 1), LockMade(LOCK), RunEnded(TaskState.COMPLETED)]
    for number, body in enumerate(bodies, 1):
        snapshot = reduce(snapshot, Event(body, number, 1.0, 1.0), 1.0)
    folder.mkdir(parents=True)
    engine = open_database(Settings(data_dir=folder).resolved_database_url)
    record = InstallRecord(TASK_ID, 1.0, {"ssh_connection": "root@host"}, "root@host:22", snapshot=to_stored(snapshot))
    InstallStore(engine).add(replace(record, state=snapshot.state))
    engine.dispose()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    record(tmp_path / "service")
    with service_in(tmp_path / "service") as running:
        yield running


def test_the_lock_of_a_task_is_a_manifest(api: Api) -> None:
    """As it was told; also after a restart of the service."""
    answer = api.get(f"/tasks/{TASK_ID}/lock")
    assert answer.status_code == 200
    assert content(answer) == {"success": True, "task_id": TASK_ID, "lock": LOCK}
    started = api.start(closed_address(), manifest={"lock": content(answer)["lock"]}, options={"exact": True})
    asked = content(api.get(f"/tasks/{started}"))["request"]
    assert (asked["manifest"], asked["options"]["exact"]) == ({"lock": LOCK}, True)


def test_the_same_for_comfyui_manager(api: Api) -> None:
    """A file that it restores, and that is taken back as a manifest, by then a lock."""
    snapshot = content(api.get(f"/tasks/{TASK_ID}/lock?format=manager-snapshot"))
    assert snapshot["git_custom_nodes"] == {"https://github.com/owner/One": {"hash": HASH, "disabled": False}}
    assert snapshot["pips"] == {"numpy==2.1.0": "", f"clip @ {ADDRESS}": "", "mine==0.1": ""}
    for form, commits in ((snapshot, [HASH]), (json.dumps(SNAPSHOT), [HASH, HASH, None])):
        started = api.start(closed_address(), manifest={"manager_snapshot": form})
        kept = content(api.get(f"/tasks/{started}"))["request"]["manifest"]
        assert [pack.get("commit") for pack in kept["lock"]["node_packs"]] == commits


def test_a_task_without_a_lock_says_so(api: Api) -> None:
    started = api.start(closed_address(), options={"wait_seconds": 0})
    answer = api.get(f"/tasks/{started}/lock")
    assert (answer.status_code, content(answer)["error"]) == (404, "not_found")
    assert api.get(f"/tasks/{uuid.uuid4()}/lock").status_code == 404
    assert api.get(f"/tasks/{TASK_ID}/lock?format=xml").status_code == 400


def test_exact_is_for_locks(api: Api) -> None:
    body = {"ssh_connection": "root@host", "manifest": {"urls": ["https://github.com/o/p"]}, "options": {"exact": True}}
    answer = api.post("/ssh/install-custom-nodes", body)
    assert (answer.status_code, content(answer)["field"]) == (400, "options.exact")


def test_the_documented_lock_is_one(api: Api) -> None:
    """The example of docs/api.md can be sent back."""
    section = API.split("\n### GET /tasks/<task_id>/lock\n")[1].split("\n### ")[0]
    example = json.loads(re.findall(r"^```json\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[0])
    assert api.start(closed_address(), manifest={"lock": example["lock"]})
