"""What of an ended run is worth another try, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain import retry
from app.domain.retry import RetryLinks, manifest_of, names_to_retry, next_attempt
from app.protocol.reasons import REASONS
from app.protocol.snapshot import Node, Problem, Snapshot
from app.protocol.states import NodeState, TaskState

URL = "https://github.com/owner/pack"


def _node(name: str, state: NodeState, code: str = "", folder: str = "") -> Node:
    return Node(name, URL, state, folder=folder or name, error=Problem(code, "") if code else None)


def _ended(*nodes: Node, state: TaskState = TaskState.COMPLETED, code: str = "") -> Snapshot:
    error = Problem(code, "") if code else None
    return Snapshot("t", 0.0, state=state, error=error, finished_at=100.0, nodes={node.name: node for node in nodes})


GOOD = _node("good", NodeState.VERIFIED)
LIMITED = _node("limited", NodeState.FAILED, "rate_limited")
GONE = _node("gone", NodeState.FAILED, "repository_not_found")
MIXED = _ended(GOOD, LIMITED, GONE)


def test_what_did_not_end_well_is_repeated_in_its_order() -> None:
    assert names_to_retry(MIXED, automatic=False) == ("limited", "gone")


def test_by_itself_only_what_may_pass() -> None:
    assert names_to_retry(MIXED, automatic=True) == ("limited",)
    assert names_to_retry(_ended(GOOD, GONE), automatic=True) is None


def test_a_good_pack_with_an_error_did_not_end_well() -> None:
    """Its requirements failed and its import did not: the outcome is partial for its sake."""
    assert names_to_retry(_ended(_node("half", NodeState.VERIFIED, "build_failed")), automatic=False) == ("half",)


def test_what_was_only_planned_went_well() -> None:
    assert names_to_retry(_ended(_node("planned", NodeState.SKIPPED, "plan_only")), automatic=False) is None


def test_a_run_that_was_undone_is_repeated_with_the_packs_that_were_undone() -> None:
    undone = _ended(_node("undone", NodeState.SKIPPED, "rolled_back"), state=TaskState.FAILED, code="rolled_back")
    assert names_to_retry(undone, automatic=False) == ("undone",)
    assert names_to_retry(undone, automatic=True) is None


@pytest.mark.parametrize("code", sorted(code for code, reason in REASONS.items() if reason.transient))
def test_a_run_that_failed_for_a_passing_reason_is_repeated_whole(code: str) -> None:
    failed = _ended(state=TaskState.FAILED, code=code)
    assert names_to_retry(failed, automatic=True) == ()
    assert manifest_of({"urls": [URL]}, failed, (), ("https",)) == {"urls": [URL]}


def test_a_cancelled_run_is_repeated_when_asked_for_and_not_by_itself() -> None:
    cancelled = _ended(_node("one", NodeState.CANCELLED), state=TaskState.CANCELLED, code="connect_failed")
    assert names_to_retry(cancelled, automatic=False) == ("one",)
    assert names_to_retry(cancelled, automatic=True) is None


def test_a_pack_without_its_parent_is_repeated_with_it() -> None:
    parent = _node("parent", NodeState.FAILED, "stalled")
    child = _node("child", NodeState.SKIPPED, "parent_failed", folder="parent/child")
    assert names_to_retry(_ended(parent, child), automatic=True) == ("parent", "child")
    assert retry.with_parents(_ended(parent, child, GOOD), ["child"]) == ("parent", "child")


def test_a_lock_stays_a_lock() -> None:
    """It has the versions of the packages too."""
    lock = {"format": 1, "packages": {"a": "1"}, "node_packs": [{"name": "good"}, {"name": "gone"}]}
    assert manifest_of({"lock": lock}, MIXED, ["gone"], ("https",)) == {
        "lock": {**lock, "node_packs": [{"name": "gone"}]}
    }


def test_each_pause_is_longer_and_none_is_longer_than_the_cap() -> None:
    retry_links = [RetryLinks(limit=5, number=number, is_open=True) for number in range(5)]
    pauses = [(next_attempt(each, MIXED, 30.0) or 0) - 100.0 for each in retry_links]
    assert pauses == sorted(pauses)
    assert 30 <= pauses[0] <= 45
    assert (next_attempt(RetryLinks(limit=1, is_open=True), MIXED, 1e9) or 0) - 100.0 <= 1.5 * retry.CAP_SECONDS


def test_the_tasks_of_a_fleet_do_not_come_back_all_at_once() -> None:
    retry_links = RetryLinks(limit=1, is_open=True)
    assert len({next_attempt(retry_links, replace(MIXED, task_id=f"t{n}"), 30.0) for n in range(20)}) > 15


def test_none_is_due_before_the_end_or_when_it_was_called_off() -> None:
    assert next_attempt(RetryLinks(limit=1, is_open=True), replace(MIXED, finished_at=None), 1.0) is None
    assert next_attempt(RetryLinks(limit=1), MIXED, 1.0) is None
