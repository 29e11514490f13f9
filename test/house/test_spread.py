"""How the tests of a run are divided among its processes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from test.support.alone import room, running_order
from test.support.spread import Together, shares

SHARING, ITS_OWN = "test/bench/test_cluster.py", "test/house/test_spread.py"
TESTS = [f"{ITS_OWN}::a", *(f"{SHARING}::{name}" for name in "abcde"), *(f"{ITS_OWN}::{name}" for name in "bcdef")]


class Process:
    """One that runs nothing; what it has to do."""

    shutting_down = False
    gateway = SimpleNamespace(id="one")

    def __init__(self) -> None:
        self.todo: list[int] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.todo += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.fixture
def processes() -> list[Process]:
    return [Process() for _ in range(2)]


@pytest.fixture
def scheduling(processes: list[Process]) -> Together:
    config: Any = SimpleNamespace(getvalue=lambda _name: ["popen"] * len(processes), getoption=lambda _name: 1)
    made = Together(config)
    for process in processes:
        made.add_node(process)
        made.add_node_collection(process, TESTS)
    made.schedule()
    return made


def test_a_module_that_shares_something_stays_together(scheduling: Together, processes: list[Process]) -> None:
    first, second = processes
    assert first.todo == [0, 1, 2, 3, 4, 5]
    assert second.todo == [6, 7]


def test_nobody_is_given_more_than_the_next_test(scheduling: Together, processes: list[Process]) -> None:
    """However quick its tests are; what is left goes to whoever is free."""
    first, second = processes
    for number in (0, 1, 2, 3):
        scheduling.mark_test_complete(first, number, 0.001)
    assert first.todo == [0, 1, 2, 3, 4, 5]
    scheduling.mark_test_complete(second, 6, 0.001)
    assert second.todo == [6, 7, 8]
    scheduling.mark_test_complete(first, 4, 60.0)
    assert first.todo == [0, 1, 2, 3, 4, 5, 9]


def test_what_is_shared_is_read_from_the_module_and_its_folder() -> None:
    assert shares(SHARING) and shares("test/upgrade/test_history.py") and not shares(ITS_OWN)


def test_what_others_wait_for_comes_last(request: pytest.FixtureRequest) -> None:
    before = running_order(request.node)
    request.node.add_marker("quiet")
    assert (room(request.node), before < running_order(request.node)) == ("quiet", True)
