"""docs/journal.md shows what is: every event, every command, every limit."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from app.protocol.event_body import KINDS
from app.protocol.events import ManifestRead, NodeChanged, RequirementsChanged, ScriptChanged, Source, decode, to_json
from app.protocol.manifest import split_source
from app.protocol.progress_json import initial
from app.protocol.reducer import reduce
from app.runner.main import _parser
from app.runner.process.limits import RunLimits

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "journal.md").read_text("utf-8")
RUNNERS, SERVICES = TEXT.split("### The service's own", 1)


def examples(text: str) -> list[bytes]:
    blocks = re.findall(r"^```json\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [line.encode() for block in blocks for line in block.splitlines()]


def test_every_kind_of_event_has_an_example() -> None:
    """Each where its writer's events stand. Decoded and encoded again it is the same: no field of it is unknown."""
    shown = {line: decode(line) for line in examples(RUNNERS)}
    shown |= {line: decode(line, Source.SERVICE) for line in examples(SERVICES)}
    assert {event.body.kind for event in shown.values()} == set(KINDS)
    for line, event in shown.items():
        assert to_json(event).items() >= json.loads(line).items()


def test_the_examples_are_one_run() -> None:
    """In their order they fold: no pack is unknown, no move is illegal."""
    events = [decode(line) for line in examples(RUNNERS)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    names = {e.body.name for e in events if isinstance(e.body, (NodeChanged, ScriptChanged, RequirementsChanged))}
    snapshot = initial("550e8400-e29b-41d4-a716-446655440000", 0.0, auto_installer=False)
    for event in events:
        body = event.body
        if isinstance(body, ManifestRead):
            body = replace(body, nodes=tuple(replace(body.nodes[0], name=name) for name in sorted(names)))
        snapshot = reduce(snapshot, replace(event, body=body), event.wall)
    assert snapshot.state == "completed"


def test_every_command_is_described() -> None:
    """The table has what the command line has."""
    described = set(re.findall(r"^\| `(\w+)[ `]", TEXT.split("## The runner's commands")[1], flags=re.MULTILINE))
    choices = next(action.choices for action in _parser()._actions if action.dest == "command")
    assert set(choices or ()) <= described


def test_the_request_shows_the_usual_limits() -> None:
    """Every limit with its default, so that the page cannot fall behind."""
    block = re.search(r"^```request\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    request = json.loads(block.group(1))
    assert RunLimits.of(request) == RunLimits()
    for name in request["limits"]:
        changed = {**request, "limits": {name: [7] if name == "retry_waits" else 7}}
        assert RunLimits.of(changed) != RunLimits()
    assert split_source(request["manifest"])[0] == "csv"


def test_odd_limits_are_not_taken() -> None:
    """Words, negative numbers and lists where a number belongs leave the usual ones."""
    for odd in ("x", -1, [1], None, True, float("nan")):
        assert RunLimits.of({"limits": {"git_idle": odd, "script_idle": odd}}) == RunLimits()
    for delays in (None, [], [-1], ["x"], 3):
        assert RunLimits.of({"limits": {"retry_waits": delays}}) == RunLimits()
    assert RunLimits.of({"limits": "x"}) == RunLimits.of({}) == RunLimits()
