"""A status link shows one run to whoever has it, and nothing else; off by default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.api.client import Api, content, service_in
from test.support.chosen_engine import documents_in
from test.support.ports import closed_port


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with service_in(tmp_path, status_links=True, token="t" * 24, host="127.0.0.1") as running:
        yield running


LOGIN = {"Authorization": "Bearer " + "t" * 24}


def start(api: Api) -> str:
    body = {"ssh_connection": f"root@127.0.0.1 -p {closed_port()}", "options": {"wait_seconds": 0}}
    return str(content(api.send("POST", "/ssh/install-custom-nodes", json=body, headers=LOGIN))["task_id"])


def made(api: Api, run_id: str) -> str:
    answer = api.send("POST", f"/runs/{run_id}/link", json={}, headers=LOGIN)
    assert answer.status_code == 201, answer.text
    return str(content(answer)["path"]).partition("#")[2]


def test_a_link_shows_its_run_without_a_token_and_nothing_of_the_machine(api: Api) -> None:
    run_id = start(api)
    ended = api.send("GET", f"/tasks/{run_id}?wait=30", headers=LOGIN)
    assert not content(ended)["progress"]["in_progress"]
    answer = api.send("GET", "/status", headers={"Status-Link": made(api, run_id)})
    shown = content(answer)
    assert (answer.status_code, shown["summary"]["kind"]) == (200, "failed")
    text = json.dumps(shown)
    assert all(word not in text for word in ("127.0.0.1", "root@", run_id))
    again = api.send(
        "GET", "/status", headers={"Status-Link": made(api, run_id), "If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304


def test_a_link_lets_nobody_in_anywhere_else(api: Api) -> None:
    secret = made(api, run_id := start(api))
    for path in (f"/runs/{run_id}", f"/tasks/{run_id}", f"/tasks/{run_id}/log", "/runs", f"/runs/{run_id}/link"):
        headers = {"Status-Link": secret, "Authorization": f"Bearer {secret}"}
        assert api.send("GET", path, headers=headers).status_code == 401


OPEN = {("GET", "/health"), ("GET", "/health/ready"), ("GET", "/status"), ("POST", "/session"), ("DELETE", "/session")}


def test_a_link_s_secret_is_good_for_no_other_route(api: Api) -> None:
    """In none of the places where a browser or a client puts what lets it in."""
    run_id, tried = start(api), 0
    secret = made(api, run_id)
    for rule in api.app.url_map.iter_rules():
        if rule.endpoint.startswith("webui.") or rule.endpoint == "static":
            continue
        path = re.sub(r"<[^>]+>", run_id, rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"} if rule.methods else ():
            if (method, rule.rule) in OPEN:
                continue
            tried += 1
            for name, value in (
                ("Status-Link", secret),
                ("Authorization", f"Bearer {secret}"),
                ("Cookie", f"nodeferry-session-80={secret}"),
            ):
                answer = api.send(method, path, json={} if method != "GET" else None, headers={name: value})
                assert answer.status_code in {401, 403, 429}, (method, path, name, answer.status_code)
    assert tried > 50


def test_a_new_link_ends_the_older_one_and_an_ended_one_shows_nothing(api: Api) -> None:
    run_id = start(api)
    first, second = made(api, run_id), made(api, run_id)
    assert api.send("GET", "/status", headers={"Status-Link": first}).status_code == 404
    assert api.send("GET", "/status", headers={"Status-Link": second}).status_code == 200
    state = content(api.send("GET", f"/runs/{run_id}/link", headers=LOGIN))
    assert state["made_at"]
    assert second not in json.dumps(state)
    assert content(api.send("DELETE", f"/runs/{run_id}/link", json={}, headers=LOGIN))["made_at"] is None
    assert content(api.send("GET", "/status", headers={"Status-Link": second}))["error"] == "status_link_not_found"


@pytest.mark.parametrize("headers", [{}, {"Status-Link": ""}, {"Status-Link": "x" * 5000}])
def test_without_a_known_secret_there_is_nothing(api: Api, headers: dict[str, str]) -> None:
    assert api.send("GET", "/status", headers=headers).status_code == 404


def test_the_secret_is_in_no_file_of_the_service(api: Api, tmp_path: Path) -> None:
    secret = made(api, start(api))
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    with documents_in(tmp_path) as documents:
        links = documents.read("status-links.json")
    assert links and all(secret.encode() not in content for content in [links, *kept])


def test_none_are_made_unless_the_service_allows_it(tmp_path: Path) -> None:
    with service_in(tmp_path) as api:
        run_id = api.start(f"root@127.0.0.1 -p {closed_port()}", options={"wait_seconds": 0})
        refused = api.post(f"/runs/{run_id}/link", {})
        assert (refused.status_code, content(refused)["error"]) == (409, "status_links_off")
        assert not content(api.get(f"/runs/{run_id}/link"))["allowed"]


def test_a_link_goes_with_its_run(api: Api, tmp_path: Path) -> None:
    """Whoever has it does not learn that the run was forgotten, and nothing stays."""
    run_id = start(api)
    api.send("GET", f"/tasks/{run_id}?wait=30", headers=LOGIN)
    secret = made(api, run_id)
    pruned = api.send("POST", "/tasks/prune", json={"older_than_days": 0}, headers=LOGIN)
    assert content(pruned)["records"] == 1
    answer = api.send("GET", "/status", headers={"Status-Link": secret})
    assert (answer.status_code, content(answer)["error"]) == (404, "status_link_not_found")
    with documents_in(tmp_path) as documents:
        assert run_id.encode() not in (documents.read("status-links.json") or b"")
