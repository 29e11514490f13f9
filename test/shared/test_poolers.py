"""A pooler between the processes and their PostgreSQL: what it breaks elsewhere, and that all goes on here."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.standin.postgresql import PostgreSQL
from app.storage import InstallStore, open_database
from test.shared.cluster import WebProcess, WorkerProcess
from test.storage.records import new_record
from test.support.ports import closed_port
from test.support.real_pooler import pooler
from test.support.waiting import wait_until

pytestmark = [pytest.mark.postgresql, pytest.mark.alone]

THREADS, ROUNDS = 8, 12
"""More than psycopg's five uses, from which on it prepares a statement, on more connections than the pooler has."""


@pytest.fixture(params=["session", "transaction"])
def pooled_url(request: pytest.FixtureRequest, postgresql: PostgreSQL) -> Iterator[str]:
    name, port = f"pooled_{uuid.uuid4().hex}", closed_port()
    url = postgresql.create(name)
    with pooler(postgresql, port, request.param):
        yield url.replace(f":{postgresql.port}/", f":{port}/")
    postgresql.drop(name)


def test_records_are_added_read_and_changed_by_many_at_once(pooled_url: str) -> None:
    engine = open_database(pooled_url)
    store = InstallStore(engine)

    def work(_: int) -> None:
        for revision in range(1, ROUNDS):
            record = new_record()
            store.add(record)
            store.update(record.task_id, revision=revision)
            assert store.get(record.task_id) is not None
            assert store.list(limit=3)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    engine.dispose()


def test_a_worker_and_a_web_process_do_their_work(pooled_url: str, tmp_path: Path) -> None:
    """Twenty installs on a port where nobody listens come to their end, and the web process shows each."""
    port = closed_port()
    with WebProcess(tmp_path / "web", pooled_url) as web, WorkerProcess(tmp_path / "works", pooled_url) as works:
        bodies = [
            {"ssh_connection": f"ssh -p {port} root@127.0.0.{number}", "options": {"wait_seconds": 0}}
            for number in range(1, 21)
        ]
        answers = [web.post("/ssh/install-custom-nodes", body) for body in bodies]
        assert [answer.status_code for answer in answers] == [202] * len(bodies)
        tasks = [answer.json()["task_id"] for answer in answers]
        wait_until(lambda: all(web.progress(task)["state"] == "failed" for task in tasks), 60, "all have ended")
        for log in (web.log, works.log):
            assert "prepared statement" not in log
            assert "level=ERROR" not in log
