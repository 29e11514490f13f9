"""Installs at once against a played fleet: `python -m bench.scale --installs 1,10,100,1000`. See bench/README.md."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.command import run, say
from bench.scale.asked import Asked
from bench.scale.figures import Figures, Results, faults, highest, ratio, table
from bench.scale.picture import draw
from bench.scale.step import Step
from test.support.service import ROOT

OUTPUT = Path("build/scale")
INSTALLS, RATE, SEED, MINUTES, WINDOW = "1,10,100,1000", 1.0, 1, 10.0, 60.0
DROPS, DEATHS, SILENT, FRESH = 0.05, 0.01, 0.01, 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what is left to measure, prints the table, draws the picture; 0 when all is as it must be."""
    asked = _arguments().parse_args(argv)
    results = Results(asked.output, _about(asked), resume=asked.resume)
    for step in _steps(asked, results):
        say(f"{step.installs} installs, {step.rate:g} events a second each, {step.engine}")
        with tempfile.TemporaryDirectory(prefix="nfs-") as folder:
            figures = Figures.of(step, Step(step, Path(folder) / "s").measure())
        results.add(figures)
        say(_line(results, figures))
    say("\n".join(["", *table(results.found)]))
    say(highest(results.found))
    other = json.loads(asked.beside.read_text("utf-8")) if asked.beside else []
    picture = draw([*results.found, *map(Figures.of_json, other)])
    (asked.output / "scale.svg").write_text(picture, "utf-8")
    (asked.output / "scale.json").write_text(json.dumps([each.to_json() for each in results.found], indent=1), "utf-8")
    for text in (wrong := faults(results.found, asked.rate)):
        say(f"WRONG: {text}")
    return 1 if wrong else 0


def _steps(asked: argparse.Namespace, results: Results) -> Iterator[Asked]:
    """What is to be measured: each number of installs, then higher rates for the last one until one does not hold."""
    numbers = sorted({int(word) for word in asked.installs.split(",")})
    rates = sorted({float(word) for word in asked.rates.split(",") if word} - {asked.rate})
    for installs, rate in [*((number, asked.rate) for number in numbers), *((numbers[-1], rate) for rate in rates)]:
        before = results.get(installs, rate)
        if before is None:
            yield Asked(
                engine=asked.engine,
                roles=tuple(asked.roles.split(",")),
                installs=installs,
                rate=rate,
                seed=asked.seed,
                window=asked.window,
                seconds=asked.minutes * 60,
                drops=asked.drops,
                deaths=asked.deaths,
                silent=asked.silent,
                fresh=asked.fresh,
                tree=asked.tree.resolve(),
                restart=asked.restart,
            )
            before = results.get(installs, rate)
        if rate > asked.rate and before is not None and not before.holds:
            return


def _line(results: Results, figures: Figures) -> str:
    restarts = [figures.restart] if figures.restart else []
    return "; ".join(
        (
            f"  {figures.ended_true} of {figures.installs} ended true",
            f"{figures.memory:.0f} MB, {figures.threads} threads, {figures.cores:.2f} cores",
            f"event to poll p95 {figures.lag[1] * 1000:.0f} ms",
            f"poll p99 {figures.poll[1] * 1000:.1f} ms (x{ratio(results.found, figures):.1f})",
            f"all started after {figures.start[2]:.1f} s",
            f"the fleet took {figures.fleet:.2f} cores and was {figures.late * 1000:.1f} ms late",
            f"load average before: {figures.load_average:g}",
            *("ended after {:.1f} s, all followed again {:.1f} s after its start".format(*each) for each in restarts),
        )
    )


def _about(asked: argparse.Namespace) -> dict[str, object]:
    return {
        name: getattr(asked, name)
        for name in ("engine", "seed", "rate", "window", "drops", "deaths", "silent", "restart")
    }


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--installs", default=INSTALLS, help=f"how many at once, a step each (default {INSTALLS})")
    parser.add_argument("--engine", choices=("embedded", "postgresql"), default="embedded")
    parser.add_argument("--roles", default="web,worker,worker", help="with postgresql: of the service's processes")
    parser.add_argument("--rate", type=float, default=RATE, help=f"events a second of each install (default {RATE:g})")
    parser.add_argument("--rates", default="", help="higher ones for the last step, until one does not hold: 2,3,5")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"at most, for a step (default {MINUTES:g})")
    parser.add_argument("--window", type=float, default=WINDOW, help="seconds that are measured while all run")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of everything that is dealt (default {SEED})")
    parser.add_argument("--drops", type=float, default=DROPS, help="share of installs whose line is cut")
    parser.add_argument("--deaths", type=float, default=DEATHS, help="share whose runner dies")
    parser.add_argument("--silent", type=float, default=SILENT, help="share of hosts that say nothing")
    parser.add_argument("--fresh", type=float, default=FRESH, help="share of hosts to which the runner is uploaded")
    parser.add_argument("--restart", choices=("SIGTERM", "SIGKILL"), default="", help="the service, in the middle")
    parser.add_argument("--beside", type=Path, help="a scale.json whose steps are drawn as well")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another checkout, whose service is measured")
    parser.add_argument("--resume", action="store_true", help="goes on with what the output folder has")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of the results (default {OUTPUT})")
    return parser


if __name__ == "__main__":
    run(main)
