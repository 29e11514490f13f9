"""The progress as server-sent events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from app.sync.http.routes import events
from test.api.client import Api, closed_address, content, silent_address
from test.support.service import ServiceProcess


@dataclass
class Event:
    """One event as a browser sees it."""

    id: int
    progress: dict[str, Any]


def events_of(lines: Iterator[str]) -> Iterator[Event]:
    """By the standard's rules, as far as we use them."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and fields:
            assert fields["event"] == "progress"
            yield Event(int(fields["id"]), json.loads(fields["data"]))
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def stream(api: Api, task_id: str, **headers: str) -> list[Event]:
    answer = api.get(f"/tasks/{task_id}/events", **headers)
    assert answer.content_type.startswith("text/event-stream"), answer.text
    return list(events_of(iter(answer.text.split("\n"))))


def test_a_stream_ends_with_the_tasks_end(api: Api) -> None:
    """Its events are polls' answers, their ids the revisions, which grow."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    found = stream(api, task_id)
    assert [event.id for event in found] == sorted({event.id for event in found})
    assert [event.id for event in found] == [event.progress["revision"] for event in found]
    assert found[-1].progress["state"] == "failed"
    assert set(found[-1].progress) == set(api.progress(task_id))


def test_a_reader_that_comes_back_gets_what_is_new(api: Api) -> None:
    """By the revision that it saw last; at the end of a task it need not come back."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    last = api.progress(task_id)["revision"]
    assert [event.id for event in stream(api, task_id, Last_Event_ID=str(last - 1))] == [last]
    assert api.get(f"/tasks/{task_id}/events", Last_Event_ID=str(last)).status_code == 204
    assert [event.id for event in stream(api, task_id, Last_Event_ID="odd")] == [last]


def test_an_unknown_task_is_an_error_and_no_stream(api: Api) -> None:
    """In the one shape."""
    answer = api.get("/tasks/550e8400-e29b-41d4-a716-446655440000/events")
    assert (answer.status_code, content(answer)["error"]) == (404, "task_not_found")


def test_a_quiet_stream_says_that_it_is_there_and_ends_in_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An abort is only noticed when something is written; who wants more comes back."""
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.3)
    monkeypatch.setattr(events, "STREAM_SECONDS", 1.5)
    with silent_address() as address:
        task_id = api.start(address)
        began = time.monotonic()
        text = api.get(f"/tasks/{task_id}/events").text
        assert time.monotonic() - began < 10
        assert text.count(": still here") >= 1
        api.post(f"/tasks/{task_id}/cancel")
        api.ended(task_id)


def test_every_stream_gives_its_place_back(api: Api) -> None:
    """However it ends: more streams than places, one after another."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    for _ in range(40):
        assert len(stream(api, task_id)) == 1
        api.send("HEAD", f"/tasks/{task_id}/events").close()


@pytest.mark.slow
@pytest.mark.quiet
def test_streams_never_starve_polls_and_end_with_the_service(tmp_path: Path) -> None:
    """With more streams than there may be, the rest is refused, a poll answers at once, and a service that is told to
    end is gone in time, its streams ended in order."""
    with ServiceProcess(tmp_path) as service, silent_address() as address, ExitStack() as opened:
        task_id = service.install(address, options={"wait_seconds": 600})
        session = opened.enter_context(requests.Session())
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=80))
        url = f"{service.url}/tasks/{task_id}/events"
        answers = [opened.enter_context(session.get(url, stream=True, timeout=30)) for _ in range(70)]
        statuses = [answer.status_code for answer in answers]
        assert (statuses.count(200), statuses.count(503)) == (32, 38)
        assert {answer.json()["error"] for answer in answers if answer.status_code == 503} == {"too_many_streams"}
        began = time.monotonic()
        for _ in range(20):
            service.progress(task_id)
        assert time.monotonic() - began < 2
        ended = []
        readers = [
            threading.Thread(target=lambda answer=answer: ended.append(answer.content))
            for answer in answers
            if answer.status_code == 200
        ]
        for reader in readers:
            reader.start()
        began = time.monotonic()
        service.stop()
        for reader in readers:
            reader.join(10)
        assert time.monotonic() - began < 8
        assert len(ended) == 32, "each was ended in order, none cut off"


@pytest.mark.slow
def test_the_place_of_a_reader_that_went_away_gets_free(tmp_path: Path) -> None:
    """At its second heartbeat at the latest: that a browser left is seen when it is written to. A reader of patches has
    one every four seconds, not every ten."""
    with ServiceProcess(tmp_path) as service, silent_address() as address:
        task_id = service.install(address, options={"wait_seconds": 600})
        url = f"{service.url}/tasks/{task_id}/events?patch=true"
        gone = [requests.get(url, stream=True, timeout=30) for _ in range(32)]
        assert requests.get(url, stream=True, timeout=30).status_code == 503
        for answer in gone:
            answer.close()
        deadline = time.monotonic() + 45
        pause = threading.Event()
        while requests.get(url, stream=True, timeout=30).status_code == 503:
            assert time.monotonic() < deadline
            pause.wait(0.5)
