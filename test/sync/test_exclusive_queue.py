"""Which install may run next."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sync.installs.exclusive_queue import ExclusiveKey, ExclusiveQueue, Group, Limit, Waiting


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


def _conflicts(one: ExclusiveKey, other: ExclusiveKey) -> bool:
    """The rule, said plainly: the queue works it out without comparing everybody with everybody."""
    same_home = one.ui_home == other.ui_home or "*" in (one.ui_home, other.ui_home)
    return one.instance == other.instance and same_home


_KEY = st.builds(ExclusiveKey.of, st.sampled_from(["h:1", "h:2"]), st.sampled_from([None, "/a", "/b"]))


@given(st.lists(_KEY, max_size=12), st.integers(1, 4), st.randoms())
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
        assert not any(_conflicts(one, other) for n, one in enumerate(taken) for other in taken[:n])
        ended = sorted(running)[chance.randrange(len(running))]  # type: ignore[attr-defined]
        del running[ended]
        queue.done(ended)


@pytest.mark.quiet
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


@given(st.lists(_KEY, max_size=12))
def test_who_is_in_the_way_is_one_that_conflicts(wanted: list[ExclusiveKey]) -> None:
    """And where there is any before it, somebody is named."""
    queue = ExclusiveQueue(1)
    for number, key in enumerate(wanted):
        queue.add(str(number), key)
    for waiting in queue.waiting():
        number = int(waiting.task_id)
        before = {str(n) for n, other in enumerate(wanted[:number]) if _conflicts(other, wanted[number])}
        assert waiting.behind in before if before else waiting.behind is None


def _fleet(queue: ExclusiveQueue, group: Group, *instances: str) -> None:
    for number, instance in enumerate(instances):
        queue.add(f"{group.name}{number}", ExclusiveKey.of(instance, None), group)


def test_of_a_fleet_as_many_run_at_once_as_it_may() -> None:
    """In their order; others do not wait for its limit."""
    queue = ExclusiveQueue(10)
    _fleet(queue, Group("f", at_once=2), "h:1", "h:2", "h:3", "h:4")
    queue.add("alone", ExclusiveKey.of("h:5", None))
    assert queue.admit() == ["f0", "f1", "alone"]
    assert [(each.task_id, each.limit) for each in queue.waiting()] == [("f2", Limit.AT_ONCE), ("f3", Limit.AT_ONCE)]
    queue.done("f1")
    assert queue.admit() == ["f2"]


def test_on_one_host_as_many_run_at_once_as_the_fleet_may() -> None:
    """A host that is full holds up nobody on another one; ports of one address are one host."""
    queue = ExclusiveQueue(10)
    _fleet(queue, Group("f", per_host=1), "h:1", "h:2", "[2001:db8::1]:1", "[2001:db8::1]:2")
    assert queue.admit() == ["f0", "f2"]
    assert [each.limit for each in queue.waiting()] == [Limit.PER_HOST, Limit.PER_HOST]
    queue.remove("f1")
    queue.done("f2")
    assert queue.admit() == ["f3"]


def test_those_that_come_first_are_counted_before_they_have_a_place() -> None:
    """Else one that stands behind them would take their turn."""
    queue = ExclusiveQueue(1)
    queue.add("running", ExclusiveKey.of("h:9", None))
    queue.admit()
    _fleet(queue, Group("f", per_host=1), "h:1", "h:2")
    assert [(each.is_free, each.limit) for each in queue.waiting()] == [(True, None), (False, Limit.PER_HOST)]


def test_what_would_wait_is_foreseen_and_nothing_changes() -> None:
    queue = _queue(2, a=ExclusiveKey.of("h:1", None))
    queue.admit()
    added = [
        (name, ExclusiveKey.of(instance, None), None) for name, instance in (("b", "h:1"), ("c", "h:2"), ("d", "h:3"))
    ]
    foreseen = queue.foreseen(added)
    assert {name: (each.behind, each.position) for name, each in foreseen.items()} == {"b": ("a", 1), "d": (None, 2)}
    assert queue.waiting() == []
