"""The progress JSON: what users poll."""

from __future__ import annotations

import pytest

from app.protocol.events import Connecting, GivenUp, NodeProgress, Source, WaitingForInstance
from app.protocol.progress_json import initial, progress
from app.protocol.reasons import for_people
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from test.protocol.events_for_tests import TASK_ID, Writer, fold, whole_run


def test_the_first_poll_already_has_a_phase_and_the_task_list() -> None:
    """Before anything has happened there is something true to show."""
    shown = progress(initial(TASK_ID, 1000.0, auto_installer=True), 1001.5)
    assert shown["phase"] == "connect"
    assert shown["state"] == "queued"
    assert shown["in_progress"] is True
    assert shown["elapsed_seconds"] == 1.5
    names = [step["name"] for step in shown["steps"]]
    assert names == ["Connect", "Clone Auto-installer", "Configure venv path", "Custom nodes", "Verify Dependencies"]


def test_a_running_clone_shows_its_figures() -> None:
    """The original's fields about the current pack come from the pack with the newest event."""
    events = whole_run().told
    at = next(number for number, event in enumerate(events) if isinstance(event.body, NodeProgress))
    shown = progress(fold(events[: at + 1]), 1020.0, heard_at=1019.8)
    assert shown["current_node"] == "good"
    assert (shown["clone_progress"], shown["data_received"], shown["download_rate"]) == (45, "2.5 MiB", "1.2 MiB/s")
    assert shown["last_event_seconds_ago"] == 0.2
    assert shown["phase"] == "clone"
    assert shown["message"] == "Downloading node packs: 0 of 3 done"
    assert "outcome" not in shown


@pytest.mark.parametrize(("require", "success"), [("any", True), ("all", False)])
def test_a_partial_run_is_a_success_only_where_that_is_enough(require: str, success: bool) -> None:
    """`success` of a finished run is what the user asked for; `outcome` tells how it was."""
    shown = progress(fold(whole_run().told), 2000.0, require=require)
    assert shown["success"] is success
    assert shown["outcome"] == "partial"
    assert shown["return_code"] == 3
    assert (shown["successful_clones"], shown["failed_clones"]) == (2, 1)
    assert (shown["successful_requirements"], shown["failed_requirements"]) == (0, 1)
    assert shown["finished_at"].endswith("Z")


def test_counts_and_rows_agree() -> None:
    """Every count can be found again in the rows."""
    shown = progress(fold(whole_run().told), 2000.0)
    states = [row["state"] for row in shown["nodes"]]
    assert shown["failed"] == states.count("failed") == 2
    assert shown["successful"] == states.count("installed") == 1
    assert shown["processed"] == shown["total_nodes"] == 3


def test_a_run_that_could_not_finish_says_where_it_ended() -> None:
    """The phase of a failed run is the one that failed; its error is the run's."""
    service = Writer(Source.SERVICE)
    error = Problem("connect_failed", "Nobody answers.", "Is it up?")
    service.emit(Connecting(attempt=1))
    service.emit(GivenUp(state=TaskState.FAILED, error=error))
    shown = progress(fold(service.told), 1100.0)
    assert shown["phase"] == "connect"
    assert shown["error"] == for_people(error.to_json())
    assert shown["success"] is False
    assert shown["steps"][0]["status"] == "failed"
    assert shown["message"] == "Nobody answers."


def test_waiting_is_said() -> None:
    """A task that waits for its instance says so, with what went wrong last."""
    service = Writer(Source.SERVICE)
    service.emit(Connecting(attempt=1))
    service.emit(WaitingForInstance(error=Problem("connect_failed", "Refused.")))
    shown = progress(fold(service.told), 1100.0)
    assert shown["message_code"] == "waiting_for_instance"
    assert shown["message"] == "Refused."
