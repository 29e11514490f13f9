"""How many threads greet, and how many work, at once."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from app.domain.errors import ConnectFailed
from app.remote.deadline import Deadline
from app.remote.gate import Gate
from app.remote.turn import Turn
from test.support.waiting import wait_until


def _stands(gate: Gate, count: int) -> bool:
    return len(gate._queue) + len(gate._inside) == count


def test_no_more_pass_than_there_are_places_and_in_their_order() -> None:
    gate, inside, order = Gate(2), threading.Semaphore(0), list[int]()
    most, now, lock, leave = [0], [0], threading.Lock(), threading.Event()

    def pass_through(number: int) -> None:
        with gate.passing(Deadline(30.0, "x"), "greeting"):
            with lock:
                order.append(number)
                now[0] += 1
                most[0] = max(most[0], now[0])
            inside.release()
            leave.wait(10)
            with lock:
                now[0] -= 1

    threads = [threading.Thread(target=pass_through, args=(number,)) for number in range(6)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(partial(_stands, gate, number + 1), 5, "it stands in line")
    assert inside.acquire(timeout=5)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert (most[0], order) == (2, list(range(6)))


def test_the_wait_for_a_place_is_not_the_instance_s_time() -> None:
    gate, deadline, entered = Gate(1), Deadline(0.4, "x"), threading.Event()
    leave = threading.Event()

    def hold() -> None:
        with gate.passing(Deadline(30.0, "y"), "greeting"):
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(5)
    threading.Timer(1.0, leave.set).start()
    began = time.monotonic()
    with gate.passing(deadline, "greeting"):
        assert time.monotonic() - began > 0.4
        assert deadline.remaining > 0.2
    holder.join(10)


def test_a_cancel_ends_the_wait_for_a_place() -> None:
    gate, cancel = Gate(1), threading.Event()
    with gate.passing(Deadline(30.0, "x"), "greeting"):
        threading.Timer(0.2, cancel.set).start()
        with pytest.raises(ConnectFailed, match="stopped"), gate.passing(Deadline(30.0, "y", cancel), "greeting"):
            pass
    with gate.passing(Deadline(1.0, "z"), "greeting"):
        pass


def test_who_is_silent_inside_holds_nobody_up_for_long() -> None:
    gate, entered, leave = Gate(1, held_seconds=0.2), threading.Event(), threading.Event()

    def hold() -> None:
        with gate.passing(Deadline(30.0, "x"), "greeting"):
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(5)
    with gate.passing(Deadline(5.0, "y"), "greeting"):
        pass
    leave.set()
    holder.join(10)


def test_who_keeps_its_turn_is_left_alone_with_it() -> None:
    """What it waits for may be another thread that waits for the same turn."""
    turn = Turn()
    stuck = turn.enter()
    began = time.monotonic()
    mine = turn.enter()
    assert time.monotonic() - began < 5
    assert mine is not stuck
    mine.release()
    with turn.held():
        pass
    stuck.release()
    with turn.held():
        pass
