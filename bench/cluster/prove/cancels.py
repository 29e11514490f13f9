"""How soon an install has ended whose cancel one web process accepts, whose worker is another process, and whose end a
third one tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.cluster.cluster import Cluster, Wanted
from bench.cluster.host import PlayedHost
from bench.cluster.prove.asks import Asks, ended
from bench.fleet.script import Play
from bench.scale.polls import Client

COUNT, LIMIT_SECONDS = 20, 2.0
_BEGIN_SECONDS, _POLL_SECONDS, _END_SECONDS = 60.0, 0.02, 30.0


@dataclass
class Cancels:
    """Seconds from each cancel to the first poll, at the other web process, that says that it has ended."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {"cancels": self.seconds, "wrong": self.wrong}


def measure(seed: int, host: PlayedHost | None, say: Callable[[str], None], count: int = COUNT) -> Cancels:
    """With a cluster of its own, and no faults."""
    found, pause = Cancels(), threading.Event()
    play = Play(seed=seed, instances=count, rate=1.0, events=300)
    with Cluster(Wanted(web=2, workers=2, fleet=play, host=host)) as cluster:
        asks = Asks(cluster)
        for number in range(count):
            asks.start(number)
        until = time.monotonic() + _BEGIN_SECONDS
        while cluster.fleet.gauge()["followed"] < count and time.monotonic() < until:
            pause.wait(0.2)
        for number, task_id in sorted(asks.tasks.items()):
            pause.wait(0.3)
            took, shown = _cancelled(cluster, number, task_id)
            found.seconds.append(round(took, 3))
            if shown.get("state") != "cancelled" or took > LIMIT_SECONDS:
                found.wrong.append(f"a cancel: {shown.get('state')} after {took:.2f} s")
        truths = [truth for truth in cluster.fleet.truths() if (truth["end"] or {}).get("state") != "cancelled"]
        found.wrong += [f"instance {truth['number']} goes on behind its cancel" for truth in truths]
        found.wrong += asks.wrong
    say(f"{len(found.seconds)} cancels, each at one web process, polled at the other: {summary(found.seconds)}")
    return found


def summary(seconds: list[float]) -> str:
    """The middle, the 95th of a hundred and the most."""
    ordered = sorted(seconds) or [0.0]
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"p50 {ordered[len(ordered) // 2]:.2f} s, p95 {late:.2f} s, most {ordered[-1]:.2f} s"


def _cancelled(cluster: Cluster, number: int, task_id: str) -> tuple[float, dict[str, Any]]:
    web = cluster.web
    one, other = (Client(web[(number + place) % len(web)].url) for place in range(2))
    pause, began = threading.Event(), time.monotonic()
    try:
        status, shown = one.post(f"/tasks/{task_id}/cancel", {})
        if status != 202:
            return 0.0, {"state": f"{status} {shown.get('code')}"}
        while not ended(shown := other.progress(task_id)) and time.monotonic() < began + _END_SECONDS:
            pause.wait(_POLL_SECONDS)
        return time.monotonic() - began, shown
    finally:
        one.close()
        other.close()
