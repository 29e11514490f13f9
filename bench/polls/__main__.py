"""Polls: how many a second beside running installs, how long they take, how soon they know of an event.

`python -m bench.polls`, `make bench-polls`. Everything is measured against something else in the same run: a constant
body of the same length from the same server, and a service that opens SSH for every poll. Loopback only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.polls.beside import KINDS, RATE, Pair, latency, throughput
from bench.polls.fleet import Fleet, running
from bench.polls.real import Real
from bench.ratios import Machine, Ratio, missed, table, write

LEAST_OF_A_CONSTANT, LEAST_OF_THE_PLAIN_WAY, MOST_LAG_MS = 0.7, 100.0, 250.0


class Found:
    """What was found so far. `figures`: what docs/performance.md has of it."""

    def __init__(self) -> None:
        self.ratios: list[Ratio] = []
        self.figures: list[dict[str, Any]] = []

    def say(self, *ratios: Ratio) -> None:
        """Keeps and prints them."""
        self.ratios += ratios
        print(table(ratios).partition("\n")[2], flush=True)


def measure(
    folder: Path,
    *,
    installs: Sequence[int] = (100,),
    packs: Sequence[int] = (34,),
    pollers: int = 16,
    seconds: float = 2.0,
) -> Found:
    """All of it. `installs`, `packs`: sizes in turn, the goal is for the first of each; `pollers`: connections of a
    closed loop; `seconds`: of a part."""
    found = Found()
    sizes = [(count, packs[0]) for count in installs] + [(installs[0], each) for each in packs[1:]]
    for number, (count, each) in enumerate(sizes):
        with running(folder / f"fleet{number}", count, packs=each) as fleet:
            of = f"{count} installs of {each} packs"
            for kind in KINDS:
                pair = throughput(fleet, kind, seconds=seconds, rounds=3, connections=pollers)
                found.figures.append(_figure(of, pollers, pair))
                goal = LEAST_OF_A_CONSTANT if number == 0 else None
                found.say(Ratio("polls", f"{kind} polls, {of}", pair.ratio, least=goal, told=pair.told))
            found.say(*_latencies(fleet, of, seconds))
            if number == 0:
                for more in (1, 4 * pollers):
                    pair = throughput(fleet, "since", seconds=seconds, rounds=2, connections=more)
                    found.figures.append(_figure(of, more, pair))
                    found.say(Ratio("polls", f"since polls, {of}, {more} pollers", pair.ratio, told=pair.told))
                packed = throughput(fleet, "plain", seconds=seconds, rounds=2, connections=pollers, packed=True)
                found.say(Ratio("polls", f"plain polls as gzip, {of}", packed.ratio, told=packed.told))
                found.say(*_in_the_loop(fleet, of, pollers, seconds))
    found.say(*_real(folder / "real", seconds))
    return found


def _in_the_loop(fleet: Fleet, of: str, pollers: int, seconds: float) -> Iterator[Ratio]:
    """Against a body for which no application is asked either."""
    for kind in KINDS:
        pair = throughput(fleet, kind, seconds=seconds, rounds=2, connections=pollers, against="at_once")
        yield Ratio("polls", f"{kind} polls, {of}, of a body in the loop", pair.ratio, told=pair.told)


def _latencies(fleet: Fleet, of: str, seconds: float) -> Iterator[Ratio]:
    polls, constant = latency(fleet, seconds=2 * seconds)
    for part in (0.5, 0.95, 0.99):
        mine, its = polls.percentile(part), constant.percentile(part)
        told = f"{mine:.1f} to {its:.1f} ms at {RATE:g} due a second, {polls.lost} lost"
        yield Ratio("polls", f"p{part * 100:g} of patch polls, {of}", mine / its, told=told)


def _real(folder: Path, seconds: float) -> Iterator[Ratio]:
    with Real(folder).begun() as real:
        lags = real.lags(real.install("quick", slow=False))
        yield _lag("event to poll, once the run is followed", lags.followed, most=MOST_LAG_MS)
        yield _lag("event to poll, also before that", lags.all)
        beside = real.beside(real.install("slow", slow=True), seconds=seconds)
        its, mine = beside.the_plain_way, beside.ours
        told = f"{mine.a_second:.0f} to {its.a_second:.1f} a second"
        told += f", p50 {mine.percentile(0.5):.1f} to {its.percentile(0.5):.0f} ms"
        yield Ratio("polls", "the plain way's, on its sshd", beside.times, least=LEAST_OF_THE_PLAIN_WAY, told=told)


def _lag(what: str, lags: Sequence[float], most: float | None = None) -> Ratio:
    p50, p95 = (1000 * lags[int(part * (len(lags) - 1))] for part in (0.5, 0.95))
    told = f"{len(lags)} events of a real run, half within {p50:.0f} ms, the slowest {1000 * lags[-1]:.0f} ms"
    return Ratio("polls", f"{what}, 95 of 100", p95, most=most, told=told, unit="ms")


def _figure(of: str, pollers: int, pair: Pair) -> dict[str, Any]:
    return {"of": of, "pollers": pollers, "kind": pair.kind, "ratio": pair.ratio, "told": pair.told}


def main() -> int:
    """Measures, prints, writes. 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.polls", description=__doc__)
    parser.add_argument("--installs", default="100,10,1", help="how many go on beside the polls, in turn")
    parser.add_argument(
        "--packs", default="34,10,200", help="of each install, in turn, with the first number of installs"
    )
    parser.add_argument("--pollers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each part")
    parser.add_argument("--out", type=Path, default=Path("build/bench-polls"))
    given = parser.parse_args()
    machine = Machine.now()
    sizes = {name: [int(each) for each in getattr(given, name).split(",")] for name in ("installs", "packs")}
    with tempfile.TemporaryDirectory(prefix="nf-polls-", dir="/tmp") as folder:
        found = measure(Path(folder), **sizes, pollers=given.pollers, seconds=given.seconds)
    machine = machine.ended()
    write(found.ratios, machine, given.out, figures=found.figures)
    print(f"{machine.words}; {given.out}/ratios.json")
    return int(bool(missed(found.ratios)))


if __name__ == "__main__":
    sys.exit(main())
