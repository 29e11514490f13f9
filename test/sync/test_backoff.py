"""How long to wait between tries."""

from __future__ import annotations

import itertools

from app.sync.installs.backoff import Backoff


class Clock:
    """Seconds that a test passes."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pauses_double_to_a_cap() -> None:
    backoff = Backoff(1, 10, 1000, clock=Clock(), jitter=lambda: 1.0)
    assert [backoff.next_pause() for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_jitter_takes_at_most_half() -> None:
    jitters = itertools.cycle([0.0, 1.0])
    backoff = Backoff(4, 4, 1000, clock=Clock(), jitter=lambda: next(jitters))
    assert [backoff.next_pause() for _ in range(2)] == [2, 4]


def test_it_ends_with_its_time_and_not_before() -> None:
    """The last pause reaches to the deadline, so that one more try is made there."""
    clock = Clock()
    backoff = Backoff(8, 8, 10, clock=clock, jitter=lambda: 1.0)
    clock.now += 5
    assert backoff.next_pause() == 5
    clock.now += 5
    assert backoff.next_pause() is None


def test_no_time_means_one_try() -> None:
    assert Backoff(1, 10, 0).next_pause() is None
