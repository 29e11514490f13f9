"""`python -m bench.eta`: predicted against true remaining time over the recorded runs, as the table of
docs/performance.md."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.eta.recordings import HELD_OUT
from bench.eta.replay import AT, JOURNALS, Guess, Replayed, replay_all

LIMIT = 1 / 3


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 0 when the median error half-way is below a third."""
    parser = argparse.ArgumentParser(prog="python -m bench.eta", description=__doc__)
    parser.add_argument("--journals", type=Path, default=JOURNALS, help="folder of recorded journals")
    runs = replay_all(parser.parse_args(argv).journals)
    print("\n".join(table(runs)))
    return 0 if median_error(runs, 0.5) < LIMIT else 1


def median_error(runs: Sequence[Replayed], at: float) -> float:
    """The median relative error of all runs at one moment of `AT`."""
    return statistics.median(run.guesses[AT.index(at)].error for run in runs)


def table(runs: Sequence[Replayed]) -> list[str]:
    """The lines of the table, in Markdown."""
    held_out = {play.__name__ for play in HELD_OUT}
    lines = [f"| run | seconds | {' | '.join(f'at {at:.0%}: predicted / true (error)' for at in AT)} |"]
    lines.append("|---|---|" + "---|" * len(AT))
    for run in sorted(runs, key=lambda run: run.name in held_out):
        name = run.name.replace("_", " ") + (" (held out)" if run.name in held_out else "")
        lines.append(f"| {name} | {run.seconds:.1f} | {' | '.join(map(_cell, run.guesses))} |")
    medians = [f"**{median_error(runs, at):.0%}**" for at in AT]
    held = [run for run in runs if run.name in held_out]
    lines.append(f"| median error of all {len(runs)} | | {' | '.join(medians)} |")
    if held:
        medians = [f"{median_error(held, at):.0%}" for at in AT]
        lines.append(f"| median error of the {len(held)} held out | | {' | '.join(medians)} |")
    return lines


def _cell(guess: Guess) -> str:
    if guess.predicted is None:
        return f"none / {guess.true:.1f}"
    return f"{guess.predicted:.1f} / {guess.true:.1f} ({guess.error:.0%})"


if __name__ == "__main__":
    raise SystemExit(main())
