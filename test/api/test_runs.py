"""Runs in one list and one by one, the instances that are remembered, and where their pages are."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.hostkeys import HostKey
from app.storage import open_database
from app.storage.pins import DatabasePins
from test.api.client import START, Api, closed_address, content, service_in, silent_address
from test.runs.played import FOR_GOOD, INSTANCE, READY, RETRYABLE, SSH, Part, Played, install, put_back
from test.support.stage.history import History
from test.support.stage.scenario import restart
from test.support.waiting import wait_until

OTHER = "root@10.0.0.7:2222"
TOKEN = "a long random text, long enough"


class Past:
    """A service with a history: a run that was retried and restarted, one that failed elsewhere, a fleet of both."""

    def __init__(self, api: Api, folder: Path, played: Played) -> None:
        self.api = api
        self.folder = folder
        self.whole = played.add(
            Part(install(One=READY, Two=RETRYABLE)),
            Part(install(Two=READY), of=("retry_of", 0)),
            Part(restart(expected=2), of=("restart_of", 1)),
        )
        self.bad = played.add(Part(install(One=FOR_GOOD)), instance=OTHER)
        self.fleet = _fleet(played.history)

    def runs(self, query: str = "") -> list[dict[str, Any]]:
        answer = self.api.get(f"/runs{query}")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = content(answer)["runs"]
        return found

    def ids(self, query: str = "") -> list[str]:
        return [run["run_id"] for run in self.runs(query)]


def _fleet(history: History) -> str:
    """Of two instances: one ready, one partial."""
    at, records = time.time() - 3600, []
    scenarios = [install(One=READY, Two=READY), install(One=READY, Two=FOR_GOOD)]
    for scenario, instance in zip(scenarios, (INSTANCE, OTHER), strict=True):
        records.append(history.record(scenario, f"ssh {instance.replace(':', ' -p ')}", instance, at=at, of={}))
    fleet_id = history.add_fleet(records, at)
    for record, scenario in zip(records, scenarios, strict=True):
        history.fold(record, scenario)
    return fleet_id


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    folder = tmp_path / "data"
    played = Played(folder)
    with service_in(folder, token="") as api:
        yield Past(api, folder, played)
    played.history.close()


class TestOneRun:
    def test_any_id_of_a_run_is_answered_with_the_whole_run(self, past: Past) -> None:
        answers = [content(past.api.get(f"/runs/{task_id}")) for task_id in past.whole]
        assert answers[0] == answers[1] == answers[2]
        assert answers[0]["run_id"] == past.whole[0]
        assert [chapter["task_id"] for chapter in answers[0]["chapters"]] == past.whole
        assert [chapter["name"] for chapter in answers[0]["chapters"]] == ["install", "retry", "restart"]

    def test_an_unknown_id_and_a_wrong_one_are_told_apart(self, past: Past) -> None:
        unknown, wrong = past.api.get(f"/runs/{uuid.uuid4()}"), past.api.get("/runs/nonsense")
        assert (unknown.status_code, content(unknown)["error"]) == (404, "run_not_found")
        assert (wrong.status_code, content(wrong)["field"]) == (400, "run_id")

    def test_what_has_not_changed_is_not_sent_again(self, past: Past) -> None:
        for path in (f"/runs/{past.whole[0]}", "/runs"):
            first = past.api.get(path)
            again = past.api.get(path, If_None_Match=first.headers["ETag"])
            assert (again.status_code, again.data) == (304, b"")
            assert past.api.get(path, If_None_Match='"other"').status_code == 200

    def test_a_new_task_of_a_run_reopens_it(self, past: Past) -> None:
        """It is in progress with its task, in the list too, and ended again after that; a fleet with its run."""
        assert past.runs(f"?q={past.bad[0]}")[0]["in_progress"] is False
        with silent_address():
            answer = past.api.post(f"/tasks/{past.bad[0]}/rollback")
        task_id = content(answer)["task_id"]
        run = content(past.api.get(f"/runs/{task_id}"))
        assert run["run_id"] == past.bad[0]
        assert run["chapters"][-1]["name"] == "put_back"
        assert run["in_progress"] is True
        assert past.ids("?in_progress=true") == [past.bad[0]]
        assert [action["name"] for action in run["actions"]] == ["stop"]
        past.api.post(f"/tasks/{task_id}/cancel")
        past.api.ended(task_id)
        wait_until(lambda: past.ids("?in_progress=true") == [], 10, "the run has ended")
        assert past.bad[0] in past.ids()


class TestTheList:
    def test_a_run_is_one_row_and_a_fleet_is_one(self, past: Past) -> None:
        """The counts of a fleet are sums."""
        assert past.ids() == [past.fleet, past.bad[0], past.whole[0]]
        fleet = past.runs()[0]
        assert (fleet["kind"], fleet["machine"]["name"]) == ("fleet", "2 machines")
        assert (fleet["counts"]["total"], fleet["counts"]["ready"], fleet["counts"]["failed"]) == (4, 3, 1)
        assert fleet["summary"]["sentence"] == "2 machines: 3 of 4 node packs ready, 1 failed"
        detail = content(past.api.get(f"/runs/{past.fleet}"))
        assert [run["machine"]["instance"] for run in detail["runs"]] == [INSTANCE, OTHER]
        assert sum(run["counts"]["ready"] for run in detail["runs"]) == 3

    def test_filters_find_what_they_name(self, past: Past) -> None:
        whole, bad = past.whole[0], past.bad[0]
        assert past.ids("?kind=install") == [bad, whole]
        assert past.ids("?kind=fleet") == [past.fleet]
        assert past.ids("?kind=workflow") == []
        assert past.ids("?state=proven") == [whole]
        assert past.ids("?state=nothing,partial") == [past.fleet, bad]
        assert past.ids("?tone=good") == [whole]
        assert past.ids("?q=10.0.0.7") == [bad]
        assert past.ids("?q=ONE%20and") == [past.fleet, whole]
        assert past.ids("?q=%25") == []
        assert past.ids("?in_progress=true") == []
        assert past.ids("?in_progress=false") == past.ids()

    def test_the_runs_of_an_instance_have_those_in_fleets_too(self, past: Past) -> None:
        known = {row["instance"]: row["instance_id"] for row in content(past.api.get("/instances"))["instances"]}
        by_name, by_id = past.ids(f"?instance={OTHER}"), past.ids(f"?instance={known[OTHER]}")
        assert by_name == by_id
        assert len(by_name) == 2 and by_name[1] == past.bad[0]

    def test_pages_follow_each_other_without_a_gap(self, past: Past) -> None:
        found, path = [], "/runs?limit=1"
        while path:
            page = content(past.api.get(path))
            found += [run["run_id"] for run in page["runs"]]
            path = f"/runs?limit=1&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        assert found == past.ids()

    @pytest.mark.parametrize(
        "query",
        [
            *("limit=0", "limit=201", "limit=x", "cursor=nonsense", "cursor=nan_x", "cursor=1e400_x", "state=odd"),
            *("state=ready,odd", "tone=odd", "kind=odd", "in_progress=yes", "q=", "instance=", "unknown=1"),
            "kind=install&kind=fleet",
        ],
    )
    def test_a_value_that_cannot_be_is_refused_by_name(self, past: Past, query: str) -> None:
        refused = past.api.get(f"/runs?{query}")
        assert refused.status_code == 400, refused.text
        assert content(refused)["field"].partition("[")[0] == query.partition("=")[0]

    def test_a_database_that_cannot_be_written_is_read_all_the_same(self, past: Past) -> None:
        """How runs have ended is kept for later; nothing depends on it."""
        with sqlite3.connect(past.folder / "nodeferry.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            assert len(past.ids()) == 3
            other.execute("ROLLBACK")

    def test_forgotten_tasks_leave_no_run(self, past: Past) -> None:
        assert len(past.ids()) == 3
        past.api.post("/tasks/prune", {"older_than_days": 0})
        assert past.ids() == []
        assert content(past.api.get("/instances"))["instances"] == []


class TestInstances:
    def _pin(self, past: Past, host: str, port: int) -> None:
        engine = open_database(f"sqlite:///{past.folder / 'nodeferry.db'}")
        DatabasePins(engine).add_first(HostKey(host, port, "ssh-ed25519", "AAAA", "SHA256:" + "a" * 43, 1_700_000_000))
        engine.dispose()

    def _known(self, past: Past) -> dict[str, dict[str, Any]]:
        return {row["instance"]: row for row in content(past.api.get("/instances"))["instances"]}

    def test_what_is_known_of_an_instance_is_told(self, past: Past) -> None:
        self._pin(past, "ssh6.vast.ai", 12345)
        known = self._known(past)[INSTANCE]
        assert (known["name"], known["ssh_connection"], known["source"]) == ("ssh6:12345", SSH, "remembered") or known
        assert known["ui_home"] == "/workspace/ComfyUI"
        assert known["gpu"] == "RTX 4090"
        assert known["host_key"] == {
            "type": "ssh-ed25519",
            "sha256": "SHA256:" + "a" * 43,
            "first_seen_at": "2023-11-14T22:13:20.000Z",
        }
        assert known["last_run"]["summary"]["kind"] == "ready"
        assert known["packs_known"] == 2
        assert known["instance"] not in known["instance_id"]

    def test_put_back_packs_are_not_known_any_more(self, past: Past, tmp_path: Path) -> None:
        played = Played(past.folder)
        played.add(Part(install(Three=READY)), Part(put_back("Three"), of=("rollback_of", 0)))
        played.history.close()
        assert self._known(past)[INSTANCE]["packs_known"] == 2

    def test_an_instance_of_which_only_a_key_is_known_gets_its_name_from_its_first_run(self, past: Past) -> None:
        self._pin(past, "10.9.9.9", 22)
        key_only = self._known(past)["10.9.9.9:22"]
        assert key_only["last_run"] is None
        played = Played(past.folder)
        played.add(Part(install(One=READY)), instance="root@10.9.9.9:22")
        played.history.close()
        assert self._known(past)["root@10.9.9.9:22"]["instance_id"] == key_only["instance_id"]

    def test_a_forgotten_instance_takes_its_host_key_along_and_leaves_its_runs(self, past: Past) -> None:
        """A new run there remembers it again."""
        self._pin(past, "ssh6.vast.ai", 12345)
        known, before = self._known(past)[INSTANCE], past.ids()
        answer = past.api.send("DELETE", f"/instances/{known['instance_id']}")
        assert (answer.status_code, content(answer)["host_keys_forgotten"]) == (200, 1)
        assert INSTANCE not in self._known(past)
        assert content(past.api.get("/host-keys"))["host_keys"] == []
        assert past.ids() == before
        again = past.api.send("DELETE", f"/instances/{known['instance_id']}")
        assert (again.status_code, content(again)["error"]) == (404, "instance_not_found")

    def test_an_address_is_no_instance_id(self, past: Past) -> None:
        refused = past.api.send("DELETE", f"/instances/{INSTANCE}")
        assert (refused.status_code, content(refused)["field"]) == (400, "instance_id")

    def test_an_instance_on_which_something_runs_is_not_forgotten(self, past: Past) -> None:
        with silent_address() as address:
            task_id = past.api.start(address)
            [known] = [row for row in self._known(past).values() if row["last_run"]["in_progress"]]
            refused = past.api.send("DELETE", f"/instances/{known['instance_id']}")
            assert (refused.status_code, content(refused)["error"]) == (409, "instance_busy")
            past.api.post(f"/tasks/{task_id}/cancel")
            past.api.ended(task_id)
        assert past.api.send("DELETE", f"/instances/{known['instance_id']}").status_code == 200


class TestPages:
    def test_ids_of_any_task_lead_to_their_chapter(self, past: Past) -> None:
        first, retry, _ = past.whole
        for path in ("run", "task", "workflow"):
            page = past.api.send("GET", f"/ui/{path}/{retry}?tab=log&line=4", follow_redirects=True)
            assert page.status_code == 200
            assert page.request.path == f"/ui/run/{first}"
            assert page.request.args.to_dict() == {"tab": "log", "line": "4", "chapter": retry}

    def test_a_fleet_has_a_page_of_its_own(self, past: Past) -> None:
        assert past.api.get(f"/ui/run/{past.fleet}").headers["Location"] == f"/ui/fleet/{past.fleet}"

    def test_older_addresses_lead_to_the_new_pages(self, past: Past) -> None:
        assert past.api.get("/ui/history").headers["Location"] == "/ui/runs"
        for path in ("/ui/runs", "/ui/machines", f"/ui/run/{past.whole[0]}"):
            assert past.api.get(path).status_code == 200, path

    def test_an_address_cannot_lead_elsewhere(self, past: Past) -> None:
        """What else stands in it is dropped."""
        odd = past.api.get(f"/ui/task/{past.whole[1]}?_external=1&_scheme=javascript&_anchor=x&tab=%0d%0aX:1")
        assert odd.headers["Location"] == f"/ui/run/{past.whole[1]}?tab=%0D%0AX%3A1"

    def test_an_unknown_run_is_no_page(self, past: Past) -> None:
        assert past.api.get(f"/ui/run/{uuid.uuid4()}").status_code == 404

    def test_a_closed_service_tells_nobody_which_runs_there_are(self, tmp_path: Path) -> None:
        """The shell is the same for every id."""
        with service_in(tmp_path / "closed", token=TOKEN) as api:
            started = api.post(START, {"ssh_connection": closed_address()}, Authorization=f"Bearer {TOKEN}")
            task_id = content(started)["task_id"]
            pages = {api.get(f"/ui/run/{one}").status_code for one in (task_id, uuid.uuid4())}
            assert pages == {200}


def test_a_workflow_is_one_run_with_its_question(tmp_path: Path) -> None:
    """Before it has any task, too."""
    with service_in(tmp_path / "data") as api:
        asked = {"ssh_connection": closed_address(), "options": {"wait_seconds": 0}}
        workflow_id = content(api.post("/workflow/start", asked))["workflow_id"]
        wait_until(lambda: not content(api.get(f"/runs/{workflow_id}"))["in_progress"], 20, "it has ended")
        run = content(api.get(f"/runs/{workflow_id}"))
        assert (run["kind"], run["summary"]["kind"], run["current"]) == ("workflow", "failed", None)
        assert [chapter["name"] for chapter in run["chapters"]] == ["connect"]
        assert run["workflow"] == content(api.get(f"/workflow/state?workflow_id={workflow_id}"))
        assert [row["run_id"] for row in content(api.get("/runs?kind=workflow&state=failed"))["runs"]] == [workflow_id]
