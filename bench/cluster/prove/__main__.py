"""`make prove-cluster`: a hundred faults at seeded moments while installs run, and whether all end true, once.

Each run has a cluster of its own: PostgreSQL, two web processes, three workers, of which one is on a host of its own (a
network namespace, which needs root), and a played fleet. See bench/README.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from app.cli.signals import ended_by_signals
from app.standin.errors import StandInError, StandInUnavailable
from bench.cluster.host import PlayedHost
from bench.cluster.prove.cancels import measure
from bench.cluster.prove.faults import dealt
from bench.cluster.prove.play import Played, Size, play
from bench.cluster.prove.results import Results, table

OUTPUT = Path("build/prove-cluster")
RUNS, FAULTS, SEED, MINUTES = 10, 10, 21, 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Plays what is left to play; 0 when all that was asked for was played and nothing was wrong."""
    asked = _arguments().parse_args(argv)
    results = Results(asked.output, asked.seed, resume=asked.resume)
    wanted = asked.only or list(range(1, asked.runs + 1))
    until = time.monotonic() + 60 * asked.minutes
    try:
        with ended_by_signals(), ExitStack() as stack:
            host = _host(stack)
            if results.cancels is None:
                results.add(measure(asked.seed, host, _say))
            for number in wanted:
                if number not in results.played and time.monotonic() < until:
                    results.add(_one(asked, number, host))
    except StandInError as exc:
        _say(f"{exc.message} {exc.hint}".strip())
        return 1
    except KeyboardInterrupt:
        _say("Ended early; --resume goes on.")
    played = [results.played[number] for number in wanted if number in results.played]
    for line in table(played, results.cancels, asked.seed):
        _say(line)
    right = not any(one.wrong for one in played) and results.cancels is not None and not results.cancels.wrong
    return 0 if right and len(played) == len(wanted) else 1


def _one(asked: argparse.Namespace, number: int, host: PlayedHost | None) -> Played:
    faults = dealt(asked.seed, number, asked.faults, host=host is not None)
    say: Callable[[str], None] = lambda line: _say(f"  run {number} {line}")  # noqa: E731
    size = Size(installs=asked.installs)
    one = play(asked.seed, number, faults, host, say=say, logs=asked.output, size=size)
    words = "all true" if not one.wrong else f"{len(one.wrong)} WRONG"
    _say(f"run {number}: {one.ended} installs, {len(one.faults)} faults, {one.seconds:.0f} s: {words}")
    for text in one.wrong:
        _say(f"  WRONG {text}")
    return one


def _host(stack: ExitStack) -> PlayedHost | None:
    """Where this machine allows one."""
    try:
        return stack.enter_context(PlayedHost())
    except StandInUnavailable as exc:
        _say(f"{exc.message} All workers are on this host, and one more is frozen in its stead.")
        return None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make prove-cluster", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many (default {RUNS})")
    parser.add_argument("--faults", type=int, default=FAULTS, help=f"of each run (default {FAULTS})")
    parser.add_argument("--installs", type=int, default=50, help="at once, and six later (default 50)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of every run's dice (default {SEED})")
    parser.add_argument("--only", type=int, action="append", metavar="N", help="plays run N; may be repeated")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"none is begun after so many ({MINUTES:.0f})")
    parser.add_argument("--resume", action="store_true", help="goes on with the runs that the output folder has")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of its results (default {OUTPUT})")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
