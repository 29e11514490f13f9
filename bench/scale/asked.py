"""What one step is asked to measure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.fleet.script import Play

_RAMP_SECONDS, _RAMP_EACH = 5.0, 0.15
_LEAST_EVENTS = 90


@dataclass(frozen=True, slots=True)
class Asked:
    """`roles`: of the service's processes, with postgresql; `window`: for how many seconds it is measured while all
    installs run; `seconds`: how long the step may take; `drops` to `fresh`: shares of the instances (see bench.fleet);
    `tree`: the checkout that is measured; `restart`: the signal that ends the service behind the window, where one
    does: it is started again then."""

    engine: str
    roles: tuple[str, ...]
    installs: int
    rate: float
    seed: int
    window: float
    seconds: float
    drops: float
    deaths: float
    silent: float
    fresh: float
    tree: Path
    restart: str = ""

    @property
    def play(self) -> Play:
        """The fleet. A single install goes without faults."""
        drops, deaths, silent = (self.drops, self.deaths, self.silent) if self.installs > 1 else (0.0, 0.0, 0.0)
        ramps = 2 if self.restart else 1
        events = max(_LEAST_EVENTS, round(self.rate * min(self.window + ramps * self.ramp, self.seconds / 2)))
        return Play(self.seed, self.installs, self.rate, 1.0, events, drops, deaths, silent, self.fresh)

    @property
    def ramp(self) -> float:
        """How long the starts may take before the window begins."""
        return _RAMP_SECONDS + _RAMP_EACH * self.installs
