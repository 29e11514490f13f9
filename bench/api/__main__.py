"""`make prove-api`: 20,000 requests that schemathesis makes of the specification, against real services, all checks.

Positive and negative data, and chains of requests that pass ids on. ARGS="--seed S --requests N --seconds S", and
`--resume` to go on where an earlier call ended. Fails when anything is answered that the specification does not tell.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.api.rounds import Round, play

FILE = "api.jsonl"
EXAMPLES, ROUND_SECONDS = 30, 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays rounds, each with a seed of its own and kept in a file, until there are enough requests."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=20_000, help="in all rounds together")
    parser.add_argument("--seconds", type=float, default=3600.0, help="of this call, about")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of a round, for each operation and phase")
    parser.add_argument("--output", type=Path, default=Path("build/api"))
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args(arguments)
    asked.output.mkdir(parents=True, exist_ok=True)
    file = asked.output / FILE
    if not asked.resume:
        file.unlink(missing_ok=True)
    rounds = _kept(file)
    end = time.monotonic() + asked.seconds
    while sum(each.requests for each in rounds) < asked.requests and (left := end - time.monotonic()) > 1:
        made = play(asked.seed + len(rounds), examples=asked.examples, seconds=min(left, ROUND_SECONDS))
        rounds.append(made)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(made)) + "\n")
        _say(made)
        if not made.requests:
            break
    return _end(rounds, asked.requests)


def _kept(file: Path) -> list[Round]:
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [Round(**json.loads(line)) for line in lines]


def _say(made: Round) -> None:
    print(f"seed {made.seed}: {made.requests} requests, {made.checks} checks, {made.seconds:.0f} s", flush=True)
    for fault in made.faults:
        print(f"WRONG: {fault}", flush=True)


def _end(rounds: Sequence[Round], wanted: int) -> int:
    statuses = sum((Counter(each.statuses) for each in rounds), Counter[str]())
    requests, faults = sum(each.requests for each in rounds), sum(len(each.faults) for each in rounds)
    told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    print(f"{requests} requests, {sum(each.checks for each in rounds)} checks, {faults} faults; {told}")
    return 1 if faults or requests < wanted else 0


if __name__ == "__main__":
    sys.exit(main())
