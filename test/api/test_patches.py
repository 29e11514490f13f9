"""Polls and streams that are answered by patches, as clients see them."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from app.sync.http.routes import events
from test.api.client import PROGRESS, Api, closed_address, content, silent_address
from test.api.test_docs import examples, section
from test.api.test_events import events_of
from test.support.patching import applied


def test_the_documents_example_is_a_patch(api: Api) -> None:
    """And the steps beside it make of it what a reader makes of it."""
    [example] = examples(section("Only what has changed"))
    schemas = content(api.get("/openapi.json"))["components"]["schemas"]
    schema = {"$ref": "#/components/schemas/ProgressPatch", "components": {"schemas": schemas}}
    assert jsonschema_rs.is_valid(schema, example)
    [before, *_] = examples(section("POST /ssh/install-custom-nodes/progress"))
    assert applied(before, example)["nodes"][0]["clone_progress"] == 71


def poll(api: Api, task_id: str, **fields: Any) -> dict[str, Any]:
    answer = api.post(PROGRESS, {"task_id": task_id, **fields})
    assert answer.status_code == 200, answer.text
    return content(answer)


def without_clocks(progress: dict[str, Any]) -> dict[str, Any]:
    clocks = {"elapsed_seconds", "elapsed_time", "last_event_seconds_ago", "eta_seconds", "line"}
    return {name: value for name, value in progress.items() if name not in clocks}


def test_a_poll_for_a_patch_is_answered_with_what_changed(api: Api) -> None:
    """From the answer of a plain poll on; without news it says only that; applied, it is the whole."""
    with silent_address() as address:
        task_id = api.start(address)
        first = poll(api, task_id)
        api.post(f"/tasks/{task_id}/cancel")
        api.ended(task_id)
        last = poll(api, task_id, since=first["revision"], patch=True)
        assert last["since"] == first["revision"] and last["completed"]
        assert without_clocks(applied(first, last)) == without_clocks(poll(api, task_id))
        again = poll(api, task_id, since=last["revision"], patch=True, line=last["line"])
        assert again["unchanged"] and again["line"] == last["line"]


def test_another_line_or_revision_is_answered_with_the_whole(api: Api) -> None:
    """The page of a service that was restarted starts anew."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    whole = poll(api, task_id)
    for asked in ({}, {"since": 9999}, {"since": 0, "line": "before"}):
        assert without_clocks(poll(api, task_id, patch=True, **asked)) == without_clocks(whole)


def test_without_patch_an_answer_has_nothing_new(api: Api) -> None:
    """Whoever does not ask for patches sees none, also beside somebody who does."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    poll(api, task_id, patch=True)
    whole = poll(api, task_id)
    assert not {"line", "patch", "since"} & set(whole)
    assert "line" not in poll(api, task_id, since=whole["revision"])


def test_a_stream_of_patches_comes_to_the_same_end(api: Api) -> None:
    """The first is whole where the reader has nothing; each later one is for what came before it."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    answer = api.get(f"/tasks/{task_id}/events?patch=true")
    progress: dict[str, Any] = {}
    for event in events_of(iter(answer.text.split("\n"))):
        assert event.id == event.progress["revision"]
        if not event.progress.get("unchanged"):
            progress = applied(progress, event.progress)
    assert without_clocks(progress) == without_clocks(poll(api, task_id))
    seen = f"/tasks/{task_id}/events?patch=true&since={progress['revision']}"
    assert api.get(seen).status_code == 204


def test_a_quiet_stream_of_patches_says_when_the_runner_was_heard(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a page knows whether what it shows is still so."""
    monkeypatch.setattr(events, "NEWS_SECONDS", 0.3)
    monkeypatch.setattr(events, "STREAM_SECONDS", 1.5)
    with silent_address() as address:
        task_id = api.start(address)
        found = list(events_of(iter(api.get(f"/tasks/{task_id}/events?patch=true").text.split("\n"))))
        assert any(event.progress.get("unchanged") for event in found)
        api.post(f"/tasks/{task_id}/cancel")
        api.ended(task_id)


@pytest.mark.parametrize("query", ["patch=perhaps", "since=-1", "since=x", "line=", "other=1"])
def test_a_stream_that_asks_for_nonsense_is_refused(api: Api, query: str) -> None:
    """By the field's name."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    answer = api.get(f"/tasks/{task_id}/events?{query}")
    assert (answer.status_code, content(answer)["field"]) == (400, query.partition("=")[0])
    api.ended(task_id)
