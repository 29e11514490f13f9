"""A release's history, moved to a PostgreSQL, is answered there as the release answered it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app.cli.entry import cli
from app.domain.access import Scope
from app.standin.postgresql import PostgreSQL
from app.storage.data_folder import opened_tokens
from app.storage.shared_queue import SharedQueueStore
from app.storage.token_file import TokenFile
from test.api.client import content
from test.support.service import essence
from test.upgrade.conftest import Restore, _restoring
from test.upgrade.recorded import TASKS, Json, Restored, differences, names
from test.upgrade.test_runs_taken_up import GOING_ON

CHANGING = {"retry", "next_attempt_at", "finished_at", "elapsed_seconds", "elapsed_time"}


@pytest.fixture(scope="module")
def moved(left_behind: Path, tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL) -> Iterator[Restored]:
    """The data folder of a release, with a token that was made there, moved by the command; a web process of today
    answers from PostgreSQL alone."""
    with _restoring(left_behind, tmp_path_factory.mktemp("moved")) as restoring:
        restored, url = restoring(), postgresql.create("moved")
        before = restored.sql("select version_num from alembic_version")
        TokenFile(restored.data_dir).new("mine", Scope.ALL)
        done = CliRunner().invoke(cli, ["database", "move", "--data-dir", str(restored.data_dir), "--to", url])
        assert done.exit_code == 0, done.output
        assert restored.sql("select version_num from alembic_version") == before, "the release can still use its own"
        for folder in ("logs", "progress"):
            shutil.rmtree(restored.data_dir / folder)
        with opened_tokens(restored.data_dir, url) as tokens:
            assert [token.name for token in tokens.all()] == ["mine"]
        restored.serve(database_url=url, role="web")
        yield restored
        restored.close()
        postgresql.drop("moved")


def _get(restored: Restored, path: str) -> Json:
    answer = restored.api.get(path)
    assert answer.status_code == 200, answer.text
    return content(answer)


def _lost(was: object, now: object) -> list[str]:
    return [each for each in differences(was, now) if each.partition(":")[0].rpartition(".")[2] not in CHANGING]


@pytest.mark.parametrize("name", names("expected/tasks"))
def test_an_ended_task_is_answered_as_it_was(moved: Restored, name: str) -> None:
    assert _lost(moved.expected(f"tasks/{name}"), moved.task(name)) == []


def test_lists_fleets_workflows_and_keys_are_as_they_were(moved: Restored) -> None:
    was, now = moved.expected("tasks")["tasks"], _get(moved, "/tasks?limit=200")["tasks"]
    assert [row["task_id"] for row in now] == [row["task_id"] for row in was]
    for path, of in (("workflows", "/workflows"), ("fleets", "/fleet"), ("host-keys", "/host-keys")):
        assert _lost(moved.expected(path), _get(moved, of)) == []
    for name in names("expected/workflows"):
        was, now = moved.expected(f"workflows/{name}"), moved.workflow(name)
        assert [step["status"] for step in was["steps"]] == [step["status"] for step in now["steps"]]


def test_logs_and_locks_are_read_from_there(moved: Restored) -> None:
    log = f"/tasks/{TASKS['partial']}/log"
    assert _lost(moved.expected("logs/run"), _get(moved, log)) == []
    assert _lost(moved.expected("logs/node-failing"), _get(moved, f"{log}?node=failing")) == []
    now = _get(moved, f"/tasks/{TASKS['packages']}/lock?format=lock")
    assert _lost(moved.expected("locks/packages/lock"), now) == []


def test_what_has_not_ended_waits_for_a_worker_in_its_order(moved: Restored) -> None:
    store = SharedQueueStore(moved.engine)
    going_on = [row for row in moved.expected("tasks")["tasks"] if row["in_progress"]]
    assert store.numbers() == (0, len(going_on)) == (0, 8)
    ordered = text("SELECT queueing_lock FROM procrastinate_jobs WHERE queue_name = 'installs' ORDER BY id")
    with moved.engine.connect() as connection:
        waiting = list(connection.execute(ordered).scalars())
    assert waiting == [row["task_id"] for row in reversed(going_on)], "the list has the newest first"


def test_the_old_service_does_not_start_any_more(moved: Restored) -> None:
    """It would follow the same installs."""
    done = CliRunner().invoke(cli, ["tasks", "list", "--data-dir", str(moved.data_dir)])
    assert done.exit_code == 1 and "was moved to postgresql" in done.output


@pytest.mark.sshd
@pytest.mark.slow
@pytest.mark.usefixtures("one_at_a_time")
def test_a_worker_there_follows_what_had_not_ended_to_its_end(restore: Restore, empty_postgresql_url: str) -> None:
    """From the byte to which the release had read the journals; then what had waited behind starts. Their logs come."""
    restored = restore(*GOING_ON.values())
    for task, instance in GOING_ON.items():
        restored.run_folder(instance, task, "journal-ended.ndjson")
    done = CliRunner().invoke(
        cli, ["database", "move", "--data-dir", str(restored.data_dir), "--to", empty_postgresql_url]
    )
    assert done.exit_code == 0, done.output
    shutil.rmtree(restored.data_dir / "logs")
    restored.serve(database_url=empty_postgresql_url)
    ends = restored.expected("ended/essences")
    for task in ("running", "interrupted", "started", "workflow-running"):
        assert essence(restored.ended(task)) == ends[task], task
    for task in ("queued", "fleet-waiting-main", "fleet-waiting-second"):
        end = restored.ended(task)
        assert (end["state"], end["outcome"]) == (ends[task]["state"], ends[task]["outcome"])
    log = _get(restored, f"/tasks/{TASKS['queued']}/log")
    assert log["size"] > 0 and not (restored.data_dir / "logs").exists()
    audit = _get(restored, f"/tasks/{TASKS['queued']}/audit")
    assert {command["by"] for command in audit["commands"]} == {"service", "runner"}
    restored.close()
