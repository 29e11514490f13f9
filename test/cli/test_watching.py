"""Watching outlives a service that is away for a moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from app.cli.api.client import Api
from app.cli.api.watching import LineDisplay, watch
from app.cli.errors import ServiceUnreachable
from test.cli.scripted_service import Script, serving
from test.cli.stories import TASK_ID, ended


class _Display:
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.notices: list[str] = []
        self.noticed = threading.Event()

    def show(self, progress: Any, ahead: float) -> None:
        assert ahead >= 0
        self.revisions.append(progress["revision"])

    def notice(self, text: str) -> None:
        if text:
            self.notices.append(text)
            self.noticed.set()


def test_every_answer_is_shown_and_the_last_one_returned() -> None:
    """`since` saves answers, not changes."""
    shown = ended("all").shown[-5:]
    display = _Display()
    with serving(Script(list(shown))) as url, Api(url) as api:
        last = watch(api, TASK_ID, display, interval=0.01)
    assert last == shown[-1]
    assert sorted(set(display.revisions)) == [progress["revision"] for progress in shown]


def test_an_outage_is_told_and_outlived() -> None:
    """A service that is restarted on the same address goes on being watched."""
    shown = ended("all").shown[-2:]
    display = _Display()
    results: list[Any] = []
    with serving(Script(shown[:1])) as url:
        port = int(url.rsplit(":", 1)[1])
        api = Api(url, timeout=1.0)
        thread = threading.Thread(target=lambda: results.append(watch(api, TASK_ID, display, interval=0.01)))
        thread.start()
    assert display.noticed.wait(30)
    with serving(Script(shown[1:]), port=port):
        thread.join(30)
    api.close()
    assert results == [shown[-1]]
    assert display.notices[0] == f"The service at {url} does not answer. Trying again."


def test_a_service_that_stays_away_ends_the_watching() -> None:
    """Every wait has a deadline."""
    with Api("http://127.0.0.1:9") as api, pytest.raises(ServiceUnreachable):
        watch(api, TASK_ID, LineDisplay(print), interval=0.01, outage=0.05)
