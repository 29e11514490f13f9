"""Which install may run next."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from app.sync.installs.exclusive_queue import Lane, Lanes, Waiting


def _lanes(max_running: int = 10, **lanes: Lane) -> Lanes:
    made = Lanes(max_running)
    for task_id, lane in lanes.items():
        made.add(task_id, lane)
    return made


def test_it_works() -> None:
    """Different instances at once; the same one after the other."""
    lanes = _lanes(a=Lane.of("h:1", "/ui"), b=Lane.of("h:1", "/ui"), c=Lane.of("h:2", "/ui"))
    assert lanes.admit() == ["a", "c"]
    assert lanes.waiting() == [Waiting("b", "a", 1)]
    lanes.done("a")
    assert lanes.admit() == ["b"]


def test_two_comfyuis_of_one_instance_do_not_wait_for_each_other() -> None:
    assert _lanes(a=Lane.of("h:1", "/one"), b=Lane.of("h:1", "/two")).admit() == ["a", "b"]


def test_a_folder_is_the_same_however_it_is_spelled() -> None:
    assert _lanes(a=Lane.of("h:1", "/one/"), b=Lane.of("h:1", "//one/.")).admit() == ["a"]


def test_an_install_without_ui_home_has_the_instance_to_itself() -> None:
    """Nobody knows yet where it will work."""
    lanes = _lanes(a=Lane.of("h:1", "/one"), b=Lane.of("h:1", None), c=Lane.of("h:1", "/two"))
    assert lanes.admit() == ["a"]
    assert lanes.waiting() == [Waiting("b", "a", 1), Waiting("c", "b", 2)], "c does not overtake b"


def test_no_more_run_than_there_are_places() -> None:
    lanes = _lanes(1, a=Lane.of("h:1", None), b=Lane.of("h:2", None))
    assert lanes.admit() == ["a"]
    assert lanes.waiting() == [Waiting("b", None, 1)]


def test_a_task_that_is_withdrawn_holds_nobody_up() -> None:
    lanes = _lanes(a=Lane.of("h:1", "/x"), b=Lane.of("h:1", None), c=Lane.of("h:1", "/y"))
    lanes.admit()
    assert lanes.withdraw("b")
    assert not lanes.withdraw("a")
    assert lanes.admit() == ["c"]


_LANE = st.builds(Lane.of, st.sampled_from(["h:1", "h:2"]), st.sampled_from([None, "/a", "/b"]))


@given(st.lists(_LANE, max_size=12), st.integers(1, 4), st.randoms())
def test_nobody_conflicts_and_everybody_has_a_turn(wanted: list[Lane], places: int, chance: object) -> None:
    """Whatever comes in whatever order: no two that run conflict, there are never too many, and all run in the end."""
    lanes = Lanes(places)
    running: dict[str, Lane] = {}
    ran: list[str] = []
    for number, lane in enumerate(wanted):
        lanes.add(str(number), lane)
    while len(ran) < len(wanted):
        admitted = lanes.admit()
        running |= {task_id: wanted[int(task_id)] for task_id in admitted}
        ran += admitted
        taken = list(running.values())
        assert len(taken) <= places
        assert not any(one.conflicts(other) for n, one in enumerate(taken) for other in taken[:n])
        ended = sorted(running)[chance.randrange(len(running))]  # type: ignore[attr-defined]
        del running[ended]
        lanes.done(ended)


def test_a_thousand_that_wait_cost_no_more_each_than_a_hundred() -> None:
    """On one instance, each for a ComfyUI of its own behind one for the whole instance; in CPU time, noise allowed."""

    def seconds_each(count: int) -> float:
        lanes = Lanes(1)
        lanes.add("first", Lane.of("h:1", None))
        lanes.admit()
        for number in range(count):
            lanes.add(str(number), Lane.of("h:1", f"/c{number}"))
        begun = time.process_time()
        for _ in range(5):
            assert all(waiting.behind == "first" for waiting in lanes.waiting())
        return (time.process_time() - begun) / count

    assert min(seconds_each(1000) for _ in range(3)) < 4 * min(seconds_each(100) for _ in range(3))


@given(st.lists(_LANE, max_size=12))
def test_who_is_in_the_way_is_one_that_conflicts(wanted: list[Lane]) -> None:
    """And where there is any before it, somebody is named."""
    lanes = Lanes(1)
    for number, lane in enumerate(wanted):
        lanes.add(str(number), lane)
    for waiting in lanes.waiting():
        number = int(waiting.task_id)
        before = {str(n) for n, other in enumerate(wanted[:number]) if other.conflicts(wanted[number])}
        assert waiting.behind in before if before else waiting.behind is None
