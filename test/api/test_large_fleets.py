"""Fleets of a thousand instances: accepted whole, told by pages, stopped and tried again together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from test.api.client import Api, closed_address, content, service_in, silent_address
from test.support.waiting import wait_until

FLEET = "/fleet/install-custom-nodes"
MANIFEST = {"urls": [f"https://github.com/owner/pack-{number}" for number in range(50)]}
MANY = 1000


def _machines(number: int, first: str) -> list[str]:
    """The first one holds the one place; nothing is ever sent to the others."""
    return [first, *(f"ssh -p {10_000 + index} root@host{index % 7}.invalid" for index in range(1, number))]


def _start(api: Api, machines: list[Any], **fields: Any) -> str:
    answer = api.post(FLEET, {"ssh_connections": machines, "manifest": MANIFEST, **fields})
    assert answer.status_code == 202, answer.text[:500]
    return str(content(answer)["fleet_id"])


def _get(api: Api, path: str) -> dict[str, Any]:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text[:500]
    return content(answer)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """A service with a fleet of a thousand, of which one is at work."""
    folder = tmp_path_factory.mktemp("large")
    with silent_address() as first, service_in(folder, max_running=1) as api:
        yield api, _start(api, _machines(MANY, first))


class TestAsked:
    @pytest.mark.parametrize(
        ("wrong", "fields"),
        [
            ({3: "-o ProxyCommand=x root@h", 700: 5, 999: {}}, ["[3]", "[700]", "[999]"]),
            ({4: {"ssh_connection": "root@h", "ui_home": "relative"}, 5: ""}, ["[4].ui_home", "[5]"]),
        ],
    )
    def test_every_entry_that_is_wrong_is_named(self, idle: Api, wrong: dict[int, Any], fields: list[str]) -> None:
        machines: list[Any] = _machines(MANY, "root@first")
        for index, entry in wrong.items():
            machines[index] = entry
        refused = content(idle.post(FLEET, {"ssh_connections": machines, "manifest": MANIFEST}))
        assert refused["field"] == f"ssh_connections{fields[0]}"
        assert [each["field"] for each in refused["wrong_entries"]] == [f"ssh_connections{each}" for each in fields]
        assert "entr" in refused["message"]
        assert all(each["message"] for each in refused["wrong_entries"])

    def test_of_a_thousand_that_are_wrong_twenty_are_named(self, idle: Api) -> None:
        refused = content(idle.post(FLEET, {"ssh_connections": ["-x"] * MANY, "manifest": MANIFEST}))
        assert len(refused["wrong_entries"]) == 20
        assert "999 more entries are wrong." in refused["message"]

    @pytest.mark.parametrize(
        "twin", ["ssh -p 22 root@H1.example", "root@h1.example:22", "h1.example", "ssh h1.example"]
    )
    def test_one_machine_comes_once_however_it_is_spelled(self, idle: Api, twin: str) -> None:
        asked = {"ssh_connections": ["root@h0", "root@h1.example", "root@h2", twin]}
        refused = content(idle.post(FLEET, {**asked, "manifest": MANIFEST}))
        assert refused["field"] == "ssh_connections[3]"
        assert "the same instance" in refused["message"]
        assert "ssh_connections[1]" in refused["message"]

    def test_two_comfyuis_of_one_machine_are_two(self, tmp_path: Path) -> None:
        with service_in(tmp_path, max_running=1) as api, silent_address() as first:
            homes = [{"ssh_connection": first, "ui_home": home} for home in ("/a", "/b")]
            _start(api, homes)

    def test_a_queue_says_for_how_many_it_has_room(self, tmp_path: Path) -> None:
        with service_in(tmp_path, max_running=1, max_waiting=9) as api:
            refused = api.post(FLEET, {"ssh_connections": _machines(MANY, "root@h"), "manifest": MANIFEST})
            assert (refused.status_code, content(refused)["error"]) == (429, "too_many_tasks")
            assert "room for 10 of these 1000 installs" in content(refused)["message"]

    @pytest.mark.parametrize("limits", [{"at_once": 0}, {"per_host": 1001}, {"at_once": "2"}, {"hosts": 1}])
    def test_limits_that_cannot_be_are_refused(self, idle: Api, limits: dict[str, Any]) -> None:
        refused = idle.post(FLEET, {"ssh_connections": ["root@h"], "manifest": MANIFEST, "limits": limits})
        assert (refused.status_code, content(refused)["field"]) == (400, f"limits.{next(iter(limits))}")


class TestTold:
    def test_sums_are_of_all_and_rows_of_a_page(self, large: tuple[Api, str]) -> None:
        """A client that knows no pages sees the first hundred; each page goes on where the last one ended."""
        api, fleet_id = large
        told = _get(api, f"/fleet/{fleet_id}")
        assert (told["total_instances"], len(told["instances"])) == (MANY, 100)
        assert told["page"] == {"total": MANY, "offset": 0, "limit": 100, "next_offset": 100}
        assert sum(told["states"].values()) == sum(told["kinds"].values()) == MANY
        found: list[str] = []
        offset: int | None = 0
        while offset is not None:
            page = _get(api, f"/fleet/{fleet_id}?limit=200&offset={offset}")
            found += [row["task_id"] for row in page["instances"]]
            offset = page["page"]["next_offset"]
        assert len(set(found)) == MANY
        assert found[:100] == [row["task_id"] for row in told["instances"]]

    def test_a_run_s_page_has_the_same_machines_and_the_same_sentence(self, large: tuple[Api, str]) -> None:
        api, fleet_id = large
        told, run = (
            _get(api, f"/fleet/{fleet_id}?limit=7&offset=990"),
            _get(api, f"/runs/{fleet_id}?limit=7&offset=990"),
        )
        assert [each["run_id"] for each in run["runs"]] == [each["task_id"] for each in told["instances"]]
        assert (run["page"], run["kinds"], run["summary"]) == (told["page"], told["kinds"], told["summary"])
        assert run["needing"] == {"total": 0, "runs": []}
        assert run["summary"]["sentence"] == "Installing on 1 machine; 999 wait for their turn"

    def test_rows_are_chosen_by_address_and_by_how_they_stand(self, large: tuple[Api, str]) -> None:
        api, fleet_id = large
        [found] = _get(api, f"/fleet/{fleet_id}?q=10777")["instances"]
        assert found["ssh_connection"] == "ssh -p 10777 root@host0.invalid"
        waiting = _get(api, f"/fleet/{fleet_id}?state=queued&limit=1")
        assert waiting["page"]["total"] == waiting["kinds"]["queued"] == MANY - 1
        assert _get(api, f"/fleet/{fleet_id}?needing=true")["instances"] == []
        assert api.get(f"/fleet/{fleet_id}?state=nonsense").status_code == 400
        assert api.get(f"/fleet/{fleet_id}?limit=201").status_code == 400

    def test_what_has_not_changed_is_not_sent_again(self, large: tuple[Api, str]) -> None:
        api, fleet_id = large
        path = f"/fleet/{fleet_id}?limit=5&offset=500"
        first = api.get(path)
        again = api.get(path, If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
        known = content(first)["revision"]
        assert _get(api, f"{path}&since={known}")["unchanged"] is True

    def test_what_waits_says_so_from_the_beginning(self, large: tuple[Api, str]) -> None:
        api, fleet_id = large
        row = _get(api, f"/fleet/{fleet_id}?limit=1&offset=999")["instances"][0]
        assert row["summary"]["kind"] == "queued"
        assert api.progress(row["task_id"])["queue"] == {"position": MANY - 1, "behind": None}

    def test_the_list_of_runs_has_it_as_one(self, large: tuple[Api, str]) -> None:
        api, fleet_id = large
        listed = _get(api, "/runs")["runs"]
        assert [each["run_id"] for each in listed] == [fleet_id]
        of_one = _get(api, "/runs?instance=root@host0.invalid:10777")["runs"]
        assert [each["fleet_id"] for each in of_one] == [fleet_id]


def test_a_thousand_are_stopped_and_tried_again_together(tmp_path: Path) -> None:
    """What has not begun has ended with the answer; a second stop finds nothing; the retry takes the places of all. It
    outlives a restart."""
    with silent_address() as first, service_in(tmp_path, max_running=1) as api:
        fleet_id = _start(api, _machines(MANY, first), options={"wait_seconds": 0})
        stopped = api.post(f"/fleet/{fleet_id}/cancel")
        assert (stopped.status_code, content(stopped)["left"]) == (202, {})
        assert [each["state"] for each in content(stopped)["tasks"]].count("cancelled") >= MANY - 1
        wait_until(lambda: _get(api, f"/fleet/{fleet_id}?limit=1")["completed"], 30, "the one at work has ended")
        assert api.post(f"/fleet/{fleet_id}/cancel").status_code == 409
        before = _get(api, f"/fleet/{fleet_id}?limit=1")
        again = api.post(f"/fleet/{fleet_id}/retry")
        assert (again.status_code, len(content(again)["tasks"])) == (202, MANY)
        after = _get(api, f"/fleet/{fleet_id}?limit=1")
        assert after["instances"][0]["retry_of"] == before["instances"][0]["task_id"]
        assert (after["total_instances"], after["in_progress"]) == (MANY, True)
        assert after["revision"] > before["revision"]
        assert api.post(f"/fleet/{fleet_id}/retry").status_code == 409, "all of them go on"
    with service_in(tmp_path, max_running=1) as later:
        assert _get(later, f"/fleet/{fleet_id}?limit=1")["total_instances"] == MANY
        assert len(content(later.post(f"/fleet/{fleet_id}/cancel"))["tasks"]) >= MANY - 3, (
            "but those that have ended since"
        )


def test_a_retry_takes_as_many_as_there_is_room_for(tmp_path: Path) -> None:
    """In their order; the others can be asked for again."""
    with silent_address() as first, service_in(tmp_path, max_running=1, max_waiting=9) as api:
        fleet_id = _start(api, _machines(10, first), options={"wait_seconds": 0})
        api.post(f"/fleet/{fleet_id}/cancel")
        wait_until(lambda: _get(api, f"/fleet/{fleet_id}")["completed"], 30, "all are stopped")
        ended = [row["task_id"] for row in _get(api, f"/fleet/{fleet_id}")["instances"]]
        with silent_address() as other:
            _start(api, _machines(4, other))
            answer = content(api.post(f"/fleet/{fleet_id}/retry"))
            assert (len(answer["tasks"]), answer["left"]) == (6, {"too_many_tasks": 4})
            rows = _get(api, f"/fleet/{fleet_id}")["instances"]
            assert [row["retry_of"] for row in rows] == [*ended[:6], None, None, None, None]


def test_no_more_of_a_fleet_run_at_once_than_it_may(tmp_path: Path) -> None:
    """In all and on one host, in the order of the request; another install takes a free place."""
    with silent_address() as one, silent_address() as two, silent_address() as three, service_in(tmp_path) as api:
        local = [one, two.replace("127.0.0.1", "127.0.0.2"), three]
        fleet_id = _start(api, local, limits={"per_host": 1})
        texts = [row["message"] for row in _get(api, f"/fleet/{fleet_id}")["instances"]]
        assert "on this host" in texts[2]
        assert not any("on this host" in text for text in texts[:2])
        first = _get(api, f"/fleet/{fleet_id}")["instances"][0]["task_id"]
        assert _get(api, f"/tasks/{first}")["request"]["limits"] == {"at_once": None, "per_host": 1}
        api.post(f"/tasks/{first}/cancel")

        def begun() -> bool:
            return bool(_get(api, f"/fleet/{fleet_id}")["instances"][2]["state"] == "running")

        wait_until(begun, 30, "the next on that host has its turn")


def test_an_end_in_a_fleet_is_seen_at_once(tmp_path: Path) -> None:
    """What is remembered of the others does not hide it: sums, pages and the list of runs agree."""
    with silent_address() as first, service_in(tmp_path, max_running=2) as api:
        machines = [first, closed_address(), *_machines(40, "root@h.invalid")[1:]]
        fleet_id = _start(api, machines, options={"wait_seconds": 0}, limits={"at_once": 2})
        wait_until(lambda: _get(api, f"/fleet/{fleet_id}")["needing"] > 0, 30, "one cannot be reached")
        told, run = _get(api, f"/fleet/{fleet_id}"), _get(api, f"/runs/{fleet_id}")
        assert told["kinds"]["failed"] == told["states"]["failed"] >= 1
        assert run["needing"]["total"] >= 1
        assert "failed" in run["summary"]["sentence"]
        assert _get(api, "/runs")["runs"][0]["summary"]["kind"] == "working"
