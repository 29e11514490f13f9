"""How fast the install engine is, beside the usual way and beside what cannot be undercut. `make bench-engine`.

The same manifest goes onto equal fresh stand-ins by each way in turn (`ways.py` says what each is), caches cold and,
with --warm, warm; git is served with 40 ms of latency.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from app.standin.git_server import GitServer
from bench.engine import figures, ways
from bench.engine.machine import Shop, get_uv
from bench.engine.packs import make_packs
from bench.engine.picture import draw
from bench.engine.results import FILE, Finding, Results
from bench.engine.rounds import SHAPES, Bench, Selection
from test.support.service import ServiceProcess

LATENCY_SECONDS = 0.04
OUTPUT = Path("build/bench-engine")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; 0 when all was measured, whatever the ratios are."""
    asked = _arguments().parse_args(argv)
    wanted = _wanted(asked)
    settings = {"quick": asked.quick, "verify": wanted.verify, "with_uv": not asked.without_uv}
    results = Results(asked.output, settings, resume=asked.resume)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodeferry-bench-")))
        server = stack.enter_context(GitServer(folder / "git", latency_seconds=LATENCY_SECONDS))
        service = stack.enter_context(ServiceProcess(folder))
        packs = make_packs(server, quick=asked.quick)
        _say(f"{len(packs)} packs, {wanted.runs} round(s), {os.cpu_count()} cores, results in {asked.output / FILE}")
        shop = Shop(folder, get_uv(folder / "uv"), not asked.without_uv)
        complete = Bench(shop, service, packs, wanted, _say).measure(results)
    _report(figures.in_order(results.found, SHAPES), asked, len(packs))
    if not complete:
        _say(f"The {asked.minutes:g} minutes were over: --resume goes on with what is left.")
    return 0 if complete else 1


def _wanted(asked: argparse.Namespace) -> Selection:
    return Selection(
        runs=1 if asked.quick else asked.runs,
        shapes=SHAPES if asked.shape == "both" else (asked.shape,),
        caches=("cold", "warm") if asked.warm else ("cold",),
        ways=[way for way in figures.WAYS if way in asked.ways],
        verify=not asked.no_verify,
        seconds=60 * asked.minutes,
    )


def _report(found: Finding, asked: argparse.Namespace, packs: int) -> None:
    if not found:
        return
    lines = [*figures.table(found), "", *(ratio.line for ratio in figures.ratios(found)), *figures.same(found)]
    _say("\n" + "\n".join(lines))
    pictures: list[Path] = [asked.output / "engine.svg", *([asked.picture] if asked.picture else [])]
    for path in pictures:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(found, packs), "utf-8")
        _say(f"picture: {path}")


def _say(text: str) -> None:
    print(text, flush=True)


def _ways(text: str) -> list[str]:
    """Letters or names, with commas between."""
    found = [ways.LETTERS.get(word.strip(), word.strip()) for word in text.split(",")]
    if not found or not set(found) <= set(figures.WAYS):
        raise argparse.ArgumentTypeError("letters of a (Nodeferry), b (one after another), c (the floor)")
    return found


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    add: Any = parser.add_argument
    add("--runs", type=int, default=3, help="of each way; the medians are shown (default: 3)")
    add("--quick", action="store_true", help="9 packs, one round")
    add("--ways", type=_ways, default=list(figures.WAYS), metavar="a,b,c", help="which (default: all)")
    add("--shape", choices=[*SHAPES, "both"], default="venv", help="of ComfyUI's environment; system-site: on top of "
        "the system's torch (default: venv)")  # fmt: skip
    add("--warm", action="store_true", help="each way again with what its cold run left in the caches")
    add("--no-verify", action="store_true", help="Nodeferry does not check the imports")
    add("--without-uv", action="store_true", help="the instance has no uv: Nodeferry fetches one")
    add("--minutes", type=float, default=60, help="nothing new is begun after that (default: 60)")
    add("--output", type=Path, default=OUTPUT, help=f"folder of measurements and picture (default: {OUTPUT})")
    add("--resume", action="store_true", help="go on with what is in the output folder")
    add("--picture", type=Path, metavar="FILE", help="where the picture goes besides, an SVG")
    return parser


def _cut(number: int, frame: object) -> None:
    """SIGTERM: what runs is taken down, what was measured stays."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _cut)
    raise SystemExit(main())
