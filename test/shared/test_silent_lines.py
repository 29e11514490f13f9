"""A line that was cut without a word, or a pooler that carries no notification: both look like silence."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.protocol.events import Connecting
from app.standin.postgresql import PostgreSQL
from app.storage import open_database
from app.storage.listening import NAME
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.shared import listener
from app.sync.shared.hearing import Hearing
from test.shared.conftest import Parties, emit, new_install
from test.shared.swallowing_line import SwallowingLine
from test.support.waiting import wait_until

pytestmark = pytest.mark.quiet


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "PING_SECONDS", 0.5)
    monkeypatch.setattr(listener, "HEARD_SECONDS", 0.5)


def test_it_is_noticed_said_and_found_again(
    parties: Parties, postgresql: PostgreSQL, postgresql_url: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Until then and meanwhile, what is shown is true."""
    works = parties()
    recorder = works.runs(new_install(works.store))
    with SwallowingLine(postgresql.port, NAME.encode()) as line:
        engine = open_database(postgresql_url.replace(str(postgresql.port), str(line.port)))
        web = Hearing(engine, BackgroundTaskManager(), memory_seconds=3600.0)
        web.begin()
        try:
            wait_until(lambda: web.is_live, 10)
            line.swallow.set()
            wait_until(lambda: not web.is_live, 10, "it is noticed")
            for attempt in range(3):
                newest = emit(recorder, Connecting(attempt + 1))
                shown = web.progress.get(recorder.task_id)
                assert shown is not None
                assert shown.snapshot.revision == newest
            ended = threading.Timer(0.2, emit, [recorder, Connecting(9)])
            ended.start()
            assert web.progress.wait(recorder.task_id, lambda status: status.snapshot.revision > newest, 5)
            ended.join()
            wait_until(lambda: "notifications do not come through" in caplog.text, 10)
            line.swallow.clear()
            wait_until(lambda: web.is_live, 10, "it hears again")
            assert caplog.text.count("notifications do not come through") == 1
            assert "heard again" in caplog.text
        finally:
            web.close(5.0)
            engine.dispose()
