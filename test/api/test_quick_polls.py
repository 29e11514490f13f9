"""The short way of a poll and the way through the routes: nobody can tell which one was gone."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from app.sync.http.admission import LOOKED_SECONDS, note_look
from app.sync.http.at_once import Ready
from app.sync.http.quick_polls import QuickPolls
from test.api.client import PROGRESS, Api, closed_address
from test.api.test_patches import without_clocks

MISSING = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def ended(api: Api) -> str:
    """A task that has ended."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    return task_id


def both(api: Api, body: bytes, kind: str = "application/json") -> list[tuple[int, dict[str, str], Any]]:
    """The answer of each way: status, headers, JSON."""
    found = []
    for looked in (True, False):
        environ: dict[str, Any] = {}
        if looked:
            note_look(environ, time.monotonic())
        answer = api.send("POST", PROGRESS, data=body, content_type=kind, environ_overrides=environ)
        text = answer.get_data()
        named = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
        assert answer.content_length == len(text)
        found.append((answer.status_code, named, without_clocks(json.loads(text))))
    return found


def gone(monkeypatch: pytest.MonkeyPatch) -> list[Ready]:
    """The answers of requests that went the short way to its end, from now on."""
    answers: list[Ready] = []
    real = QuickPolls._ready

    def ready(self: QuickPolls, environ: dict[str, Any], text_of: Any) -> Ready | None:
        made = real(self, environ, text_of)
        answers.extend([made] if made else [])
        return made

    monkeypatch.setattr(QuickPolls, "_ready", ready)
    return answers


def test_both_ways_answer_the_same(api: Api, ended: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, unchanged and as a patch; with the headers of all answers."""
    revision = api.progress(ended)["revision"]
    short = gone(monkeypatch)
    asked: list[dict[str, Any]] = [{}, {"since": revision}, {"since": 0, "patch": True}, {"patch": True}]
    for fields in asked:
        body = json.dumps({"task_id": ended.upper(), **fields}).encode()
        one, other = both(api, body)
        assert one == other
        assert one[1]["Nodeferry-Pages"] and one[1]["Vary"] == "Accept-Encoding"
    assert len(short) == len(asked)
    one, other = both(api, json.dumps({"task_id": ended.upper()}).encode(), "text/plain")
    assert one == other and one[0] == 415, "that the body is known is no reason"


def test_what_is_refused_is_refused_the_same(api: Api, ended: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the routes, whatever is wrong with a request; its body is still there for them."""
    short = gone(monkeypatch)
    bodies = (
        "{",
        "[]",
        "",
        "{}",
        '{"task_id":1}',
        '{"task_id":"x"}',
        json.dumps({"task_id": MISSING}),
        json.dumps({"task_id": ended, "more": 1}),
        json.dumps({"task_id": ended, "since": -1}),
        f'{{"task_id":"{ended}","task_id":"{ended}"}}',
    )
    for body in bodies:
        one, other = both(api, body.encode())
        assert one == other and one[0] >= 400, body
    one, other = both(api, json.dumps({"task_id": ended}).encode(), "text/plain")
    assert one == other and one[0] == 415
    assert not short


def test_only_what_the_server_has_let_in_goes_the_short_way(
    api: Api, ended: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was let in long ago is looked at once more; no header can say it; the log of all requests has them all."""
    short = gone(monkeypatch)
    body = {"task_id": ended}
    for headers in ({}, {"nodeferry.looked-at": "1e9"}):
        assert api.send("POST", PROGRESS, json=body, headers=headers).status_code == 200
    assert not short
    early: dict[str, Any] = {}
    note_look(early, time.monotonic() - 2 * LOOKED_SECONDS)
    assert api.send("POST", PROGRESS, json=body, environ_overrides=early).status_code == 200
    assert len(short) == 1
    bad = api.send("POST", PROGRESS, json=body, headers={"Origin": "https://evil.example"}, environ_overrides=early)
    assert bad.status_code == 403
    assert len(short) == 1
    caplog.set_level(logging.DEBUG, "app.sync.http.services")
    fresh: dict[str, Any] = {}
    note_look(fresh, time.monotonic())
    assert api.send("POST", PROGRESS, json=body, environ_overrides=fresh).status_code == 200
    assert len(short) == 1


def test_a_short_poll_is_counted(api: Api, ended: str) -> None:
    """By its route, as each request is."""
    line = 'nodeferry_request_seconds_count{route="POST /ssh/install-custom-nodes/progress"}'

    def counted() -> float:
        found = [each for each in api.get("/metrics").text.splitlines() if each.startswith(line)]
        return float(found[0].split()[-1]) if found else 0.0

    before = counted()
    both(api, json.dumps({"task_id": ended}).encode())
    assert counted() == before + 2
