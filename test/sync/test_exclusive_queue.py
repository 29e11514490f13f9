"""Which install may run next."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sync.installs.exclusive_queue import ExclusiveKey, ExclusiveQueue, Waiting


def _queue(max_running: int = 10, **queue: ExclusiveKey) -> ExclusiveQueue:
    made = ExclusiveQueue(max_running)
    for task_id, key in queue.items():
        made.add(task_id, key)
    return made


def test_it_works() -> None:
    """Different instances at once; the same one after the other."""
    queue = _queue(a=ExclusiveKey.of("h:1", "/ui"), b=ExclusiveKey.of("h:1", "/ui"), c=ExclusiveKey.of("h:2", "/ui"))
    assert queue.admit() == ["a", "c"]
    assert queue.waiting() == [Waiting("b", "a", 1)]
    queue.done("a")
    assert queue.admit() == ["b"]


def test_two_comfyuis_of_one_instance_do_not_wait_for_each_other() -> None:
    assert _queue(a=ExclusiveKey.of("h:1", "/one"), b=ExclusiveKey.of("h:1", "/two")).admit() == ["a", "b"]


def test_a_folder_is_the_same_however_it_is_spelled() -> None:
    assert _queue(a=ExclusiveKey.of("h:1", "/one/"), b=ExclusiveKey.of("h:1", "//one/.")).admit() == ["a"]


def test_an_install_without_ui_home_has_the_instance_to_itself() -> None:
    """Nobody knows yet where it will work."""
    queue = _queue(a=ExclusiveKey.of("h:1", "/one"), b=ExclusiveKey.of("h:1", None), c=ExclusiveKey.of("h:1", "/two"))
    assert queue.admit() == ["a"]
    assert queue.waiting() == [Waiting("b", "a", 1), Waiting("c", "b", 2)], "c does not overtake b"


def test_no_more_run_than_there_are_places() -> None:
    queue = _queue(1, a=ExclusiveKey.of("h:1", None), b=ExclusiveKey.of("h:2", None))
    assert queue.admit() == ["a"]
    assert queue.waiting() == [Waiting("b", None, 1)]


def test_a_task_that_is_withdrawn_holds_nobody_up() -> None:
    queue = _queue(a=ExclusiveKey.of("h:1", "/x"), b=ExclusiveKey.of("h:1", None), c=ExclusiveKey.of("h:1", "/y"))
    queue.admit()
    assert queue.remove("b")
    assert not queue.remove("a")
    assert queue.admit() == ["c"]


_LANE = st.builds(ExclusiveKey.of, st.sampled_from(["h:1", "h:2"]), st.sampled_from([None, "/a", "/b"]))


@given(st.lists(_LANE, max_size=12), st.integers(1, 4), st.randoms())
def test_nobody_conflicts_and_everybody_has_a_turn(wanted: list[ExclusiveKey], places: int, chance: object) -> None:
    """Whatever comes in whatever order: no two that run conflict, there are never too many, and all run in the end."""
    queue = ExclusiveQueue(places)
    running: dict[str, ExclusiveKey] = {}
    ran: list[str] = []
    for number, key in enumerate(wanted):
        queue.add(str(number), key)
    while len(ran) < len(wanted):
        admitted = queue.admit()
        running |= {task_id: wanted[int(task_id)] for task_id in admitted}
        ran += admitted
        taken = list(running.values())
        assert len(taken) <= places
        assert not any(one.conflicts(other) for n, one in enumerate(taken) for other in taken[:n])
        ended = sorted(running)[chance.randrange(len(running))]  # type: ignore[attr-defined]
        del running[ended]
        queue.done(ended)


@pytest.mark.alone
def test_a_thousand_that_wait_cost_no_more_each_than_a_hundred() -> None:
    """On one instance, each for a ComfyUI of its own behind one for the whole instance; in CPU time, noise allowed."""

    def seconds_each(count: int) -> float:
        queue = ExclusiveQueue(1)
        queue.add("first", ExclusiveKey.of("h:1", None))
        queue.admit()
        for number in range(count):
            queue.add(str(number), ExclusiveKey.of("h:1", f"/c{number}"))
        begun = time.process_time()
        for _ in range(5):
            assert all(waiting.behind == "first" for waiting in queue.waiting())
        return (time.process_time() - begun) / count

    assert min(seconds_each(1000) for _ in range(3)) < 4 * min(seconds_each(100) for _ in range(3))


@given(st.lists(_LANE, max_size=12))
def test_who_is_in_the_way_is_one_that_conflicts(wanted: list[ExclusiveKey]) -> None:
    """And where there is any before it, somebody is named."""
    queue = ExclusiveQueue(1)
    for number, key in enumerate(wanted):
        queue.add(str(number), key)
    for waiting in queue.waiting():
        number = int(waiting.task_id)
        before = {str(n) for n, other in enumerate(wanted[:number]) if other.conflicts(wanted[number])}
        assert waiting.behind in before if before else waiting.behind is None
