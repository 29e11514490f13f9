"""Whether an image's variables for pip and uv cost time: Nodeferry on equal fresh stand-ins, without and with them, in
turn. `make bench-image`, or `python -m bench.engine.image --pairs 7`. Prints each pair and the median of the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from app.standin.git_server import GitServer
from app.standin.images import IMAGES, Image
from bench.engine import ways
from bench.engine.catalog import releases
from bench.engine.index_files import prepare
from bench.engine.index_server import IndexServer
from bench.engine.machine import Shop, environ_for, get_uv
from bench.engine.packs import Made, make_packs
from bench.engine.real_list import FEW, REAL_LIST, base_of, needed
from test.support.service import ServiceProcess

PROMISED = 1.05
_TIMEOUT = 900.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measures; 0 when the median is as promised."""
    asked = _arguments().parse_args(argv)
    image = next(image for image in IMAGES if image.name == asked.image)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodeferry-bench-")))
        server = stack.enter_context(GitServer(folder / "git"))
        service = stack.enter_context(ServiceProcess(folder))
        specs = REAL_LIST if asked.whole_list else FEW
        every = releases(0, placeholder_seconds=0.3)
        wanted = every if asked.whole_list else needed(specs, every)
        prepare(asked.index_cache, wanted, folder / "pages")
        index = stack.enter_context(IndexServer(asked.index_cache, folder / "pages"))
        shop = Shop(
            folder,
            get_uv(folder / "uv"),
            base=base_of(wanted),
            environ=environ_for(index.url),
            latencies=[server.set_latency, index.set_latency],
        )
        shop.set_latency(asked.latency / 1000)
        packs = make_packs(server, specs)
        ratios = [_pair(shop, service, packs, image, number) for number in range(asked.pairs)]
    median = statistics.median(ratios)
    print(f"median of {len(ratios)}: {median:.3f} (promised: at most {PROMISED})", flush=True)
    return 0 if median <= PROMISED else 1


def _pair(shop: Shop, service: ServiceProcess, packs: Sequence[Made], image: Image, number: int) -> float:
    """The seconds with the variables by those without; which comes first changes from pair to pair."""
    seconds: dict[bool, float] = {}
    load = ways.load_now()
    for with_image in (number % 2 == 1, number % 2 == 0):
        name = f"pair{number}-{'with' if with_image else 'without'}"
        caches = shop.folder / f"caches-{name}"
        environ = image.environ(caches) if with_image else {}
        with shop.instance(name, caches, system_site=False, environ=environ) as standin:
            seconds[with_image] = ways.nodeferry(standin, packs, service, verify=False, timeout=_TIMEOUT).everything
    ratio = seconds[True] / seconds[False]
    told = f"without {seconds[False]:.1f} s, with {seconds[True]:.1f} s, ratio {ratio:.3f}, load {load:.2f}"
    print(f"pair {number + 1}: {told}", flush=True)
    return ratio


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.engine.image", description=__doc__)
    names = [image.name for image in IMAGES]
    parser.add_argument("--image", choices=names, default=names[0], help=f"whose variables (default: {names[0]})")
    parser.add_argument("--pairs", type=int, default=7, help="how many (default: 7)")
    parser.add_argument("--latency", type=int, default=0, metavar="MS", help="before each answer (default: 0)")
    parser.add_argument("--whole-list", action="store_true", help="the default list instead of five packs of it")
    parser.add_argument("--index-cache", type=Path, default=Path("build/bench-index"), help="of the package index")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
