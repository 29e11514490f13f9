"""`python -m bench.cluster.limits`: a fleet with limits on a cluster whose first worker is killed, by what the
instances themselves say: never more runs at once than may, each instance's run begun once, all ended.

ARGS: --instances 200 --at-once 20 --workers 3 --kills 2 --seed 1. It ends with 1 where one of these does not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from typing import Any

from app.standin.errors import StandInError
from bench.cluster.cluster import Cluster, Wanted
from bench.cluster.member import MemberEnded
from bench.fleet.script import Play

_LOOK_SECONDS = 0.1
_AGAIN_SECONDS = 5.0
"""A killed worker is back after that: before its installs are taken for dead."""
_PER_WORKER = 40


class Check:
    """One fleet on one cluster."""

    def __init__(self, cluster: Cluster, asked: argparse.Namespace) -> None:
        self._cluster = cluster
        self._asked = asked
        self._pause = threading.Event()
        dice = random.Random(asked.seed)
        self._kills = sorted(dice.uniform(0.1, 0.6) for _ in range(asked.kills))
        """At which share of runs begun."""
        self.most_seen = 0

    def run(self) -> bool:
        """Whether all held."""
        began = time.monotonic()
        fleet_id = self._start()
        while not (answer := self._get(f"/fleet/{fleet_id}?limit=1"))["completed"]:
            if time.monotonic() - began > self._asked.seconds:
                break
            self._look()
        spans = self._cluster.fleet.spans()
        per_instance = Counter(number for number, _, _ in spans)
        most = _most_at_once([(first, last) for _, first, last in spans])
        found = {
            "instances": self._asked.instances,
            "at_once": self._asked.at_once,
            "seconds": round(time.monotonic() - began, 1),
            "most_at_once": most,
            "most_seen": self.most_seen,
            "begun_twice": sum(times > 1 for times in per_instance.values()),
            "states": {state: count for state, count in answer["states"].items() if count},
        }
        _say(json.dumps(found))
        is_ended = answer["states"]["completed"] == len(per_instance) == self._asked.instances
        return most <= self._asked.at_once and found["begun_twice"] == 0 and bool(is_ended)

    def _start(self) -> str:
        numbers = range(self._asked.instances)
        body = {
            "ssh_connections": [self._cluster.fleet.command(number) for number in numbers],
            "manifest": self._cluster.request()["manifest"],
            "limits": {"at_once": self._asked.at_once},
        }
        return str(self._get("/fleet/install-custom-nodes", body)["fleet_id"])

    def _look(self) -> None:
        gauge = self._cluster.fleet.gauge()
        self.most_seen = max(self.most_seen, gauge["running"])
        if self._kills and gauge["started"] >= self._kills[0] * self._asked.instances:
            self._kills.pop(0)
            worker = self._cluster.workers[0]
            _say(f"{worker.name}, process {worker.pid}, is killed: {gauge['running']} run, {gauge['started']} began")
            worker.kill()
            self._pause.wait(_AGAIN_SECONDS)
            worker.start(0)
            worker.ready()
        self._pause.wait(_LOOK_SECONDS)

    def _get(self, path: str, body: Any = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        url = f"{self._cluster.web[0].url}{path}"
        request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def _most_at_once(spans: Sequence[tuple[float, float | None]]) -> int:
    """Of runs from their beginnings to their ends; one that has no end runs still."""
    changes = [(first, 1) for first, _ in spans] + [(last, -1) for _, last in spans if last is not None]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster.limits", description=__doc__)
    parser.add_argument("--instances", type=int, default=200, help="of the played fleet (default 200)")
    parser.add_argument("--at-once", type=int, default=20, help="the limit (default 20)")
    parser.add_argument("--workers", type=int, default=3, help="default 3")
    parser.add_argument("--kills", type=int, default=2, help="of the first worker (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments, and of the fleet (default 1)")
    parser.add_argument("--seconds", type=float, default=420.0, help="it ends after that at the latest (default 420)")
    asked = parser.parse_args(argv)
    play = Play(seed=asked.seed, instances=asked.instances, rate=6.0, events=40)
    try:
        with Cluster(Wanted(1, asked.workers, 0, play), _say, max_running=str(_PER_WORKER)) as cluster:
            return 0 if Check(cluster, asked).run() else 1
    except (MemberEnded, StandInError) as exc:
        _say(f"The cluster is down: {exc}")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
