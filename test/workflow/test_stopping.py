"""A stop is heeded wherever a workflow is: while it connects, while it asks, and by the next service too."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from app.domain.workflow import Question, Step, StepName, StepState, Workflow, WorkflowState
from app.storage.workflow_store import WorkflowStore
from app.sync.workflows.moves import blocked, step_ended, to_stop
from app.sync.workflows.steps import Done
from test.support.service import ServiceProcess
from test.support.waiting import wait_until
from test.workflow.conftest import Workflows

ASKED = Question("host_key_changed", "Another key.", answers={"accept": "Trust it"})
RUNNING = Workflow("w", 0.0, {}, (Step(StepName.TEST_SSH, StepState.RUNNING), Step(StepName.INSTALL)))
STOPPING = replace(RUNNING, state=WorkflowState.STOPPING)


def test_a_question_that_comes_after_the_stop_is_not_asked() -> None:
    """Else a workflow that was told to stop would wait for an answer for ever."""
    assert blocked(STOPPING, RUNNING.steps[0], ASKED) == STOPPING
    assert blocked(RUNNING, RUNNING.steps[0], ASKED).state is WorkflowState.BLOCKED


def test_a_stop_ends_what_asks_at_once_and_leaves_the_rest_to_its_thread() -> None:
    """What works has something on the instance that has to be stopped first."""
    asking = blocked(RUNNING, RUNNING.steps[0], ASKED)
    stopped = to_stop(asking, 7.0)
    assert (stopped.state, stopped.question, stopped.finished_at) == (WorkflowState.STOPPED, None, 7.0)
    assert to_stop(RUNNING, 7.0).state is WorkflowState.STOPPING
    assert to_stop(stopped, 8.0) == stopped


def test_a_step_that_ends_while_it_is_stopped_tells_its_own_end() -> None:
    """It was done; what comes after is not begun."""
    ended = step_ended(STOPPING, STOPPING.steps[0], Done(StepState.SUCCESS), 7.0)
    assert (ended.state, ended.steps[0].state) == (WorkflowState.STOPPING, StepState.SUCCESS)


@pytest.mark.slow
@pytest.mark.quiet
def test_a_stop_does_not_wait_for_a_connection_attempt(workflows: Workflows, service: ServiceProcess) -> None:
    """The listener takes the connection and never says a word; the connect timeout is 30 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = {"ssh_connection": f"root@127.0.0.1 -p {silent.getsockname()[1]}", "steps": ["test_ssh"]}
        workflow_id = service.post("/workflow/start", asked).json()["workflow_id"]
        greeted, _ = silent.accept()
        with greeted:
            began = time.monotonic()
            assert service.post("/workflow/stop", {"workflow_id": workflow_id}).status_code == 202
            shown = workflows.until(workflow_id, "stopped", "failed", timeout=60.0)
            assert shown["state"] == "stopped"
            assert time.monotonic() - began < 5.0


@pytest.mark.slow
def test_the_next_service_stops_the_install_of_a_workflow_that_was_being_stopped(
    workflows: Workflows, service: ServiceProcess
) -> None:
    """The service dies between noting the stop and carrying it out: the install must not go on by itself."""
    asked = {"ssh_connection": "root@127.0.0.1 -p 1", "steps": ["install_custom_nodes"]}
    workflow_id = service.post("/workflow/start", asked | {"options": {"wait_seconds": 3600}}).json()["workflow_id"]
    wait_until(lambda: workflows.state(workflow_id)["steps"][0]["task_id"] is not None, 20, "the install is started")
    task_id = workflows.state(workflow_id)["steps"][0]["task_id"]
    service.kill()
    _note_stop(service, workflow_id)
    service.start()
    assert workflows.ended(workflow_id)["state"] == "stopped"
    assert service.ended(task_id, 30.0)["state"] == "cancelled"


def _note_stop(service: ServiceProcess, workflow_id: str) -> None:
    """What the killed service had kept last."""
    from app.settings import Settings
    from app.storage.database import open_database

    engine = open_database(Settings(data_dir=service.data_dir).resolved_database_url)
    store = WorkflowStore(engine)
    kept = store.get(workflow_id)
    assert kept is not None
    store.replace(replace(kept, state=WorkflowState.STOPPING, revision=kept.revision + 1))
    engine.dispose()
