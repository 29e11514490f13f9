"""Many runs, each with one fault at a random moment, and whether all end as they must. `python -m bench.chaos`.

Real service processes, sshd, git and ComfyUI's imports; no registry. See bench/README.md.
"""

from __future__ import annotations

import argparse
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from app.standin.git_server import GitServer
from app.standin.postgresql import PostgreSQL
from bench.chaos.faults import KINDS
from bench.chaos.play import Played, play, undisturbed
from bench.chaos.results import Results, is_right, table
from bench.chaos.stage import Stage, make_manifest
from bench.command import run, say

OUTPUT = Path("build/bench-chaos")
RUNS, SEED, AT_ONCE, MINUTES = 200, 1, 4, 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Plays what is left to play and prints the table; 0 when all that was asked for was played and is right."""
    asked = _arguments().parse_args(argv)
    results = Results(asked.output, asked.seed, resume=asked.resume)
    wanted = asked.only or range(asked.runs)
    left_out = {kind.name: why for kind in KINDS if (why := kind.missing())}
    for name, why in left_out.items():
        say(f"left out: {name}: {why}")
    todo = [n for n in wanted if n not in results.played and KINDS[n % len(KINDS)].name not in left_out]
    if todo:
        with tempfile.TemporaryDirectory(prefix="nodeferry-chaos-") as folder:
            campaign = Campaign(Path(folder), results, asked.seed, asked.output / "wrong", say)
            with PostgreSQL() if asked.engine == "postgresql" else nullcontext() as campaign.server:
                campaign.play(todo, asked.at_once, 60 * asked.minutes)
    played = [results.played[number] for number in sorted(results.played) if number in wanted]
    say("\n".join(table(played, asked.seed)))
    missing = len(todo) - sum(number in results.played for number in todo)
    if missing:
        say(f"{missing} runs were not played: --resume goes on with them")
    return 1 if missing or not all(map(is_right, played)) else 0


class Campaign:
    """Runs on some stages at once; each stage has a thread, a service and an instance."""

    def __init__(self, folder: Path, results: Results, seed: int, evidence: Path, say: Callable[[str], None]) -> None:
        """`folder`: for what is thrown away; `evidence`: for what wrong runs leave to be looked at."""
        self._folder = folder
        self._results = results
        self._seed = seed
        self._evidence = evidence
        self._say = say
        self._lock = threading.Lock()
        self._numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._began = time.monotonic()
        self._deadline = 0.0
        self._done = 0
        self.server: PostgreSQL | None = None
        """Has a database for each stage; None: the services have SQLite."""
        self._total = 0

    def play(self, numbers: Sequence[int], at_once: int, seconds: float) -> None:
        """Plays these runs; none is begun after `seconds`."""
        self._total, self._deadline = len(numbers), self._began + seconds
        for number in numbers:
            self._numbers.put(number)
        with GitServer(self._folder / "git") as git:
            manifest = make_manifest(git)
            places = range(min(at_once, len(numbers)))
            threads = [
                threading.Thread(target=self._stage, args=(git, manifest, place), name=f"stage-{place}")
                for place in places
            ]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    thread.join()
            except BaseException:
                self._deadline = 0.0  # the stages put themselves away after their run
                for thread in threads:
                    thread.join()
                raise

    def _stage(self, git: GitServer, manifest: dict[str, object], place: int) -> None:
        """One stage, set up anew after a run that went wrong: what that left is not the next one's."""
        for attempt in range(self._total):
            url = "" if self.server is None else self.server.create(f"stage_{place}_{attempt}")
            with Stage(self._folder / f"stage{place}-{attempt}", git, manifest, url) as stage:
                if not self._play_on(stage):
                    return

    def _play_on(self, stage: Stage) -> bool:
        """Plays runs on a stage; whether there are more to play, on another one."""
        reference = undisturbed(stage)
        self._say(
            f"undisturbed: {reference.seconds:.1f} s; the service has {reference.size[0]} threads, "
            f"{reference.size[1]} open files"
        )
        while time.monotonic() < self._deadline:
            try:
                number = self._numbers.get_nowait()
            except queue.Empty:
                return False
            run = play(stage, number, self._seed, reference, self._evidence)
            self._keep(run)
            if not is_right(run):
                return True
        return False

    def _keep(self, run: Played) -> None:
        with self._lock:
            self._results.add(run)
            self._done += 1
            passed = time.monotonic() - self._began
            eta = passed / self._done * (self._total - self._done)
        what = f"{run.kind}{f' ({run.notes})' if run.notes else ''} at {run.moment:.0%}"
        self._say(
            f"{self._done}/{self._total}, {eta / 60:.0f} min left: run {run.number}, {what}: {run.end}, "
            f"{run.seconds:.1f} s, {run.threads} threads, {run.files} files"
        )
        for text in (*run.wrong, *run.left):
            self._say(f"    WRONG: {text}")
        if not is_right(run):
            self._say(f"    what it left to be looked at: {self._evidence / f'run{run.number}'}")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many (default {RUNS})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of every run's dice (default {SEED})")
    parser.add_argument("--only", type=int, action="append", metavar="N", help="plays run N alone; may be repeated")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"stages beside each other (default {AT_ONCE})")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no run is begun after so many (default 60)")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite", help="of the services")
    parser.add_argument("--resume", action="store_true", help="goes on with the runs that the output folder has")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of {OUTPUT}/runs.jsonl")
    return parser


if __name__ == "__main__":
    run(main)
