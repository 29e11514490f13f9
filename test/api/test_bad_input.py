"""The routes of workflows, tunnels, restarts, manifests and scans refuse what cannot be, by name, and start nothing."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.limits import MAX_TUNNELS
from test.api.client import Api, closed_address, content, silent_address
from test.support.waiting import wait_until

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"
SOME = {"ssh_connection": "root@127.0.0.1 -p 1"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/workflow/start", {}, "ssh_connection"),
        ("/workflow/start", SOME | {"steps": "test_ssh"}, "steps"),
        ("/workflow/start", SOME | {"steps": ["test_ssh", "test_ssh"]}, "steps"),
        ("/workflow/start", SOME | {"options": {"verify": False}}, "options.verify"),
        ("/workflow/start", SOME | {"options": {"wait_for_provisioning": "no"}}, "options.wait_for_provisioning"),
        ("/workflow/start", SOME | {"deadline_seconds": 90_000}, "deadline_seconds"),
        ("/workflow/start", SOME | {"manifest": {"urls": ["not a url"]}}, "manifest.urls[0]"),
        ("/workflow/stop", {}, "workflow_id"),
        ("/workflow/stop", {"workflow_id": 7}, "workflow_id"),
        ("/workflow/resume", {"answer": "stop"}, "workflow_id"),
        ("/workflow/resume", {"workflow_id": UNKNOWN}, "answer"),
        ("/workflow/resume", {"workflow_id": UNKNOWN, "answer": ""}, "answer"),
        ("/manifests/check", {"manifest": {"urls": ["ftp://x/y"]}}, "manifest.urls[0]"),
        ("/manifests/check", {"manifest": {"what": []}}, "manifest"),
        ("/host-keys/scan", {}, "ssh_connection"),
        ("/host-keys/scan", {"ssh_connection": "-oProxyCommand=id host"}, "ssh_connection"),
        ("/tasks/none/restart", {}, "task_id"),
        ("/tasks/none/open", {}, "task_id"),
        (f"/tasks/{UNKNOWN}/open", {"port": 1}, "port"),
        (f"/tasks/{UNKNOWN}/restart", {"now": True}, "now"),
    ],
)
def test_what_cannot_be_is_400_and_says_where(idle: Api, path: str, body: dict[str, Any], field: str) -> None:
    """One sentence and the request's own name of it."""
    answer = idle.post(path, body)
    assert (answer.status_code, content(answer).get("field")) == (400, field), answer.text


@pytest.mark.parametrize("query", ["", "?workflow_id=x", f"?workflow_id={UNKNOWN}&workflow_id={UNKNOWN}"])
def test_a_workflow_is_asked_for_by_its_id(idle: Api, query: str) -> None:
    """Missing, no UUID, twice."""
    answer = idle.get(f"/workflow/state{query}")
    assert (answer.status_code, content(answer)["field"]) == (400, "workflow_id")


@pytest.mark.parametrize("limit", ["0", "201", "many"])
def test_so_many_workflows_at_once_and_no_more(idle: Api, limit: str) -> None:
    """1 to 200."""
    answer = idle.get(f"/workflows?limit={limit}")
    assert (answer.status_code, content(answer)["field"]) == (400, "limit")


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", f"/workflow/state?workflow_id={UNKNOWN}", None, "workflow_not_found"),
        ("POST", "/workflow/stop", {"workflow_id": UNKNOWN}, "workflow_not_found"),
        ("POST", "/workflow/resume", {"workflow_id": UNKNOWN, "answer": "stop"}, "workflow_not_found"),
        ("POST", f"/tasks/{UNKNOWN}/restart", {}, "task_not_found"),
        ("POST", f"/tasks/{UNKNOWN}/open", {}, "task_not_found"),
        ("GET", f"/tasks/{UNKNOWN}/open", None, "task_not_found"),
        ("DELETE", f"/tasks/{UNKNOWN}/open", None, "task_not_found"),
    ],
)
def test_what_is_not_known_is_404(idle: Api, method: str, path: str, body: dict[str, Any] | None, code: str) -> None:
    """By every method that there is."""
    answer = idle.send(method, path, **({} if body is None else {"json": body}))
    assert (answer.status_code, content(answer)["error"]) == (404, code)


def test_a_workflow_that_has_ended_takes_no_stop_and_no_answer(api: Api) -> None:
    """409, and the state stays."""
    asked = {"ssh_connection": closed_address(), "options": {"wait_seconds": 0}, "steps": ["test_ssh"]}
    workflow_id = content(api.post("/workflow/start", asked))["workflow_id"]
    where = f"/workflow/state?workflow_id={workflow_id}"
    wait_until(lambda: content(api.get(where))["state"] == "failed", 20, "the end of the workflow")
    before = content(api.get(where))
    for path, body in (("stop", {}), ("resume", {"answer": "accept"}), ("resume", {"answer": "stop"})):
        answer = api.post(f"/workflow/{path}", {"workflow_id": workflow_id, **body})
        assert (answer.status_code, content(answer)["error"]) == (409, "workflow_conflict")
    assert content(api.get(where)) == before


def test_an_instance_that_shows_no_key_is_409_with_its_reason(idle: Api) -> None:
    """It is the instance that cannot, not the request that is wrong."""
    answer = idle.post("/host-keys/scan", {"ssh_connection": closed_address()})
    assert (answer.status_code, content(answer)["error"]) == (409, "connect_failed")


def test_a_restart_of_an_install_that_goes_on_is_409(api: Api) -> None:
    """And so nothing is restarted under it."""
    task_id = api.start(closed_address(), options={"wait_seconds": 600})
    answer = api.post(f"/tasks/{task_id}/restart")
    assert (answer.status_code, content(answer)["error"]) == (409, "task_conflict")
    api.post(f"/tasks/{task_id}/cancel")
    api.ended(task_id)


def test_the_tunnel_of_an_instance_that_is_away_fails_with_its_reason(api: Api) -> None:
    """The open answers at once; looking tells the rest; closing what is not open changes nothing."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    assert content(api.get(f"/tasks/{task_id}/open"))["state"] == "closed"
    assert content(api.post(f"/tasks/{task_id}/open"))["state"] == "opening"
    closed = content(api.send("DELETE", f"/tasks/{task_id}/open"))
    assert closed["state"] in {"failed", "closed"}
    assert closed["state"] == "closed" or closed["error"]["code"] in {"connect_failed", "cancelled"}


def test_tunnels_have_a_limit(api: Api) -> None:
    """Each has threads and descriptors of its own. One that is closed makes room."""
    with silent_address() as address:
        tasks = [api.start(address, options={"wait_seconds": 0}) for _ in range(MAX_TUNNELS + 1)]
        for task_id in tasks:
            api.post(f"/tasks/{task_id}/cancel")
        for task_id in tasks:
            api.ended(task_id)
        opened = [api.post(f"/tasks/{task_id}/open") for task_id in tasks]
        assert [answer.status_code for answer in opened] == [202] * MAX_TUNNELS + [429]
        assert content(opened[-1])["error"] == "too_many_tunnels"
        api.send("DELETE", f"/tasks/{tasks[0]}/open")
        assert api.post(f"/tasks/{tasks[-1]}/open").status_code == 202
        for task_id in tasks:
            api.send("DELETE", f"/tasks/{task_id}/open")


def test_a_pasted_address_is_read_or_refused_with_words_about_it(idle: Api) -> None:
    """Ref and folder are taken from it; what it contradicts is named; what comes out goes in again."""
    h = "https://github.com/o/n"
    text = f"git clone -b dev {h} mine\n- [N2]({h}2/tree/feature/x/y?tab=readme-ov-file)\n{h}3/pull/4, {h}4"
    found = content(idle.post("/manifests/check", {"manifest": {"urls": [text]}}))["nodes"]
    assert [(node["name"], node["repo_url"], node["ref"]) for node in found] == [
        ("mine", h, "dev"),
        ("n2", f"{h}2", "tree:feature/x/y"),
        ("n3", f"{h}3", "refs/pull/4/head"),
        ("n4", f"{h}4", None),
    ]
    assert content(idle.post("/manifests/check", {"manifest": {"nodes": found}}))["nodes"] == found
    both = {"name": "n", "repo_url": f"{h}/tree/main", "ref": "dev"}
    refused = idle.post("/manifests/check", {"manifest": {"nodes": [both]}})
    assert (refused.status_code, content(refused)["field"]) == (400, "manifest.nodes[0].ref")
    page = idle.post("/manifests/check", {"manifest": {"urls": [h, f"{h}/issues/3"]}})
    assert (page.status_code, content(page)["field"]) == (400, "manifest.urls[1]")
    assert content(page)["message"].startswith("This is an issue")
    listed = {"repo": f"{h}/blob/main/lists/nodes.csv"}
    wanted = {"repo": h, "ref": "tree:main/lists", "path": "tree:main/lists/nodes.csv"}
    assert content(idle.post("/manifests/check", {"manifest": listed}))["manifest"] == wanted


def test_a_manifest_is_read_and_nothing_is_started(idle: Api) -> None:
    """The packs as an install has them; null where only the instance can tell."""
    found = content(idle.post("/manifests/check", {"manifest": {"urls": ["https://github.com/o/n"]}}))
    assert [node["name"] for node in found["nodes"]] == ["n"]
    assert content(idle.post("/manifests/check"))["nodes"] is None
    assert content(idle.get("/tasks"))["tasks"] == []
