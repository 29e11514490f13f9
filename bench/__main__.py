"""`make bench`: the short form of the benches that compare two things in one run, as one table of ratios and a picture.

Some three minutes, loopback only. Each bench has a longer form of its own (bench/README.md).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import answers
from bench.polls.__main__ import measure as measure_polls
from bench.ratios import Machine, Ratio, missed, table, write

Bench = Callable[[Path], Sequence[Ratio]]
BENCHES: dict[str, Bench] = {
    "answers": lambda folder: answers.measure(folder, starts=40, rounds=3),
    "polls": lambda folder: measure_polls(folder, installs=(100,), packs=(34,), seconds=1.5).ratios,
}


def main() -> int:
    """Measures, prints, writes. 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *BENCHES], help="by default all")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    machine, began = Machine.now(), time.monotonic()
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory(prefix="nf-bench-", dir="/tmp") as folder:
        for name in given.only or BENCHES:
            found += BENCHES[name](Path(folder) / name)
    machine = machine.ended()
    write(found, machine, given.out)
    print(f"\n{table(found)}\n")
    misses = missed(found)
    print(f"{machine.words}; {time.monotonic() - began:.0f} s; {len(misses)} goals missed")
    print(f"{given.out}/ratios.json, {given.out}/ratios.svg")
    return int(bool(misses))


if __name__ == "__main__":
    sys.exit(main())
