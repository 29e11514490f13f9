"""The counts of node packs: each pack counts once, and the old fields are sums of the new ones."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import counts
from app.protocol.counts import Counts, Standing
from app.protocol.events import ManifestRead, PhaseChanged, RunEnded, RunStarted, ScriptChanged
from app.protocol.manifest import NodePack
from app.protocol.progress_json import initial, progress
from app.protocol.snapshot import Node, PhaseRun, Problem, Snapshot
from app.protocol.states import GOOD_NODE_STATES, TERMINAL_TASK_STATES, NodeState, Phase, StepStatus, TaskState
from test.protocol.events_for_tests import COMMIT, PROBLEM, TASK_ID, Writer, fold, listed

PARTS = ("ready", "problem", "failed", "skipped", "cancelled", "working", "waiting")
NODES = st.builds(
    Node,
    name=st.uuids().map(str),
    repo_url=st.just("https://example.org/o/n"),
    state=st.sampled_from(NodeState),
    folder=st.sampled_from(["one", "two", "one/inner", "two/deep/inner", "elsewhere/inner"]),
    verified=st.sampled_from([None, True, False]),
    commit=st.sampled_from([None, COMMIT]),
    error=st.sampled_from([None, Problem("plan_only", "Nothing was to be changed."), Problem("script_failed", "No.")]),
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any snapshot, also such as no run has."""
    nodes = draw(st.lists(NODES, max_size=8))
    verify = draw(st.sampled_from([None, *StepStatus]))
    return dataclasses.replace(
        initial(TASK_ID, 1000.0, auto_installer=False),
        state=draw(st.sampled_from(TaskState)),
        verify=draw(st.sampled_from([None, True, False])),
        phases={} if verify is None else {Phase.VERIFY: PhaseRun(verify)},
        nodes={node.name: node for node in nodes},
    )


@given(snapshots())
def test_the_parts_add_up_and_the_old_fields_are_sums_of_them(snapshot: Snapshot) -> None:
    """Whatever the snapshot is, no pack is counted twice and none is forgotten."""
    shown = progress(snapshot, 1010.0)
    parts = shown["counts"]
    states = [node.state for node in snapshot.nodes.values()]
    assert list(parts) == ["total", *PARTS]
    assert sum(parts[name] for name in PARTS) == parts["total"] == shown["total_nodes"] == len(states)
    assert all(number >= 0 for number in parts.values())
    assert {name: parts[name] for name in PARTS} == {
        name: [row["standing"] for row in shown["nodes"]].count(name) for name in PARTS
    }
    assert all(row["counts_as"] == row["standing"] for row in shown["nodes"])
    assert shown["successful"] == sum(state in GOOD_NODE_STATES for state in states)
    assert (shown["failed"], shown["skipped"], shown["cancelled"]) == tuple(parts[name] for name in PARTS[2:5])
    assert shown["processed"] == shown["successful"] + shown["failed"] + shown["skipped"] + shown["cancelled"]
    unchecked = shown["successful"] - parts["ready"] - parts["problem"]
    assert 0 <= unchecked <= parts["working"]
    if snapshot.state in TERMINAL_TASK_STATES:
        assert unchecked == 0


@given(snapshots())
def test_ready_is_said_of_nothing_that_is_known_to_be_broken(snapshot: Snapshot) -> None:
    """A ready pack is good, has no error, and its import is not false."""
    for node in snapshot.nodes.values():
        if counts.standing(snapshot, node) is Standing.READY:
            assert node.state in GOOD_NODE_STATES
            assert node.error is None
            assert node.verified is not False or "/" in node.folder


@given(snapshots(), snapshots())
def test_counts_of_several_runs_add_up_too(one: Snapshot, other: Snapshot) -> None:
    """A fleet's counts are those of its instances."""
    both = counts.count(one) + counts.count(other)
    parts = both.to_json()["counts"]
    assert sum(parts[name] for name in PARTS) == parts["total"] == len(one.nodes) + len(other.nodes)
    assert both.cloned == counts.count(one).cloned + counts.count(other).cloned


def told(*names: str, verify: bool | None, good: tuple[str, ...]) -> Writer:
    """A run up to its verify phase; the packs of `good` are installed."""
    run = Writer()
    run.emit(RunStarted(TASK_ID, "1", 1, verify))
    run.emit(listed(*names))
    for name in good:
        run.node(name, "cloned", commit=COMMIT)
        run.node(name, "installed")
    return run


def parts_of(run: Writer) -> dict[str, int]:
    """The counts that are not 0, without the total."""
    return {
        name: number
        for name, number in counts.count(fold(run.told)).to_json()["counts"].items()
        if number and name in PARTS
    }


@pytest.mark.parametrize("verify", [True, None])
def test_a_pack_that_waits_for_its_import_is_no_problem_before_the_check(verify: bool | None) -> None:
    """It is being worked on; after the check it is ready, or a problem if nothing was found out."""
    run = told("one", "two", "three", verify=verify, good=("one", "two"))
    assert parts_of(run) == {"working": 2, "waiting": 1}
    run.emit(PhaseChanged(Phase.VERIFY, StepStatus.RUNNING))
    run.node("one", "verified", verified=True)
    assert parts_of(run) == {"ready": 1, "working": 1, "waiting": 1}
    run.emit(PhaseChanged(Phase.VERIFY, StepStatus.SUCCESS))
    assert parts_of(run) == {"ready": 1, "problem": 1, "waiting": 1}


def test_where_nobody_asked_for_the_check_an_installed_pack_is_ready() -> None:
    """At once, and at the end; one with an error is a problem all the same."""
    run = told("one", "two", verify=False, good=("one", "two"))
    assert parts_of(run) == {"ready": 2}
    run.emit(ScriptChanged("two", StepStatus.FAILED, PROBLEM))
    assert parts_of(run) == {"ready": 1, "problem": 1}
    run.emit(RunEnded(TaskState.COMPLETED))
    assert parts_of(run) == {"ready": 1, "problem": 1}


def test_a_cancelled_run_leaves_unchecked_packs_as_problems() -> None:
    """Nobody will look at their import any more."""
    run = told("one", "two", verify=True, good=("one",))
    run.emit(RunEnded(TaskState.CANCELLED))
    assert parts_of(run) == {"problem": 1, "cancelled": 1}


def test_a_nested_pack_counts_as_the_pack_that_loads_it() -> None:
    """ComfyUI imports the folders in custom_nodes and no deeper ones."""
    folders = {"outer": "outer", "inner": "outer/nodes/inner", "lone": "elsewhere/lone"}
    packs = [NodePack(name, "https://example.org/o/n", subfolder=folder) for name, folder in folders.items()]
    run = Writer()
    run.emit(RunStarted(TASK_ID, "1", 1, verify=True))
    run.emit(ManifestRead("nodes", tuple(packs)))
    for name in ("outer", "inner", "lone"):
        run.node(name, "cloned", commit=COMMIT)
        run.node(name, "installed")
    assert parts_of(run) == {"ready": 1, "working": 2}
    run.node("outer", "verified", verified=True)
    assert parts_of(run) == {"ready": 3}


def test_packs_of_a_plan_are_skipped() -> None:
    """Nothing was to be changed, so nothing is ready."""
    run = told("one", "two", verify=False, good=())
    for name in ("one", "two"):
        run.node(name, "skipped", error=Problem("plan_only", "Nothing was to be changed."))
    run.emit(RunEnded(TaskState.COMPLETED))
    assert parts_of(run) == {"skipped": 2}


def test_in_words() -> None:
    """What is 0 is not mentioned, but for what is ready."""
    assert Counts(total=34, ready=30, problem=1, failed=3).in_words() == "30 of 34 ready, 3 failed, 1 with a problem"
    assert Counts(total=2, working=1, unchecked=1, waiting=1).in_words() == "0 of 2 ready, 1 to be checked"
