"""A run that was asked to stop says that it works on its end; the follower takes the cancel."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol import progress_json
from app.runner.daemon import ending
from app.runner.daemon.ending import Ending
from app.runner.daemon.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    first = progress_json.initial("t", 0.0, auto_installer=False)
    opened = Journal(tmp_path / "journal", first, tmp_path / "progress", lambda _exc: None)
    yield opened
    opened.close()


def _codes(journal: Journal, tmp_path: Path) -> list[str]:
    journal.close()
    return [json.loads(line)["code"] for line in (tmp_path / "journal").read_text().splitlines()]


def _reported(journal: Journal, work: threading.Event, reports: threading.Event) -> None:
    """An ending whose thread works until `work` is set, or stands still until `reports` is."""
    watched = Ending(journal, threading.Event())
    reporting = threading.Thread(target=watched.report)
    reporting.start()
    while not work.is_set() and not reports.is_set():
        sum(range(1000))
    reports.wait(0.5)
    watched.stop()
    reporting.join(5)


def test_work_is_reported(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds, as long as the run's own thread uses processor time."""
    monkeypatch.setattr(ending, "REPORT_SECONDS", 0.05)
    enough = threading.Event()
    timer = threading.Timer(0.5, enough.set)
    timer.start()
    _reported(journal, enough, threading.Event())
    assert _codes(journal, tmp_path)[:2] == ["ending", "ending"]


def test_standing_still_is_not_reported(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that hangs is not waited for."""
    monkeypatch.setattr(ending, "REPORT_SECONDS", 0.1)
    done = threading.Event()
    done.set()
    _reported(journal, done, threading.Event())
    assert len(_codes(journal, tmp_path)) <= 1
