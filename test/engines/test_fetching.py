"""How a worker takes what waits in the queue: much of it with one question, and no more than it has room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from procrastinate import PsycopgConnector
from sqlalchemy import text

from app.storage.transactions import reading
from app.sync.shared.patient_jobs import AT_A_TIME
from test.engines.conftest import Played, install
from test.engines.process import Process
from test.support.waiting import wait_until

ProcessOf = Callable[..., Process]


@pytest.fixture
def database(postgresql_url: str) -> str:
    """Only there is a queue that processes share."""
    return postgresql_url


def jobs(process: Process) -> dict[str, int]:
    """How many jobs are in which state."""
    with reading(process.database) as connection:
        found = connection.execute(text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status"))
        return {str(row[0]): int(row[1]) for row in found}


def test_many_installs_are_begun_with_few_questions(
    played: Played, process_of: ProcessOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in its turn, the oldest first."""
    given: list[int] = []
    real = PsycopgConnector.execute_query_all_async

    async def asked(self: PsycopgConnector, query: str, **arguments: Any) -> Any:
        rows = await real(self, query, **arguments)
        given.extend([len(rows)] if "fetch_job" in query and rows else [])
        return rows

    web = process_of(works=False)
    tasks = [web.start(install(f"root@127.0.0.1:{port}")) for port in range(1, 2 * AT_A_TIME + 1)]
    monkeypatch.setattr(PsycopgConnector, "execute_query_all_async", asked)
    process_of(max_running=len(tasks))
    played.has("began", *tasks)
    assert (sum(given), len(given)) == (len(tasks), 2)
    played.end(*tasks)
    for task_id in tasks:
        played.ended(web, task_id)


def test_a_worker_takes_no_more_than_it_has_room_for(played: Played, process_of: ProcessOf) -> None:
    """What it could not begin yet is another worker's to begin."""
    web = process_of(works=False)
    tasks = [web.start(install(f"root@127.0.0.1:{port}")) for port in range(1, 8)]
    process_of(max_running=3)
    played.has("began", *tasks[:3])
    assert jobs(web) == {"doing": 3, "todo": 4}
    process_of(max_running=8)
    played.has("began", *tasks)
    played.end(*tasks)
    for task_id in tasks:
        played.ended(web, task_id)
    wait_until(lambda: not jobs(web), 10)
