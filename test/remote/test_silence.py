"""A line that says nothing is found dead, also by a thread that rests now and then."""

from __future__ import annotations

from typing import cast

import pytest

from app.domain.errors import ConnectionLost
from app.remote import follow
from app.remote.follow import Follow, Marker
from app.remote.stream import RemoteStream

SILENCE = 15.0


class _Clock:
    """In the place of the module `time`: moves only when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class _SilentStream:
    """Nothing comes; reading takes as long as it may."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def read_line(self, timeout: float) -> None:
        self._clock.now += timeout

    def send(self, content: bytes) -> None:
        """Into the void."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(follow, "time", made)
    return made


@pytest.fixture
def frames(clock: _Clock) -> Follow:
    return Follow(cast("RemoteStream", _SilentStream(clock)), Marker("n"), SILENCE)


def test_short_rests_all_the_time_hide_no_silence(frames: Follow, clock: _Clock) -> None:
    """What a thread does while nothing comes costs a little of the processor too, for which it rests a little."""
    while clock.now < SILENCE:
        assert frames.next(0.25) is None
        clock.now += 0.01
        frames.rested(0.01)
    with pytest.raises(ConnectionLost):
        frames.next(0.2 * SILENCE)


def test_a_long_rest_is_no_silence_of_the_instance(frames: Follow, clock: _Clock) -> None:
    clock.now += 10 * SILENCE
    frames.rested(10 * SILENCE)
    assert frames.next(0.25) is None
