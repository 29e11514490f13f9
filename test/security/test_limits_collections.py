"""What the service keeps for its users: each collection has a limit, over which a request is refused in words, or over
which what is oldest and has ended goes. What has not ended never goes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.address import parse_address
from app.domain.errors import TooManyHostKeys
from app.domain.hostkeys import HostKey
from app.domain.limits import MAX_FLEETS, MAX_HOST_KEYS, MAX_KEYS, MAX_SSH_KEYS, MAX_TUNNELS
from app.domain.record import InstallRecord
from app.domain.request import InstallRequest
from app.domain.stored_request import store_request
from app.factory import Service, build_service
from app.protocol import progress_json
from app.protocol.snapshot import to_stored
from app.protocol.states import TaskState
from app.settings import Settings
from app.storage import InstallStore, ProgressFiles
from app.storage.history import History
from app.storage.log_files import LogFiles
from app.storage.pins import DatabasePins
from app.sync import background_tasks
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.http.errors import status_of
from app.sync.installs.progress_cache import InstallStatus, ProgressCache
from app.sync.installs.retention import Retention
from test.api.client import START, Api, closed_address, content, silent_address
from test.support.database import put_database
from test.support.waiting import wait_until

DAY = 86_400.0
FLEET = "/fleet/install-custom-nodes"
WORKFLOW = "/workflow/start"
_INSTALLS = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
INSERT INTO installs (task_id, created_at, request, instance, idempotency_key, state, total, successful, failed,
                      skipped, revision, journal_offset, journal_seq, number, finished_at)
SELECT printf('00000000-0000-4000-8000-%012d', i), :now, '{}', 'root@h:22', printf('key %d', i), 'completed', 0, 0, 0,
       0, 0, 0, 0, i, :now FROM numbers
"""
_FLEETS = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
INSERT INTO fleets (fleet_id, created_at, instances) SELECT printf('%d', i), :now, '[]' FROM numbers
"""
_WORKFLOWS = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
INSERT INTO workflows (workflow_id, created_at, state, revision, document)
SELECT printf('%d', i), :now, :state, 1, '{}' FROM numbers
"""
_HOST_KEYS = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
INSERT INTO host_keys (host, port, key_type, key_base64, sha256, added_at, source)
SELECT printf('h%d', i), 22, 'ssh-ed25519', 'AAAA', 'SHA256:x', :now, 'accept-new' FROM numbers
"""


@dataclass
class Running:
    """A service, and a client of it."""

    service: Service
    api: Api
    opened: ExitStack

    def seed(self, statement: str, count: int, **values: Any) -> None:
        """Rows as many requests would have left them."""
        with self.service.engine.begin() as connection:
            connection.execute(text(statement), {"count": count, "now": time.time(), **values})


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Starts services, for a user without SSH files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with ExitStack() as opened:

        def start(**settings: Any) -> Running:
            put_database(tmp_path / "data")
            service = build_service(
                Settings(data_dir=tmp_path / "data", connect_timeout_seconds=5.0, **settings),
                background=BackgroundTaskManager(),
            )
            opened.callback(service.close)
            return Running(service, Api(service.app), opened)

        yield start


def _body(**fields: Any) -> dict[str, Any]:
    return {"ssh_connection": closed_address(), **fields}


def _full_queue(running: Running) -> tuple[str, dict[str, Any]]:
    address = running.opened.enter_context(silent_address())
    for _ in range(2):
        assert running.api.post(START, {"ssh_connection": address}).status_code == 202
    return START, {"ssh_connection": address}


def _full_keys(running: Running) -> tuple[str, dict[str, Any]]:
    running.seed(_INSTALLS, MAX_KEYS)
    assert running.api.post(START, _body()).status_code == 202, "without a key it goes on"
    known = content(running.api.post(START, _body(idempotency_key="key 7")))
    assert known["error"] == "idempotency_conflict", "a known key takes no more room"
    return START, _body(idempotency_key="another")


def _full_fleets(running: Running) -> tuple[str, dict[str, Any]]:
    running.seed(_FLEETS, MAX_FLEETS)
    running.seed("UPDATE installs SET fleet_id = '1'", 0)
    return FLEET, {"ssh_connections": [closed_address()]}


def _unfinished_workflows(running: Running) -> tuple[str, dict[str, Any]]:
    running.seed(_WORKFLOWS, 2, state="blocked")
    return WORKFLOW, _body()


def _workflows_of_a_day(running: Running) -> tuple[str, dict[str, Any]]:
    running.seed(_WORKFLOWS, MAX_FLEETS, state="completed")
    return WORKFLOW, _body()


def _many_ssh_keys(running: Running) -> tuple[str, dict[str, Any]]:
    folder = Path.home() / ".ssh"
    folder.mkdir()
    for number in range(MAX_SSH_KEYS):
        (folder / f"id_{number}.pub").touch()
    return "/ssh-keys", {"name": "id_mine"}


def _open_tunnels(running: Running) -> tuple[str, dict[str, Any]]:
    address = running.opened.enter_context(silent_address())
    paths = [f"/tasks/{_ended(running, address)}/open" for _ in range(MAX_TUNNELS + 1)]
    for path in paths[:-1]:
        assert running.api.post(path).status_code == 202
    return paths[-1], {}


def _ended(running: Running, address: str, ended_days_ago: float = 0.0, **fields: Any) -> str:
    """An install that has ended so long ago; its task_id."""
    record = _record(address, ended_days_ago, **fields)
    InstallStore(running.service.engine).add(record)
    return record.task_id


def _record(address: str, ended_days_ago: float | None, **fields: Any) -> InstallRecord:
    task_id = str(uuid.uuid4())
    at = None if ended_days_ago is None else time.time() - ended_days_ago * DAY
    state = TaskState.RUNNING if at is None else TaskState.COMPLETED
    snapshot = to_stored(progress_json.initial(task_id, 1.0, auto_installer=False))
    stored = store_request(InstallRequest(ssh_connection=address, address=parse_address(address)))
    return replace(
        InstallRecord(task_id, 1.0, stored, "root@h:22", state=state, finished_at=at),
        snapshot=snapshot | {"state": state.value, "finished_at": at},
        **fields,
    )


@pytest.mark.parametrize(
    ("fill", "status", "code"),
    [
        (_full_queue, 429, "too_many_tasks"),
        (_full_keys, 429, "too_many_keys"),
        (_full_fleets, 429, "too_many_fleets"),
        (_unfinished_workflows, 429, "too_many_workflows"),
        (_workflows_of_a_day, 429, "too_many_workflows"),
        (_open_tunnels, 429, "too_many_tunnels"),
        (_many_ssh_keys, 409, "too_many_ssh_keys"),
    ],
)
def test_what_is_full_refuses_more_and_says_what_to_do(
    fill: Callable[[Running], tuple[str, dict[str, Any]]],
    status: int,
    code: str,
    running: Callable[..., Running],
) -> None:
    found = running(max_running=1, max_waiting=1, max_workflows=2)
    path, body = fill(found)
    answer = found.api.post(path, body)
    assert (answer.status_code, content(answer)["error"]) == (status, code), answer.text
    assert content(answer)["hint"]
    assert status != 429 or int(answer.headers["Retry-After"]) > 0


def test_no_more_host_keys_are_trusted_than_can_be_kept(running: Callable[..., Running]) -> None:
    """A known one is still known; a new one is refused, and nothing is forgotten for it."""
    found = running()
    found.seed(_HOST_KEYS, MAX_HOST_KEYS)
    pins = DatabasePins(found.service.engine)
    key = HostKey("h1", 22, "ssh-ed25519", "AAAA", "SHA256:x", 1.0, "accept-new")
    known = pins.all()[0]
    assert pins.add_first(key) == pins.find("h1", 22)
    for pin in (pins.add_first, pins.replace):
        with pytest.raises(TooManyHostKeys) as refused:
            pin(replace(key, host="new"))
        assert status_of(refused.value) == 409
        assert refused.value.hint
    pins.replace(replace(key, host=known.host, key_base64="BBBB"))  # in place of one that is known there is room
    assert len(pins.all()) == MAX_HOST_KEYS


def _retention(found: Running, folder: Path, **settings: Any) -> tuple[Retention, LogFiles, ProgressFiles]:
    files, logs = ProgressFiles(folder / "files"), LogFiles(folder / "own-logs")
    history = History(found.service.engine)
    return Retention(history, files, ProgressCache(), Settings(**settings), logs=logs), logs, files


def test_of_too_many_records_those_that_ended_first_go(running: Callable[..., Running], tmp_path: Path) -> None:
    """Not what has not ended, what one that stays repeats, or what an idempotency key still names."""
    found = running()
    store = InstallStore(found.service.engine)
    old, repeated, second, young = (_ended(found, "root@h", days) for days in (9, 8, 7, 1))
    keyed = _ended(found, "root@h", 6, idempotency_key="key", created_at=time.time())
    retry = _record("root@h", None)
    store.add(replace(retry, request={**retry.request, "retry_of": repeated}))
    retention, _, files = _retention(found, tmp_path, max_records=4)
    for task_id in (old, young):
        files.write(task_id, {})
    retention.limit()
    left = {each.task_id for each in History(found.service.engine).all()}
    assert left == {repeated, young, keyed, retry.task_id}
    assert second not in left
    assert [path.stem for path in (tmp_path / "files").iterdir()] == [young]


def test_of_too_many_logs_those_of_what_ended_first_go(running: Callable[..., Running], tmp_path: Path) -> None:
    """And where those of running installs alone are too many, these are cut, and say so; the installs go on."""
    found = running()
    old, young = (_ended(found, "root@h", days) for days in (3, 2))
    going = _record("root@h", None)
    InstallStore(found.service.engine).add(going)
    retention, logs, _ = _retention(found, tmp_path, max_log_bytes=250)
    for task_id in (young, old):
        with logs.writing(task_id) as writer:
            writer.append("run.log", 0, b"x" * 100)
    with logs.writing(going.task_id) as writer:
        writer.append("run.log", 0, b"x" * 100)
        retention.limit()
        assert set(logs.tasks()) == {young, going.task_id}
        writer.append("run.log", 100, b"y" * 200)
        retention.limit()
        assert logs.tasks() == [going.task_id]
        writer.append("run.log", 300, b"z" * 200)
        assert b"cut off here" in logs.read(going.task_id, "run.log", 0, 1000)[0]
    assert b"z" not in logs.read(going.task_id, "run.log", 0, 1000)[0]


def test_the_service_keeps_its_limits_by_itself(running: Callable[..., Running]) -> None:
    found = running(max_records=3)
    for days in range(9):
        _ended(found, "root@h", float(days))
    found.service.retention.prune_if_due()
    assert History(found.service.engine).count() == 3


def test_no_more_ended_installs_are_in_memory_than_may_be() -> None:
    """Each poll of an old task would keep its snapshot for two hours."""
    cache = ProgressCache(most_ended=3)
    ids = [str(uuid.uuid4()) for _ in range(9)]
    for task_id in ids:
        snapshot = progress_json.initial(task_id, 1.0, auto_installer=False)
        cache.put(InstallStatus(replace(snapshot, state=TaskState.COMPLETED)))
    running = progress_json.initial("running", 1.0, auto_installer=False)
    cache.put(InstallStatus(running))
    assert [cache.get(task_id) is not None for task_id in ids] == [False] * 6 + [True] * 3
    assert cache.get("running") is not None


def test_no_more_ended_threads_are_remembered_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_tasks, "MAX_ENDED", 5)
    keeper = BackgroundTaskManager()
    for number in range(20):
        keeper.start_task(str(number), int)
        wait_until(lambda: not keeper.is_task_running(str(number)), 10, "it has ended")  # noqa: B023
    assert len(keeper.get_all_tasks()) <= 6
    assert keeper.get_status("19") is not None
