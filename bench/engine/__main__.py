"""How fast the install engine is, beside the usual way and beside what cannot be undercut. `make bench-engine`.

The same manifest goes onto fresh stand-ins by each way in turn, caches cold and warm, git served with 40 ms of latency.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from app.standin.git_server import GitServer
from bench.engine import figures, ways
from bench.engine.machine import Shop, get_uv
from bench.engine.packs import Made, make_packs
from test.support.service import ServiceProcess

LATENCY_SECONDS = 0.04
Found = dict[tuple[str, str], list[ways.Measured]]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; 0 when something could be measured."""
    wanted = _arguments().parse_args(argv)
    if wanted.quick:
        wanted.runs, wanted.cold = 1, True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodeferry-bench-")))
        server = stack.enter_context(GitServer(folder / "git", latency_seconds=LATENCY_SECONDS))
        service = stack.enter_context(ServiceProcess(folder))
        packs = make_packs(server, quick=wanted.quick)
        shop = Shop(folder, get_uv(folder / "uv"), wanted.system_site_packages, not wanted.without_uv)
        bench = Bench(shop, service, packs, wanted.verify)
        print(
            f"{len(packs)} packs, {wanted.runs} run(s), load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
        )
        found = bench.measure(wanted.runs, ["cold"] if wanted.cold else ["cold", "warm"], wanted.ways.split(","))
    _report(found, wanted, len(packs))
    return 0


class Bench:
    """Everything that the runs share."""

    def __init__(self, shop: Shop, service: ServiceProcess, packs: list[Made], verify: bool) -> None:
        self._shop = shop
        self._service = service
        self._packs = packs
        self._verify = verify
        self._numbers = itertools.count()

    def measure(self, runs: int, states: Sequence[str], names: Sequence[str]) -> Found:
        """Each way in turn, in another order each time; the warm run of a way uses the caches of its cold one."""
        found: Found = {(state, way): [] for state in states for way in figures.WAYS if way in names}
        for number in range(runs):
            turn = number % len(names)
            for way in (*names[turn:], *names[:turn]):
                caches = self._shop.folder / f"caches-{way}"
                for state in states:
                    found[state, way].append(self._once(way, caches))
                    self._tell(state, way, found[state, way][-1])
                shutil.rmtree(caches, ignore_errors=True)
        return found

    def _once(self, way: str, caches: Path) -> ways.Measured:
        with self._shop.instance(f"{way}{next(self._numbers)}", caches) as standin:
            if way == "nodeferry":
                return ways.nodeferry(standin, self._packs, self._service, verify=self._verify)
            if way == "sequential":
                return ways.sequential(standin, self._packs)
            return ways.floor(standin, self._packs, self._shop.uv, hide_torch=self._shop.system_site_packages)

    @staticmethod
    def _tell(state: str, way: str, run: ways.Measured) -> None:
        head = f"  {state} {figures.WORDS[way]}: first lane {run.first_lane:.1f} s, all {run.everything:.1f} s"
        print(f"{head}, load {os.getloadavg()[0]:.1f}", flush=True)
        print("\n".join([*figures.phases(run), *(f"    ! {trouble[:300]}" for trouble in run.troubles)]), flush=True)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each way; the medians are shown")
    parser.add_argument("--quick", action="store_true", help="8 packs, one run, cold caches: under a minute")
    parser.add_argument("--cold", action="store_true", help="no runs with warm caches")
    parser.add_argument("--ways", default=",".join(figures.WAYS), help="which, with commas between")
    parser.add_argument("--verify", action="store_true", help="Nodeferry checks the imports too; its time is apart")
    parser.add_argument("--system-site-packages", action="store_true", help="torch is the system's, as on some images")
    parser.add_argument("--without-uv", action="store_true", help="the instance has no uv: Nodeferry fetches one")
    parser.add_argument("--picture", type=Path, help="where the bars go, an SVG")
    return parser


def _report(found: Found, wanted: argparse.Namespace, packs: int) -> None:
    print("\n".join(figures.table(found) if any(way == "nodeferry" for _, way in found) else []))
    if len({way for _, way in found}) == len(figures.WAYS):
        print("\n".join(figures.verdicts(found)))
    if wanted.picture:
        caption = f"Seconds until {packs} packs are installed; dark: those of the first lane. Median of {wanted.runs}."
        wanted.picture.write_text(figures.picture(found, caption), "utf-8")
        print(f"picture: {wanted.picture}")


if __name__ == "__main__":
    raise SystemExit(main())
