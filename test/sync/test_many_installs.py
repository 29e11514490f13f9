"""What keeps many installs of one process out of each other's way."""

from __future__ import annotations

import sys
import threading
import time

from app.machine_size import LEAST, MOST, described, installs_at_once
from app.protocol.snapshot import Snapshot
from app.settings import Settings
from app.sync.installs.giving_way import FEW, MOST_SECONDS, GivingWay, seconds_of
from app.sync.installs.progress_cache import InstallStatus, ProgressCache
from app.sync.installs.wakers import Wakers
from test.support.waiting import wait_until


def test_few_installs_change_nothing_and_many_give_way_later() -> None:
    assert seconds_of(1, 0.001) == seconds_of(FEW, 0.001) == 0.001
    assert 0.001 < seconds_of(2 * FEW, 0.001) < seconds_of(1000, 0.001) <= MOST_SECONDS
    before, giving_way = sys.getswitchinterval(), GivingWay()
    with giving_way.counted():
        assert sys.getswitchinterval() == before
    assert sys.getswitchinterval() == before


def test_the_limit_is_found_out_and_can_be_set() -> None:
    assert LEAST <= installs_at_once() <= MOST
    assert Settings().max_running == installs_at_once()
    assert Settings(max_running=7).max_running == 7
    assert "processors" in described()


def test_nobody_is_woken_by_the_news_of_another_install() -> None:
    cache, looks = ProgressCache(), [0]
    for name in ("mine", "other"):
        cache.put(InstallStatus(Snapshot(name, 1.0)))

    def until(status: InstallStatus) -> bool:
        looks[0] += 1
        return status.snapshot.revision >= 1

    waiter = threading.Thread(target=cache.wait, args=("mine", until, 20.0))
    waiter.start()
    wait_until(lambda: looks[0] >= 1, 5, "it waits")
    before = looks[0]
    for revision in range(50):
        cache.put(InstallStatus(Snapshot("other", 1.0, revision=revision)))
    assert looks[0] == before
    cache.put(InstallStatus(Snapshot("mine", 1.0, revision=1)))
    waiter.join(5)
    assert not waiter.is_alive()
    assert not cache._waiters


def test_two_that_wait_for_one_install_are_both_woken_and_a_close_wakes_all() -> None:
    cache = ProgressCache()
    for name in ("one", "two"):
        cache.put(InstallStatus(Snapshot(name, 1.0)))
    names = ("one", "one", "two")
    threads = [threading.Thread(target=cache.wait, args=(name, lambda _status: False, 20.0)) for name in names]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(count for _, count in cache._waiters.values()) == 3, 5, "all wait")
    began = time.monotonic()
    cache.wake()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - began < 10
    assert not cache._waiters


def test_who_waits_is_told_until_it_does_not_wait_any_more() -> None:
    wakers, told = Wakers(), list[str]()
    with wakers.telling(lambda: told.append("a")), wakers.telling(lambda: told.append("b")):
        wakers.notify()
    wakers.notify()
    assert told == ["a", "b"]
