"""What follows an end, and what goes on by itself: retries, notifications and workflows of several processes."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.address import parse_address
from app.domain.request import InstallRequest
from app.domain.stored_request import store_request
from app.domain.workflow import Step, StepName, StepState, Workflow, WorkflowState
from app.factory import Service, build_service
from app.protocol.options import Options
from app.settings import Settings
from app.storage import InstallStore
from app.storage.workflow_store import WorkflowStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.shared import follow_ups
from app.sync.shared.queue_worker import Pace
from test.api.client import closed_address
from test.shared.conftest import has_threads
from test.support.receiver import Receiver
from test.support.waiting import wait_until

pytestmark = pytest.mark.quiet

Services = Callable[..., Service]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is looked after all the time."""
    pace = Pace(heartbeat=0.2, stalled=1.5, fetch=0.2, upkeep=0.2)
    monkeypatch.setattr("app.sync.shared.queue_worker.Pace", lambda: pace)


@pytest.fixture
def services(postgresql_url: str, tmp_path: Path) -> Iterator[Services]:
    """Makes processes of one service, in this one."""
    backgrounds: list[BackgroundTaskManager] = []
    with ExitStack() as opened:

        def build(role: str, **settings: Any) -> Service:
            folder = tmp_path / uuid.uuid4().hex
            backgrounds.append(BackgroundTaskManager())
            service = build_service(
                Settings(data_dir=folder, database_url=postgresql_url, role=role, **settings),  # type: ignore[arg-type]
                background=backgrounds[-1],
            )
            opened.callback(service.close)
            wait_until(lambda: service.installs.takes_over, 20, f"a {role} is ready")
            return service

        yield build
    wait_until(lambda: not any(map(has_threads, backgrounds)), 30, "threads are gone")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    pytest.importorskip("apprise")
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a listener that accepts connections and never speaks."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield f"root@127.0.0.1 -p {listener.getsockname()[1]}"


def _request(address: str, **options: Any) -> InstallRequest:
    made = Options(**{"wait_seconds": 0, **options})
    return InstallRequest(address, parse_address(address), manifest={"urls": ["https://x.example/o/p"]}, options=made)


def _workflow(address: str) -> Workflow:
    request = store_request(_request(address, wait_seconds=600))
    return Workflow(str(uuid.uuid4()), 0.0, request, (Step(StepName.TEST_SSH), Step(StepName.INSTALL)))


def _followed(service: Service) -> set[str]:
    with service.engine.connect() as connection:
        return set(connection.exec_driver_sql("SELECT key FROM followed_up").scalars())


def test_one_process_sends_the_news_of_an_end(services: Services, receiver: Receiver) -> None:
    """Whoever recorded it, of many that could."""
    web, *_ = (services(role, notify_urls=(receiver.url,)) for role in ("web", "worker", "worker"))
    ended = [web.installs.start(_request(closed_address())).task_id for _ in range(4)]
    for task_id in ended:
        assert web.installs.wait(task_id, 30)
    wait_until(lambda: _followed(web) == set(ended), 10, "each was followed up")
    wait_until(lambda: receiver.received, 10, "somebody is told")
    looked = time.monotonic() + 1.5
    wait_until(lambda: time.monotonic() > looked, 3)
    texts = " ".join(f"{each['title']} {each['message']}" for each in receiver.received)
    assert texts.count("127.0.0.1") == len(ended), receiver.received


def test_an_end_whose_process_died_before_anybody_was_told_is_followed_up_by_another(
    services: Services, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and only what is not long past."""
    monkeypatch.setattr(follow_ups, "AFTER_SECONDS", 0.5)
    web, dies = services("web"), services("worker")
    dies.installs._jobs.when_ended = lambda _task_id: None
    task_id, past = (web.installs.start(_request(closed_address())).task_id for _ in range(2))
    assert all(web.installs.wait(each, 20) for each in (task_id, past))
    dies.close()
    long_past = time.time() - 2 * follow_ups.WITHIN_SECONDS
    InstallStore(web.engine).update(past, finished_at=long_past)
    services("worker", notify_urls=(receiver.url,))
    services("worker", notify_urls=(receiver.url,))
    wait_until(lambda: receiver.received, 15, "somebody is told")
    looked = time.monotonic() + 1.5
    wait_until(lambda: time.monotonic() > looked, 3)
    assert len(receiver.received) == 1
    assert _followed(web) == {task_id}


def test_a_retry_is_started_once_by_whichever_process_is_there(services: Services) -> None:
    """The one that planned it has gone; several others find it."""
    web = services("web", retry_seconds=2.0)
    first = services("worker", retry_seconds=2.0)
    task_id = web.installs.start(_request(closed_address(), auto_retry=1)).task_id
    assert web.installs.wait(task_id, 20)
    wait_until(lambda: first.retries._due, 5, "it is planned")
    first.close()
    for _ in range(2):
        services("worker", retry_seconds=2.0)

    def retried_by() -> str | None:
        return web.installs.status(task_id).retry_links.retried_by

    wait_until(retried_by, 20, "it is retried")
    assert web.installs.wait(str(retried_by()), 20)
    with web.engine.connect() as connection:
        count = "SELECT count(*) FROM installs WHERE request ->> 'retry_of' = %(of)s"
        assert connection.exec_driver_sql(count, {"of": task_id}).scalar_one() == 1


def test_a_workflow_is_driven_by_a_worker_and_stopped_from_anywhere(services: Services, mute: str) -> None:
    """Within two seconds, though it hangs in a connect."""
    web, other = services("web"), services("web")
    services("worker")
    workflow_id = web.workflows.start(_workflow(mute)).workflow.workflow_id
    wait_until(lambda: _state(other, workflow_id) == ("running", "running"), 15, "a worker has it")
    began = time.monotonic()
    other.workflows.stop(workflow_id)
    wait_until(lambda: _state(web, workflow_id)[0] == "stopped", 5)
    assert time.monotonic() - began < 2.0


def test_a_wait_of_a_workflow_is_ended_from_another_process(services: Services) -> None:
    web = services("web")
    services("worker")
    workflow_id = web.workflows.start(_workflow(closed_address())).workflow.workflow_id
    step = WorkflowStore(web.engine)

    def tries() -> float | None:
        workflow = step.get(workflow_id)
        return workflow and workflow.steps[0].next_attempt_at  # type: ignore[return-value]

    wait_until(tries, 15, "it waits")
    for _ in range(3):
        before = tries()
        wait_until(tries, 5, "it waits again")
        web.workflows.try_now(workflow_id)
        wait_until(lambda of=before: tries() != of, 2, "it was tried again")  # type: ignore[misc]
    web.workflows.stop(workflow_id)
    wait_until(lambda: _state(web, workflow_id)[0] == "stopped", 5)


def test_a_workflow_whose_process_goes_is_driven_by_another(services: Services, mute: str) -> None:
    web = services("web")
    first = services("worker")
    workflow_id = web.workflows.start(_workflow(mute)).workflow.workflow_id
    wait_until(lambda: workflow_id in first.workflows._threads, 15, "a worker has it")
    second = services("worker")
    first.close()
    wait_until(lambda: workflow_id in second.workflows._threads, 15, "another has it")
    assert _state(web, workflow_id) == ("running", "running")
    web.workflows.stop(workflow_id)
    wait_until(lambda: _state(web, workflow_id)[0] == "stopped", 5)


def test_who_was_only_cut_off_changes_no_workflow(services: Services, mute: str) -> None:
    """It wakes when another drives: neither its stop nor the end of its step is kept."""
    old = services("web")
    workflow = _workflow(mute)
    old.workflows.start(workflow)
    with old.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM procrastinate_jobs")  # nobody else drives it
    store = WorkflowStore(old.engine)
    thread = threading.Thread(target=old.workflows.drive, args=[workflow.workflow_id])
    thread.start()
    wait_until(lambda: _state(old, workflow.workflow_id) == ("running", "running"), 10)
    now = store.get(workflow.workflow_id)
    assert now is not None
    store.replace(replace(now, driver=now.driver + 1, revision=now.revision + 1))  # another one has it
    old.workflows._threads[workflow.workflow_id].stop.set()
    thread.join(20)
    assert not thread.is_alive()
    after = store.get(workflow.workflow_id)
    assert after is not None
    assert (after.state, after.steps[0].state) == (WorkflowState.RUNNING, StepState.RUNNING)
    assert after.revision == now.revision + 1


def test_an_answer_that_is_given_anywhere_lets_a_workflow_go_on(services: Services, mute: str) -> None:
    """Also where whoever was asked dies before it has queued it."""
    web = services("web")
    workflow_id = web.workflows.start(_workflow(mute)).workflow.workflow_id
    with web.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM procrastinate_jobs")
    worker = services("worker")
    wait_until(lambda: workflow_id in worker.workflows._threads, 15, "it is found")
    web.workflows.stop(workflow_id)
    wait_until(lambda: _state(web, workflow_id)[0] == "stopped", 5)


def _state(service: Service, workflow_id: str) -> tuple[str, str]:
    """Of the workflow, and of its first step."""
    workflow = WorkflowStore(service.engine).get(workflow_id)
    assert workflow is not None
    return workflow.state.value, workflow.steps[0].state.value
