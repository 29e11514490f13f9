"""The measurements of one bench, in rounds: each way once, so that what the machine does beside them hits all."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.standin.instance import StandIn
from bench.engine import ways
from bench.engine.machine import Shop
from bench.engine.packs import Made
from bench.engine.results import Key, Measured, Results
from test.support.service import ServiceProcess

_MOST_TROUBLES = 8
SHAPES = ("venv", "system-site")
LONGEST_SECONDS = 900.0
"""One measurement is ended after that, and counts as trouble."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be measured. `seconds`: nothing new is begun after that."""

    runs: int
    shapes: Sequence[str]
    caches: Sequence[str]
    ways: Sequence[str]
    verify: bool
    seconds: float
    latencies_ms: Sequence[int] = (0,)
    long_build: bool = False


class Bench:
    """Everything that the measurements share. `say` gets a line of progress."""

    def __init__(
        self,
        shop: Shop,
        service: ServiceProcess,
        packs: Sequence[Made],
        wanted: Selection,
        say: Callable[[str], None],
    ) -> None:
        self._shop = shop
        self._service = service
        self._packs = packs
        self._wanted = wanted
        self._say = say
        self._numbers = itertools.count()
        self._began = time.monotonic()

    def measure(self, results: Results) -> bool:
        """Measures what `results` does not have yet; False when the time was over before."""
        todo = [step for step in self._steps() if not all(results.has(key, step[0]) for key in step[1])]
        for done, (number, keys) in enumerate(todo):
            if self._left() <= 0:
                return False
            head = f"[{done + 1} of {len(todo)}, {self._gone()}] round {number + 1}, {keys[0].shape}"
            self._one_way(results, number, keys, head)
        return True

    def _steps(self) -> Iterator[tuple[int, list[Key]]]:
        """A way with all states of its caches: the warm ones are what the cold measurement left."""
        wanted = self._wanted
        for number, shape, latency in itertools.product(range(wanted.runs), wanted.shapes, wanted.latencies_ms):
            for way in wanted.ways:
                yield number, [Key(shape, caches, way, latency) for caches in wanted.caches]

    def _one_way(self, results: Results, number: int, keys: Sequence[Key], head: str) -> None:
        caches = self._shop.folder / f"caches{next(self._numbers)}"
        for key in keys:
            load = ways.load_now()
            self._shop.set_latency(key.latency_ms / 1000)
            self._say(f"{head}, {key.latency_ms} ms, {key.way}, caches {key.caches}, load {load:.2f} ...")
            run = self._once(key, caches, load)
            if not results.has(key, number):  # it ran again only to fill the caches
                results.add(key, number, run)
            self._say(_told(run))

    def _once(self, key: Key, caches: Path, load: float) -> Measured:
        timeout = max(60.0, min(LONGEST_SECONDS, self._left()))
        system = key.shape == "system-site"
        with self._shop.instance(f"{key.way}{next(self._numbers)}", caches, system_site=system) as standin:
            run = self._play(key.way, standin, system, timeout)
            return ways.with_load(run, load, ways.seen_by(standin))

    def _play(self, way: str, standin: StandIn, system: bool, timeout: float) -> Measured:
        if way == "nodeferry":
            return ways.nodeferry(standin, self._packs, self._service, verify=self._wanted.verify, timeout=timeout)
        if way == "sequential":
            return ways.sequential(standin, self._packs, timeout=timeout)
        hidden = ways.stays(ways.seen_by(standin), self._packs) if system else []
        builds = not self._wanted.long_build
        return ways.floor(standin, self._packs, self._shop.uv, hidden=hidden, builds=builds, timeout=timeout)

    def _left(self) -> float:
        return self._wanted.seconds - (time.monotonic() - self._began)

    def _gone(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes}:{seconds:02d}"


def _told(run: Measured) -> str:
    """A measurement as lines."""
    text = f"    first lane {run.first_lane:.1f} s, all installed {run.everything:.1f} s"
    text += f", verification {run.verify:.1f} s more" if run.verify else ""
    text += f"; {len(run.packs_at)} packs, packages {run.packages_seconds:.1f} s, scripts {run.scripts_seconds:.1f} s"
    if len(run.spans) <= 12:
        text += "".join(f"\n      {what:8} {begin:6.2f} to {end:6.2f} s" for what, begin, end in run.spans)
    return text + "".join(f"\n      ! {trouble[:300]}" for trouble in run.troubles[:_MOST_TROUBLES])
