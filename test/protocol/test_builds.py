"""Builds: what their events make of the snapshot, and what progress says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import builds
from app.protocol.events import (
    BuildChanged,
    Event,
    Interrupted,
    RunEnded,
    RunStarted,
    SkipRequested,
    Source,
    decode,
    encode,
)
from app.protocol.json_fields import ProtocolFault
from app.protocol.progress_json import message, progress
from app.protocol.snapshot import Problem, Snapshot, from_stored, to_stored
from app.protocol.states import BuildState, TaskState
from test.protocol.events_for_tests import TASK_ID, Writer, fold

_STATES = [state for state in BuildState if state is not BuildState.UNFINISHED]


def build(package: str, state: str, version: str = "1.0", **fields: Any) -> BuildChanged:
    return BuildChanged(package, version, BuildState(state), fields.pop("packs", ("a",)), **fields)


def run_of(*bodies: BuildChanged) -> Writer:
    """A run with these events, a second apart; the first is at 2 s of the clock, a second after the run began."""
    run = Writer()
    run.emit(RunStarted(TASK_ID, "1", 1))
    for body in bodies:
        run.emit(body)
    return run


def rows(snapshot: Snapshot, now: float | None = None) -> dict[str, Any]:
    shown = progress(snapshot, (snapshot.last_at or 0.0) if now is None else now)
    return {row["package"]: row for row in shown["builds"]}


def test_a_build_is_told_from_its_wait_to_its_end() -> None:
    """Its seconds go on between the events while it runs, and are the runner's own afterwards."""
    run = run_of(build("foo", "waiting", packs=("a", "b")), build("foo", "running", detail="[12/80] x"))
    now = fold(run.told)
    assert now.last_at is not None
    assert rows(now, now.last_at + 240)["foo"] == {
        "package": "foo",
        "version": "1.0",
        "state": "running",
        "packs": ["a"],
        "detail": "[12/80] x",
        "seconds": 240.0,
        "since": 2.0,
        "skip_requested": False,
    }
    run.emit(build("foo", "running", detail="[13/80] y"))
    assert rows(fold(run.told))["foo"]["since"] == 2.0, "since it has run, not since its newest detail"
    run.emit(build("foo", "done", seconds=1.75))
    ended = rows(fold(run.told))["foo"]
    assert (ended["state"], ended["seconds"], ended["since"], ended["detail"]) == ("done", 1.75, 4.0, None)


def test_running_builds_come_first_and_the_message_names_them() -> None:
    """Three by name; the others are counted."""
    run = run_of(
        build("old", "done"), build("next", "waiting"), *(build(name, "running") for name in ("b", "c", "d", "e"))
    )
    snapshot = fold(run.told)
    assert list(rows(snapshot)) == ["b", "c", "d", "e", "next", "old"]
    assert message(snapshot).endswith("; building b, c, d and 1 more")
    assert "building" not in message(fold(run_of(build("old", "done")).told))


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_after_the_end_nothing_is_being_built(state: str) -> None:
    """How a build would have ended is unknown, and is called that; what had ended stays as it was."""
    run = run_of(
        build("x", "running"), build("y", "waiting"), build("z", "skipped", detail="asked"), build("w", "failed")
    )
    run.emit(RunEnded(TaskState(state), Problem("disk_full", "Full.") if state == "failed" else None))
    shown = rows(fold(run.told), 5000.0)
    assert {name: row["state"] for name, row in shown.items()} == {
        "x": "unfinished",
        "y": "unfinished",
        "z": "skipped",
        "w": "failed",
    }
    assert (shown["x"]["seconds"], shown["y"]["seconds"]) == (3.0, None)


def test_an_interrupted_run_keeps_its_builds() -> None:
    """They go on on the instance; the stored form has them too."""
    service, run = Writer(Source.SERVICE), run_of(build("x", "running", packs=("a", "b")))
    cut = fold([service.emit(Interrupted(Problem("connection_lost", "")))], fold(run.told))
    stored = json.loads(json.dumps(to_stored(cut)))
    assert from_stored(stored) == cut
    assert rows(from_stored(stored))["x"]["state"] == "running"
    del stored["builds"]
    assert from_stored(stored).builds == {}, "a record of an earlier version"


def test_what_the_user_asked_to_skip_stays_asked() -> None:
    """Until the runner says how it ended, and after that; of a build that is not known it changes nothing."""
    service, run = Writer(Source.SERVICE), run_of(build("x", "running"), build("y", "waiting"))
    asked = [service.emit(SkipRequested("x")), service.emit(SkipRequested("stranger"))]
    run.emit(build("x", "running", detail="[2/3] z"))
    snapshot = fold(asked, fold(run.told))
    assert {name: row["skip_requested"] for name, row in rows(snapshot).items()} == {"x": True, "y": False}
    assert from_stored(json.loads(json.dumps(to_stored(snapshot)))) == snapshot
    ended = fold([run.emit(build("x", "skipped"))], snapshot)
    assert (rows(ended)["x"]["state"], rows(ended)["x"]["skip_requested"]) == ("skipped", True)
    assert builds.live(ended) == ["y"]


def test_a_build_that_begins_again_counts_from_there() -> None:
    """In another version, or after it had failed."""
    run = run_of(build("x", "running"), build("x", "failed", seconds=1.0), build("x", "running", version="0.9"))
    assert rows(fold(run.told))["x"]["seconds"] == 0.0
    run = run_of(build("x", "running"), build("x", "failed", seconds=1.0), build("x", "running"))
    assert rows(fold(run.told))["x"]["seconds"] == 0.0


def test_names_are_canonical_and_texts_are_bounded() -> None:
    """On both sides: whoever makes the event, and whoever reads a line that somebody else made."""
    hostile = "Ev_il\x1b[31m" + "x" * 5000
    line = {
        "seq": 1,
        "wall": 1.0,
        "mono": 1.0,
        "event": "build",
        "package": hostile,
        "version": "9" * 5000,
        "state": "running",
        "packs": ["p" * 500] * 500,
        "detail": "\u202e\n" * 5000,
    }
    body = decode(json.dumps(line).encode()).body
    assert isinstance(body, BuildChanged)
    assert body.package.startswith("ev-ilxxx")
    assert [len(text) for text in (body.package, body.version, body.detail)] == [200, 100, 200]
    assert (len(body.packs), {len(name) for name in body.packs}) == (200, {200})
    assert body.detail.isprintable()
    assert decode(encode(Event(body, 1, 1.0, 1.0))).body == body
    assert build("Foo__Bar.baz", "waiting").package == "foo-bar-baz"


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "unfinished"},
        {"state": "splendid"},
        {"package": ""},
        {"package": 7},
        {"version": None},
        {"packs": "a"},
        {"packs": [1]},
        {"detail": None},
        {"seconds": float("nan")},
        {"seconds": "1"},
    ],
)
def test_a_field_that_cannot_be_is_its_writer_s_fault(fields: dict[str, Any]) -> None:
    """Only the reducer calls a build unfinished."""
    good = {"seq": 1, "wall": 1.0, "mono": 1.0, "event": "build", "package": "x", "version": "1"}
    good |= {"state": "running", "packs": []}
    decode(json.dumps(good).encode())
    with pytest.raises(ProtocolFault):
        decode(json.dumps({**good, **fields}).encode())


def test_no_more_builds_are_kept_than_progress_shows() -> None:
    """One that has ended makes room; while none has, a new one is left out."""
    full = run_of(*(build(f"p{number}", "running") for number in range(builds.MAX_BUILDS + 5)))
    assert len(fold(full.told).builds) == builds.MAX_BUILDS
    full.emit(build("p7", "done"))
    full.emit(build("late", "waiting"))
    kept = fold(full.told).builds
    assert (len(kept), "late" in kept, "p7" in kept) == (builds.MAX_BUILDS, True, False)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(_STATES), st.sampled_from(["1", "2"])),
        min_size=1,
        max_size=30,
    ),
    st.data(),
)
def test_any_order_folds_and_can_be_replayed(moves: list[tuple[str, BuildState, str]], data: st.DataObject) -> None:
    """The newest event of a build counts, no time is negative, and a replay from anywhere gives the same."""
    run = run_of(*(BuildChanged(name, version, state, ("p",)) for name, state, version in moves))
    cut = data.draw(st.integers(0, len(run.told)))
    back = data.draw(st.integers(0, cut))
    snapshot = fold(run.told)
    assert fold(run.told[:cut] + run.told[back:]) == snapshot
    assert fold(run.told[cut:], from_stored(json.loads(json.dumps(to_stored(fold(run.told[:cut])))))) == snapshot
    newest = {name: (state.value, version) for name, state, version in moves}
    shown = rows(snapshot)
    assert {name: (row["state"], row["version"]) for name, row in shown.items()} == newest
    assert all(row["seconds"] is None or row["seconds"] >= 0 for row in shown.values())
    run.emit(RunEnded(TaskState.COMPLETED))
    assert not {row["state"] for row in rows(fold(run.told)).values()} & {"running", "waiting"}
