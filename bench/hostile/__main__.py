"""Hostile instances against a real service, for some time, beside honest installs. `python -m bench.hostile`.

See bench/README.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from bench.command import run, say
from bench.hostile import gauges
from bench.hostile.cancels import CONNECT_SECONDS, RECONNECT_SECONDS
from bench.hostile.machines import Machines, machines_yield
from bench.hostile.play import PATIENCE_SECONDS, Honest, Played, Player, install
from bench.hostile.results import Figures, Results, table
from bench.hostile.script import ALL, script_of
from test.support.service import ServiceProcess

OUTPUT = Path("build/prove-hostile")
SECONDS, SEED, AT_ONCE = 1800.0, 1, 6
CALM_SECONDS, LOADED_SECONDS = 20.0, 240.0
"""In turn: without hostile tasks and honest installs, and with them."""
_SETTLE_SECONDS = 3.0
WARM = 10
"""Hostile tasks after which memory is looked at for the first time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Plays what is left to play and prints the table; 0 when all was as it must be."""
    asked = _arguments().parse_args(argv)
    results = Results(asked.output, asked.seed, resume=asked.resume)
    left = asked.seconds - results.seconds
    numbers: Iterable[int] = asked.only or (n for n in itertools.count() if n not in results.played)
    if asked.lie:
        numbers = (n for n in numbers if script_of(asked.seed, n, asked.patience).what == asked.lie)
    if left > 0:
        with tempfile.TemporaryDirectory(prefix="nfh-") as folder:
            Campaign(Path(folder), results, asked, say).play(iter(numbers), left)
    say("\n".join(table(results, asked.seed)))
    return 1 if results.faults() else 0


class Campaign:
    """One call: a service, two honest instances, and hostile tasks, some at a time."""

    def __init__(self, folder: Path, results: Results, asked: argparse.Namespace, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._results = results
        self._asked = asked
        self._say = say
        self._lock = threading.Lock()
        self._warm = 0
        self._done = 0
        self._over = False
        """Whether there is no other task to play."""

    def play(self, numbers: Iterator[int], seconds: float) -> None:
        """Plays these for so long; what goes on then is waited for."""
        with ExitStack() as stack:
            git = stack.enter_context(GitServer(self._folder / "git"))
            urls = [make_pack(git, "honest", name, payload_bytes=20_000).url for name in ("one", "two")]
            standins = [
                stack.enter_context(
                    StandIn(self._folder / f"m{number}", git_base_url=git.url, with_pip=False, environ=os.environ)
                )
                for number in range(2)
            ]
            machines_yield()
            service = stack.enter_context(
                ServiceProcess(
                    self._folder / "service",
                    connect_timeout_seconds=f"{CONNECT_SECONDS:g}",
                    reconnect_seconds=f"{RECONNECT_SECONDS:g}",
                )
            )
            task_id = install(service, standins[0], urls)
            recorded = self._folder / "recorded.ndjson"
            recorded.write_bytes((standins[0].home / f".local/state/nodeferry/{task_id}/journal.ndjson").read_bytes())
            honest = [Honest(service, standin, urls, self._asked.seed) for standin in standins]
            start = gauges.memory_kib(service.pid)
            machines = stack.enter_context(Machines(recorded))
            began = time.monotonic()
            with gauges.Gauge(gauges.Client(service, task_id), service.pid) as gauge:
                for each in honest:
                    each.turn.acquire()
                    each.start()
                while not self._over and time.monotonic() < began + seconds:
                    self._calm(gauge)
                    for each in honest:
                        each.turn.release()
                    end = min(began + seconds, time.monotonic() + self._asked.loaded)
                    self._play_all(service, machines, gauge, numbers, end)
                    for each in honest:
                        each.turn.acquire()
                for each in honest:
                    each.turn.release()
                    each.stop()
            self._keep(service, gauge, honest, start=start, seconds=time.monotonic() - began)

    def _calm(self, gauge: gauges.Gauge) -> None:
        pause = threading.Event()
        pause.wait(_SETTLE_SECONDS)
        gauge.into = gauge.calm
        pause.wait(self._asked.calm)
        gauge.into = gauge.between
        self._say(f"calm: health {gauge.calm.health_median:.1f} ms, p99 of polls {gauge.calm.polls_p99:.1f} ms")

    def _play_all(
        self, service: ServiceProcess, machines: Machines, gauge: gauges.Gauge, numbers: Iterator[int], end: float
    ) -> None:
        """Some at a time. Those that go on at `end` are waited for, and nothing is measured then."""

        def play() -> None:
            player = Player(service, machines)
            while time.monotonic() < end:
                with self._lock:
                    number = next(numbers, None)
                if number is None:
                    self._over = True
                    return
                script = script_of(self._asked.seed, number, self._asked.patience, confirm=not self._asked.no_confirm)
                self._add(player.play(script), service)

        threads = [threading.Thread(target=play, name=f"player-{place}") for place in range(self._asked.at_once)]
        gauge.into = gauge.loaded
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        gauge.into = gauge.between
        self._say(f"loaded: health {gauge.loaded.health_median:.1f} ms, p99 of polls {gauge.loaded.polls_p99:.1f} ms")
        for thread in threads:
            thread.join()

    def _add(self, played: Played, service: ServiceProcess) -> None:
        with self._lock:
            self._results.add(played)
            self._done += 1
            if self._done == WARM:
                self._warm = gauges.memory_kib(service.pid)
            memory = gauges.memory_kib(service.pid) / 1024
            cancel = "" if played.cancel_seconds is None else f", cancelled in {played.cancel_seconds:.1f} s"
            self._say(
                f"{self._done}: task {played.number}, {played.name} ({played.command}): {played.end} {played.code} "
                f"after {played.seconds:.1f} s{cancel}; {memory:.0f} MiB"
            )
            for text in played.wrong:
                self._say(f"    WRONG: {text}")

    def _keep(
        self,
        service: ServiceProcess,
        gauge: gauges.Gauge,
        honest: list[Honest],
        *,
        start: int,
        seconds: float,
    ) -> None:
        wrong = [*gauge.wrong[:10], *(text for each in honest for text in each.wrong[:10])]
        if "Traceback" in service.log:
            kept = self._asked.output / "service.log"
            kept.write_text(service.log[-5_000_000:], "utf-8")
            wrong.append(f"the service's log has {service.log.count('Traceback')} tracebacks: {kept}")
        self._results.add_figures(
            Figures(
                seconds=round(seconds, 1),
                health_unloaded=gauge.calm.health_median,
                health=gauge.loaded.health_median,
                polls_unloaded=gauge.calm.polls_p99,
                polls=gauge.loaded.polls_p99,
                asked=len(gauge.loaded.polls),
                memory_start=start,
                memory_warm=self._warm,
                memory_most=gauge.most_kib,
                memory_end=gauges.memory_kib(service.pid),
                honest=sum(each.ended for each in honest),
                wrong=tuple(wrong),
            )
        )


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long, in all (default {SECONDS:g})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of every task's dice (default {SEED})")
    parser.add_argument("--only", type=int, action="append", metavar="N", help="plays task N alone; may be repeated")
    parser.add_argument("--lie", choices=[what for _, what in ALL], metavar="LIE", help="plays this one alone")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"hostile tasks at a time (default {AT_ONCE})")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds until a task is cancelled")
    parser.add_argument("--calm", type=float, default=CALM_SECONDS, help="seconds without load, each time")
    parser.add_argument("--loaded", type=float, default=LOADED_SECONDS, help="seconds of load between them")
    parser.add_argument("--no-confirm", action="store_true", help="no run has a cancel and goes on for two minutes")
    parser.add_argument("--resume", action="store_true", help="goes on with what the output folder has")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of {OUTPUT}/hostile.jsonl")
    return parser


if __name__ == "__main__":
    run(main)
