"""How fast the install engine is, beside the usual way and beside what cannot be undercut. `make bench-engine`.

The same manifest goes onto equal fresh stand-ins by each way in turn (`ways.py` says what each is), caches cold and,
with --warm, warm; git is served with 40 ms of latency.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.standin.git_server import GitServer
from bench.command import run, say
from bench.engine import figures, ways
from bench.engine.catalog import releases
from bench.engine.index_files import prepare
from bench.engine.index_server import IndexServer
from bench.engine.list_figures import as_json, list_ratios, list_table
from bench.engine.machine import Shop, environ_for, get_uv
from bench.engine.packs import QUICK, PackSpec, make_packs
from bench.engine.picture import draw
from bench.engine.real_list import FEW, REAL_LIST, base_of, needed
from bench.engine.results import FILE, Finding, Results
from bench.engine.rounds import SHAPES, Bench, Selection
from test.support.service import ROOT, ServiceProcess

QUICK_LATENCY_MS = 40
OUTPUT = Path("build/bench-engine")
INDEX = Path("build/bench-index")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; 0 when all was measured, whatever the ratios are."""
    asked = _arguments().parse_args(argv)
    wanted = _wanted(asked)
    results = Results(asked.output, _settings(asked), resume=asked.resume)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodeferry-bench-")))
        server = stack.enter_context(GitServer(folder / "git"))
        service = stack.enter_context(ServiceProcess(folder, tree=asked.tree))
        shop = Shop(folder, get_uv(folder / "uv"), not asked.without_uv, latencies=[server.set_latency])
        specs: Sequence[PackSpec] = QUICK
        if not asked.quick:
            specs = FEW if asked.few else REAL_LIST
            index, base = stack.enter_context(_index(asked, specs, folder / "pages"))
            latencies = [server.set_latency, index.set_latency]
            own = {"base": base, "environ": environ_for(index.url), "start_seconds": asked.start_seconds}
            shop = replace(shop, latencies=latencies, **own)
        packs = make_packs(server, specs)
        say(f"{len(packs)} packs, {wanted.runs} round(s), {os.cpu_count()} cores, results in {asked.output / FILE}")
        complete = Bench(shop, service, packs, wanted, say).measure(results)
        _report(figures.in_order(results.found, SHAPES), asked, len(packs))  # to remove the folder takes a while
    if not complete:
        say(f"The {asked.minutes:g} minutes were over: --resume goes on with what is left.")
    return 0 if complete else 1


def _settings(asked: argparse.Namespace) -> dict[str, Any]:
    """What measurements must have in common."""
    settings = {"quick": asked.quick, "verify": not asked.no_verify, "with_uv": not asked.without_uv}
    own = ("few", "long_build", "cache_headers", "start_seconds")
    return settings if asked.quick else {**settings, **{name: getattr(asked, name) for name in own}}


@contextmanager
def _index(
    asked: argparse.Namespace, specs: Sequence[PackSpec], pages: Path
) -> Iterator[tuple[IndexServer, list[str]]]:
    """The package index, and what of it ComfyUI has from the beginning."""
    began = time.monotonic()
    every = releases(asked.long_build, placeholder_seconds=0.3 if asked.few else 2.0)
    wanted = needed(specs, every) if asked.few else every
    prepare(asked.index_cache, wanted, pages)
    say(f"package index: {len(wanted)} releases, {time.monotonic() - began:.0f} s")
    with IndexServer(asked.index_cache, pages, cache_headers=asked.cache_headers) as index:
        yield index, base_of(wanted)


def _wanted(asked: argparse.Namespace) -> Selection:
    return Selection(
        runs=1 if asked.quick else asked.runs,
        shapes=SHAPES if asked.shape == "both" else (asked.shape,),
        caches=("cold", "warm") if asked.warm else ("cold",),
        ways=[way for way in figures.WAYS if way in asked.ways],
        verify=not asked.no_verify,
        seconds=60 * asked.minutes,
        latencies_ms=(QUICK_LATENCY_MS,) if asked.quick else asked.latency,
        long_build=asked.long_build > 0,
    )


def _report(found: Finding, asked: argparse.Namespace, packs: int) -> None:
    if not found:
        return
    if asked.quick:
        lines, promises = figures.table(found), list(figures.ratios(found))
    else:
        lines = list_table(found, packs)
        promises = [*list_ratios(found, packs, long_build=asked.long_build > 0), *figures.footprint(found)]
        path = asked.output / "figures.json"
        path.write_text(json.dumps({"settings": _settings(asked), "rows": as_json(found, packs)}, indent=1), "utf-8")
    say("\n" + "\n".join([*lines, "", *(ratio.line for ratio in promises), *figures.same(found)]))
    pictures: list[Path] = [asked.output / "engine.svg", *([asked.picture] if asked.picture else [])]
    for path in pictures:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(found, packs, promises), "utf-8")
        say(f"picture: {path}")


def _ways(text: str) -> list[str]:
    """Letters or names, with commas between."""
    found = [ways.LETTERS.get(word.strip(), word.strip()) for word in text.split(",")]
    if not found or not set(found) <= set(figures.WAYS):
        raise argparse.ArgumentTypeError("letters of a (Nodeferry), b (one after another), c (the floor)")
    return found


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    add: Any = parser.add_argument
    add("--runs", type=int, default=3, help="of each way; the medians are shown (default: 3)")
    add("--quick", action="store_true", help="the small form: 9 packs, one round, packages of the registry")
    add("--few", action="store_true", help="5 packs of the list, a kind each")
    add("--latency", type=_numbers, default=[0], metavar="0,40", help="milliseconds before each answer (default: 0)")
    add("--long-build", type=float, default=0, metavar="SECONDS", help="the list's long build has no wheel and takes "
        "so much processor time")  # fmt: skip
    add("--cache-headers", action=argparse.BooleanOptionalAction, default=True, help="whether the index sends any")
    add("--start-seconds", type=float, default=3, help="how much longer ComfyUI takes to start (default: 3)")
    add("--index-cache", type=Path, default=INDEX, help=f"folder of the package index (default: {INDEX})")
    add("--tree", type=Path, default=ROOT, help="measure the Nodeferry in this folder")
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


if __name__ == "__main__":
    run(main)
