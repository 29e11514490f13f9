"""A reader of patches that moves from one process to another."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from app.factory import Service
from app.protocol.events import Connecting, Warned
from app.sync.installs.patches import HEAD, MOVING
from test.shared.conftest import Parties, emit, new_install
from test.shared.test_what_follows import Services, services
from test.support.patching import Reader
from test.support.waiting import wait_until

__all__ = ["services"]


def _still(progress: dict[str, Any] | None) -> str:
    """What does not move by itself."""
    moving = {*MOVING, "last_event_seconds_ago", "line", "since"} - {"revision"}
    return json.dumps({name: value for name, value in (progress or {}).items() if name not in moving})


def _poll(web: Service, task_id: str, reader: Reader) -> None:
    since = None if reader.progress is None else reader.progress["revision"]
    answer = web.installs.progress(task_id, since, patch=True, line=reader.line)
    if answer.get("unchanged"):
        reader.progress = {**(reader.progress or {}), **{name: answer[name] for name in HEAD}}
        reader.line = answer["line"]
    else:
        reader.take(answer)


@pytest.mark.parametrize("seed", range(3))
def test_what_it_has_is_the_whole_progress(parties: Parties, services: Services, seed: int) -> None:
    """Whichever of three processes answers; one that did not count its revision gives it the whole."""
    works, random = parties(), Random(seed)
    webs = [services("web") for _ in range(3)]
    task_id = new_install(works.store)
    recorder = works.runs(task_id)
    reader = Reader()
    for number in range(60):
        if random.random() < 0.6:
            body = Connecting(number + 1) if random.random() < 0.5 else Warned("a", f"Warning {number}.")
            newest = emit(recorder, body)
            for web in webs:
                wait_until(lambda of=web, at=newest: of.installs.status(task_id).snapshot.revision == at, 5)  # type: ignore[misc]
        web = random.choice(webs)
        _poll(web, task_id, reader)
        assert _still(reader.progress) == _still(web.installs.progress(task_id))
    assert any("patch" in answer for answer in reader.answers)
    assert sum("patch" not in answer for answer in reader.answers) > 5
