"""Fleets: many instances at once, all or none, one progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.standin.git_rules import MISSING, SERVED
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.api.client import Api, closed_address, content, service_in, silent_address
from test.api.test_docs import examples, section
from test.support.waiting import wait_until

FLEET = "/fleet/install-custom-nodes"
MANIFEST = {"urls": ["https://github.com/owner/pack"]}
HTTP = ("http", "https")


@pytest.fixture
def mute() -> Iterator[Callable[[], str]]:
    """Makes addresses that are connected to and never say a word."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(silent_address())


def _start(api: Api, *connections: Any, **fields: Any) -> dict[str, Any]:
    answer = api.post(FLEET, {"ssh_connections": list(connections), "manifest": MANIFEST, **fields})
    assert answer.status_code == 202, answer.text
    return content(answer)


def _fleet(api: Api, fleet_id: str) -> dict[str, Any]:
    answer = api.get(f"/fleet/{fleet_id}")
    assert answer.status_code == 200, answer.text
    return content(answer)


def _ended(api: Api, fleet_id: str, timeout: float = 90.0) -> dict[str, Any]:
    wait_until(lambda: _fleet(api, fleet_id)["completed"], timeout, "the fleet has ended")
    return _fleet(api, fleet_id)


class TestAccepting:
    @pytest.mark.parametrize(
        ("third", "field"),
        [
            ("-o ProxyCommand=x root@host", "ssh_connections[2]"),
            (5, "ssh_connections[2]"),
            (None, "ssh_connections[2]"),
            ({"ssh_connection": "root@c", "ui_home": "relative"}, "ssh_connections[2].ui_home"),
            ({"ssh_connection": "root@c", "port": 5}, "ssh_connections[2].port"),
            ({}, "ssh_connections[2]"),
            ("root@a", "ssh_connections[2]"),
            ({"ssh_connection": "ssh root@a"}, "ssh_connections[2]"),
        ],
    )
    def test_one_bad_instance_refuses_all_by_its_place(self, idle: Api, third: object, field: str) -> None:
        """Nothing is started before everything is checked."""
        refused = idle.post(FLEET, {"ssh_connections": ["root@a", "root@b", third], "manifest": MANIFEST})
        assert (refused.status_code, content(refused)["field"]) == (400, field), refused.text
        assert content(idle.get("/tasks"))["tasks"] == content(idle.get("/fleet"))["fleets"] == []

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"ssh_connections": []}, "ssh_connections"),
            ({"ssh_connections": [f"root@host{n}" for n in range(1001)]}, "ssh_connections"),
            ({"ssh_connections": "root@host"}, "ssh_connections"),
            ({"ui_home": "relative"}, "ssh_connections[0].ui_home"),
            ({"manifest": {"urls": []}}, "manifest.urls"),
            ({"options": {"auto_retry": 6}}, "options.auto_retry"),
            ({"idempotency_key": ""}, "idempotency_key"),
            ({"ssh_connection": "root@host"}, "ssh_connection"),
        ],
    )
    def test_what_holds_for_all_is_checked_too(self, idle: Api, fields: dict[str, Any], field: str) -> None:
        refused = idle.post(FLEET, {"ssh_connections": ["root@a"], "manifest": MANIFEST} | fields)
        assert (refused.status_code, content(refused)["field"]) == (400, field), refused.text

    def test_a_queue_that_has_no_place_for_all_takes_none(self, tmp_path: Path, mute: Callable[[], str]) -> None:
        """429, with the time to come back; a smaller fleet is taken."""
        with service_in(tmp_path, max_running=1, max_waiting=2) as api:
            refused = api.post(FLEET, {"ssh_connections": [mute() for _ in range(4)], "manifest": MANIFEST})
            assert (refused.status_code, content(refused)["error"]) == (429, "too_many_tasks")
            assert refused.headers["Retry-After"].isdigit()
            assert content(api.get("/tasks"))["tasks"] == []
            started = _start(api, *(mute() for _ in range(3)))
            assert len(started["tasks"]) == 3

    def test_those_that_wait_keep_their_order_and_say_where_they_stand(
        self, tmp_path: Path, mute: Callable[[], str]
    ) -> None:
        """One place: the others wait for it in the order of the request, also after one of them has gone."""
        with service_in(tmp_path, max_running=1) as api:
            ids = [task["task_id"] for task in _start(api, *(mute() for _ in range(4)))["tasks"]]
            wait_until(lambda: api.progress(ids[0])["state"] != "queued", what="the first has its turn")
            assert [api.progress(task_id)["queue"] for task_id in ids[1:]] == [
                {"position": place, "behind": None} for place in (1, 2, 3)
            ]
            assert api.post(f"/tasks/{ids[1]}/cancel").status_code == 202
            last = api.progress(ids[3])
            assert last["queue"] == {"position": 2, "behind": None}
            assert api.progress(ids[3], since=last["revision"])["queue"] == last["queue"]
            api.post(f"/tasks/{ids[0]}/cancel")
            wait_until(lambda: api.progress(ids[2])["state"] == "running", what="the next has its turn")
            assert api.progress(ids[3])["state"] == "queued"

    def test_the_same_key_gives_the_same_fleet(self, api: Api, mute: Callable[[], str]) -> None:
        """Also after more than one try: nothing is started twice."""
        one, two = mute(), mute()
        first = _start(api, one, two, idempotency_key="k")
        again = _start(api, one, two, idempotency_key="k")
        assert (again["fleet_id"], again["message"]) == (first["fleet_id"], "This fleet was started before")
        assert [task["task_id"] for task in again["tasks"]] == [task["task_id"] for task in first["tasks"]]
        assert len(content(api.get("/tasks"))["tasks"]) == 2

    def test_an_unknown_fleet_is_not_found(self, idle: Api) -> None:
        known = "550e8400-e29b-41d4-a716-446655440000"
        for path in (f"/fleet/{known}", f"/fleet/{known}/cancel", f"/fleet/{known}/retry"):
            answer = idle.get(path) if path.endswith(known) else idle.post(path)
            assert (answer.status_code, content(answer)["error"]) == (404, "fleet_not_found"), path
        assert idle.get("/fleet/x").status_code == 400


class TestStopping:
    def test_cancel_stops_all_that_go_on(self, api: Api, mute: Callable[[], str]) -> None:
        """A second time there is nothing left to stop."""
        gone = closed_address()
        fleet_id = _start(api, mute(), gone, mute(), options={"wait_seconds": 0})["fleet_id"]
        wait_until(lambda: _fleet(api, fleet_id)["states"]["failed"] == 1, 30, "the one that is not there has failed")
        cancelled = api.post(f"/fleet/{fleet_id}/cancel")
        assert (cancelled.status_code, len(content(cancelled)["tasks"])) == (202, 2)
        states = _ended(api, fleet_id)["states"]
        assert (states["cancelled"], states["failed"]) == (2, 1)
        refused = api.post(f"/fleet/{fleet_id}/cancel")
        assert (refused.status_code, content(refused)["error"]) == (409, "task_not_cancellable")

    def test_it_survives_a_restart(self, tmp_path: Path, mute: Callable[[], str]) -> None:
        """The same fleet with the same tasks, and its revision does not fall."""
        with service_in(tmp_path) as before:
            fleet_id = _start(before, mute(), mute())["fleet_id"]
            shown = _fleet(before, fleet_id)
        with service_in(tmp_path) as after:
            again = _fleet(after, fleet_id)
            ids = [row["task_id"] for row in shown["instances"]]
            assert ([row["task_id"] for row in again["instances"]], again["in_progress"]) == (ids, True)
            assert again["revision"] >= shown["revision"]
            assert content(after.get("/fleet"))["fleets"][0]["fleet_id"] == fleet_id


@pytest.mark.sshd
@pytest.mark.slow
class TestOnInstances:
    def test_each_gets_the_packs_and_the_failed_are_retried(
        self, tmp_path: Path, standin_factory: Callable[..., StandIn], git_server: GitServer
    ) -> None:
        """One progress with a row an instance; a retry takes the place of what it repeats."""
        one, two = standin_factory(), standin_factory()
        pack, other = make_pack(git_server, "o", "pack"), make_pack(git_server, "o", "other")
        git_server.set_rule(other.repo, MISSING)
        with service_in(tmp_path / "service", allowed_git_schemes=HTTP) as api:
            started = _start(
                api,
                {"ssh_connection": one.ssh_command, "ui_home": str(one.ui_home)},
                {"ssh_connection": two.ssh_command, "ui_home": str(two.ui_home)},
                manifest={"urls": [pack.url, other.url]},
                options={"verify": False},
            )
            fleet_id = started["fleet_id"]
            end = _ended(api, fleet_id)
            assert [row["outcome"] for row in end["instances"]] == ["partial", "partial"]
            assert (end["total_nodes"], end["successful"], end["failed"], end["percent"]) == (4, 2, 2, 100.0)
            assert (one.custom_nodes / "pack").is_dir()
            assert (two.custom_nodes / "pack").is_dir()
            unchanged = content(api.get(f"/fleet/{fleet_id}?since={end['revision']}"))
            assert unchanged["unchanged"] is True
            git_server.set_rule(other.repo, SERVED)
            retried = content(api.post(f"/fleet/{fleet_id}/retry"))["tasks"]
            assert len(retried) == 2
            again = _ended(api, fleet_id)
            assert [row["task_id"] for row in again["instances"]] == [task["task_id"] for task in retried]
            assert [row["outcome"] for row in again["instances"]] == ["all", "all"]
            assert again["revision"] > end["revision"]
            nothing = api.post(f"/fleet/{fleet_id}/retry")
            assert (nothing.status_code, content(nothing)["error"]) == (409, "nothing_to_retry")


def test_the_examples_of_fleets_have_the_fields_that_fleets_have(api: Api) -> None:
    started = _start(api, closed_address(), options={"wait_seconds": 0})
    accepted = examples(section("POST /fleet/install-custom-nodes"))[-1]
    assert set(accepted) == set(started)
    assert set(accepted["tasks"][0]) == set(started["tasks"][0])
    shown, unchanged = examples(section("GET /fleet/<fleet_id>"))
    real = _ended(api, started["fleet_id"])
    assert set(shown) == set(real)
    assert set(shown["instances"][0]) == set(real["instances"][0])
    assert set(shown["states"]) == set(real["states"])
    assert set(unchanged) == set(content(api.get(f"/fleet/{started['fleet_id']}?since={real['revision']}")))
    [listed] = examples(section("GET /fleet"))
    assert set(listed["fleets"][0]) == set(content(api.get("/fleet"))["fleets"][0])
