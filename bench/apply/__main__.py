"""Many sequences of changes with faults, and whether every package stays whole. `python -m bench.apply`.

Each sequence has an environment of its own, real uv and an index on loopback. See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.apply.ground import Ground
from bench.apply.play import Played, play
from bench.engine.machine import get_uv
from test.support.package_index import PackageIndex

OUTPUT = Path("build/bench-apply")
SEQUENCES, SEED, MINUTES = 500, 1, 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Plays what is left to play; 0 when all that was asked for was played and nothing was lost."""
    asked = _arguments().parse_args(argv)
    asked.output.mkdir(parents=True, exist_ok=True)
    file = asked.output / f"sequences-{asked.seed}.jsonl"
    if not asked.resume:
        file.unlink(missing_ok=True)
    known = _read(file)
    wanted = asked.only or range(asked.sequences)

    def keep(one: Played, left: int) -> None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(one.to_json()) + "\n")
        if one.wrong or left % 25 == 0:
            print(f"sequence {one.number}: {'; '.join(one.wrong) or 'right'}; {left} left", flush=True)

    todo = [number for number in wanted if number not in known]
    with tempfile.TemporaryDirectory(prefix="nodeferry-apply-") as folder:
        os.environ["HOME"] = folder  # the runner keeps its files there
        known |= play_all(Path(folder), todo, asked.seed, 60 * asked.minutes, keep)
    played = [known[number] for number in wanted if number in known]
    print(summary(played, asked.seed))
    return 0 if len(played) == len(wanted) and not any(one.wrong for one in played) else 1


def play_all(
    folder: Path, numbers: Sequence[int], seed: int, seconds: float, keep: Callable[[Played, int], None]
) -> dict[int, Played]:
    """Plays these sequences below `folder`; none is begun after `seconds`. `keep` gets each, and how many are left."""
    until, found = time.monotonic() + seconds, {}
    with PackageIndex(folder / "index") as index:
        ground = Ground(folder, index, get_uv(folder / "get-uv"))
        for number in numbers:
            if time.monotonic() > until:
                break
            found[number] = play(ground, number, seed)
            keep(found[number], len(numbers) - len(found))
    return found


def summary(played: Sequence[Played], seed: int) -> str:
    """The figures, and how to repeat what was wrong."""
    steps, struck = sum(len(one.steps) for one in played), sum(one.struck for one in played)
    wrong = [one for one in played if one.wrong]
    counts = f"{len(played)} sequences, {steps} changes, {struck} of them ended early"
    lines = [f"seed {seed}: {counts}, {len(wrong)} sequences lost something"]
    for one in wrong:
        lines += [f"--seed {seed} --only {one.number}:", *(f"    {text}" for text in [*one.steps, *one.wrong])]
    return "\n".join(lines)


def _read(file: Path) -> dict[int, Played]:
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    found = [Played(**json.loads(line)) for line in lines if line.endswith("}")]
    return {one.number: one for one in found}


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.apply", description=__doc__)
    parser.add_argument("--sequences", type=int, default=SEQUENCES, help=f"how many (default {SEQUENCES})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of every sequence's dice (default {SEED})")
    parser.add_argument("--only", type=int, action="append", metavar="N", help="plays sequence N; may be repeated")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"none is begun after so many ({MINUTES:.0f})")
    parser.add_argument("--resume", action="store_true", help="goes on with the sequences that the output folder has")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of its results (default {OUTPUT})")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
