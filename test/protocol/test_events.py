"""The decoder: what a line must be to become an event, and what it makes of lines of older and newer runners."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.protocol.budgets import MAX_LINE_BYTES
from app.protocol.event_body import Body
from app.protocol.events import (
    Event,
    LockMade,
    ManifestRead,
    NodeChanged,
    PackagesPlanned,
    PackagesProgress,
    Probed,
    StepChanged,
    decode,
    encode,
)
from app.protocol.json_fields import ProtocolFault
from app.protocol.manifest import NodePack
from app.protocol.snapshot import PlannedChange, Problem
from app.protocol.states import NodeState, StepStatus

HEAD = {"seq": 1, "wall": 2.5, "mono": 3.5}
PACK = {"name": "a", "repo_url": "https://example.org/o/a"}
DEEP: dict[str, Any] = {}
for _ in range(20):
    DEEP = {"below": DEEP}


def line(**fields: Any) -> bytes:
    return json.dumps({**HEAD, **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        NodeChanged("a", NodeState.VERIFIED, Problem("c", "m", "h"), verified=True, import_seconds=1.5),
        StepChanged("Connect", StepStatus.SUCCESS, "there", 2),
        ManifestRead("csv", (NodePack("a", "https://example.org/o/a", subfolder="sub/a", ref="main"),)),
        PackagesPlanned((PlannedChange("numpy", None, "2.0", "add", wanted_by=("a", "b"), bytes=5, stage="agrees"),)),
        Probed("/ui", {"gpu": [{"name": "x"}], "driver": None}),
        LockMade({"format": 1, "packages": {"numpy": "2.0"}}),
    ],
)
def test_an_event_comes_back_as_it_was(body: Body) -> None:
    """Through one line of the journal."""
    event = Event(body, 7, 1.25, 2.25)
    assert decode(encode(event)) == event


def test_a_field_that_has_nothing_to_tell_is_not_on_the_wire() -> None:
    """A pack's move has `error` always, and `commit` only where there is one: as older services expect it."""
    told = json.loads(encode(Event(NodeChanged("a", NodeState.CLONING), 1, 1.0, 1.0)))
    assert set(told) == {*HEAD, "event", "name", "state", "error"}


def test_fields_of_a_newer_runner_are_dropped_and_those_of_an_older_one_default() -> None:
    """Also inside of what an event has."""
    newer = decode(line(event="node", name="a", state="failed", error={"code": "c", "message": "m", "new": 1}, more=[]))
    assert newer.body == NodeChanged("a", NodeState.FAILED, Problem("c", "m"))
    older = decode(line(event="packages", done=1, total=2))
    assert older.body == PackagesProgress(1, 2, None, None)
    plan = decode(line(event="plan", changes=[{"package": "numpy", "old": None, "new": "2"}]))
    assert plan.body == PackagesPlanned((PlannedChange("numpy", None, "2"),))


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "node", "name": "a", "state": "splendid"},
        {"event": "node", "name": 5, "state": "cloned"},
        {"event": "node", "name": "a"},
        {"event": "node", "name": "a", "state": "cloned", "kept": "yes"},
        {"event": "node", "name": "a", "state": "failed", "error": "it broke"},
        {"event": "node", "name": "a", "state": "failed", "error": {"code": "c"}},
        {"event": "node", "name": None, "state": "cloned"},
        {"event": "packages", "done": "many", "total": 1},
        {"event": "packages", "done": True, "total": 1},
        {"event": "packages", "done": 1.5, "total": 1},
        {"event": "packages", "done": 10**30, "total": 1},
        {"event": "node_progress", "name": "a", "percent": 1, "rate": float("inf")},
        {"event": "node_progress", "name": "a", "percent": 1, "eta": float("nan")},
        {"event": "step", "name": "a", "status": "running", "seconds": 10**400},
        {"event": "manifest", "source": "csv", "nodes": {"a": PACK}},
        {"event": "manifest", "source": "csv", "nodes": [PACK, "b"]},
        {"event": "manifest", "source": "csv", "nodes": [{"name": "a"}]},
        {"event": "plan", "changes": [{"package": ["numpy"]}]},
        {"event": "plan", "changes": [{"package": "numpy", "wanted_by": [1]}]},
        {"event": "lock", "lock": []},
        {"event": "lock", "lock": DEEP},
        {"event": "lock", "lock": {"gpu": [float("nan")]}},
        {"event": "probed", "ui_home": None},
        {"event": "probed", "ui_home": "/ui", "gpu": DEEP},
        {"event": ["node"]},
        {},
        {"event": "uploaded", "seq": "1"},
        {"event": "uploaded", "seq": True},
        {"event": "uploaded", "wall": float("inf")},
        {"event": "uploaded", "mono": None},
        {"event": "uploaded", "mono": 1e308},
        {"event": "uploaded", "wall": -1},
    ],
)
def test_a_field_of_another_type_is_its_writer_s_fault(fields: dict[str, Any]) -> None:
    """Words, numbers and objects where others belong, numbers that are none, and what nests too deep."""
    with pytest.raises(ProtocolFault):
        decode(line(**fields))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"seq":1}' + b" " * MAX_LINE_BYTES,
        b'{"seq":' + b"9" * 5000 + b"}",
    ],
)
def test_a_line_that_is_no_event_is_a_fault(raw: bytes) -> None:
    """And never another error, whatever the bytes are."""
    with pytest.raises(ProtocolFault):
        decode(raw)
