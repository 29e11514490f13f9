"""The ten runs that are recorded: real ones of the runner, on stand-ins, each slow for a reason of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.standin.csv_packs import custom_nodes_csv_packs
from app.standin.git_rules import SERVED, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import PackSource, make_pack
from bench.engine.machine import Shop
from bench.engine.packs import MANY, QUICK, make_packs, manifest_of
from test.support.package_index import PackageIndex
from test.support.service import ServiceProcess

LIST = (Path(__file__).parents[2] / "test" / "support" / "custom_nodes.csv").read_text("utf-8")
RUN_SECONDS = 400.0
_MB = 1_000_000


@dataclass
class Workshop:
    """What a recording uses. Packages come from the configured registry."""

    folder: Path
    git: GitServer
    service: ServiceProcess
    shop: Shop
    standins: list[StandIn] = field(default_factory=list)

    @contextmanager
    def instance(self, name: str, caches: str, environ: dict[str, str] | None = None) -> Iterator[StandIn]:
        """A fresh instance. `caches`: the name of its folder of caches; `environ`: what pip and uv get besides."""
        place = self.folder / caches
        with self.shop.instance(name, place, system_site=False, environ=environ) as standin:
            self.standins.append(standin)
            yield standin

    def run(self, standin: StandIn, manifest: dict[str, Any]) -> bytes:
        """An install to its end, through the service; its journal."""
        return self.journal(standin, self.service.install(standin, manifest=manifest))

    def journal(self, standin: StandIn, task_id: str) -> bytes:
        """The journal of a task, once it has ended."""
        self.service.ended(task_id, RUN_SECONDS)
        return (standin.home / ".local/state/nodeferry" / task_id / "journal.ndjson").read_bytes()

    def packs(self, owner: str, sources: dict[str, PackSource]) -> dict[str, Any]:
        """Makes packs; their manifest."""
        made = {name: make_pack(self.git, owner, name, source) for name, source in sources.items()}
        return {"nodes": [{"name": name, "repo_url": pack.url} for name, pack in made.items()]}

    def slow_down(self, repo: str, bytes_per_second: float) -> None:
        """That repository is served at this rate."""
        self.git.set_rule(repo, RepoRule(bytes_per_second=bytes_per_second))


def engine(workshop: Workshop, *, quick: bool) -> dict[str, Any]:
    """Packs with requirement files like real ones, up to 180 MB, packages of the registry."""
    return dict(manifest_of(make_packs(workshop.git, QUICK if quick else MANY)))


def nine_packs(workshop: Workshop) -> bytes:
    """Nine packs with real requirements; caches are empty."""
    with workshop.instance("nine", "caches-nine") as standin:
        return workshop.run(standin, engine(workshop, quick=True))


def many_packs(workshop: Workshop) -> bytes:
    """34 packs with real requirements; caches are empty."""
    with workshop.instance("many", "caches-many") as standin:
        return workshop.run(standin, engine(workshop, quick=False))


def warm_caches(workshop: Workshop) -> bytes:
    """The same 34 packs on a fresh instance, with the caches that such a run has left."""
    manifest = engine(workshop, quick=False)
    with workshop.instance("fills", "caches-warm") as standin:
        workshop.run(standin, manifest)
    with workshop.instance("warm", "caches-warm") as standin:
        return workshop.run(standin, manifest)


def _list_of_34(workshop: Workshop) -> dict[str, Any]:
    """The real list; its large packs come at rates at which they take up to a minute."""
    needs = ("pyyaml", "colorama", "rich", "humanize", "tabulate", "lark", "ftfy")

    def requirements(name: str) -> str:
        return f"{needs[len(name) % len(needs)]}\n"

    made = custom_nodes_csv_packs(workshop.git, LIST, missing=("wlsh_nodes",), requirements=requirements)
    for pack in made.packs.values():
        workshop.slow_down(pack.repo, 500_000)
    return {"csv": LIST.replace("https://github.com", workshop.git.url)}


def slow_repositories(workshop: Workshop) -> bytes:
    """The Auto-installer's list of 34; each repository at 0.5 MB/s, one missing."""
    with workshop.instance("slow", "caches-slow") as standin:
        return workshop.run(standin, _list_of_34(workshop))


def kept_packs(workshop: Workshop) -> bytes:
    """The list of 34 a second time on the same instance: nothing is fetched."""
    manifest = _list_of_34(workshop)
    for pack in manifest["csv"].splitlines()[1:]:
        workshop.git.set_rule("/".join(pack.split(",")[1].removesuffix(".git").split("/")[-2:]), SERVED)
    with workshop.instance("kept", "caches-kept") as standin:
        workshop.run(standin, manifest)
        return workshop.run(standin, manifest)


def stalled_downloads(workshop: Workshop) -> bytes:
    """Twelve packs; two downloads stall, are given up after a minute, and go well at the second try."""
    sizes = {f"stall-{number}": 300_000 * (number + 1) for number in range(12)}
    needs = {"stall-1": "rich\n", "stall-4": "matplotlib\n", "stall-7": "lark\nftfy\n"}
    sources = {name: PackSource(payload_bytes=size, requirements=needs.get(name)) for name, size in sizes.items()}
    manifest = workshop.packs("stall", sources)
    for name in sources:
        workshop.slow_down(f"stall/{name}", 250_000)
    for name in ("stall-3", "stall-8"):
        workshop.git.set_rule(f"stall/{name}", RepoRule(stall_after_bytes=400_000, times=1, bytes_per_second=250_000))
    with workshop.instance("stalled", "caches-stalled") as standin:
        return workshop.run(standin, manifest)


@contextmanager
def _index(workshop: Workshop, name: str, rate: float | None) -> Iterator[tuple[PackageIndex, dict[str, str]]]:
    """A package index of its own, and the settings with which an instance asks no other."""
    with PackageIndex(workshop.folder / f"index-{name}", sizes=True, bytes_per_second=rate) as index:
        yield (
            index,
            {
                "UV_DEFAULT_INDEX": index.url,
                "UV_NO_CONFIG": "1",
                "PIP_INDEX_URL": index.url,
                "PIP_CONFIG_FILE": os.devnull,
            },
        )


def slow_index(workshop: Workshop) -> bytes:
    """Eight packs with 14 wheels of 0.5 to 12 MB, from an index that sends 300 KB/s a file."""
    with _index(workshop, "slow", 300_000) as (index, environ):
        for number in range(14):
            text = "x" * (500_000 + number * number * 60_000)
            index.wheel(f"etawheel{number}", "1.0", modules={f"etawheel{number}.py": f"TEXT = '{text}'\n"})
        wants = {f"index-{n}": f"etawheel{n}\netawheel{13 - n}\n" for n in range(7)} | {"index-7": "etawheel3\n"}
        sources = {name: PackSource(requirements=lines, payload_bytes=400_000) for name, lines in wants.items()}
        manifest = workshop.packs("index", sources)
        with workshop.instance("index", "caches-index", environ) as standin:
            return workshop.run(standin, manifest)


def long_build(workshop: Workshop) -> bytes:
    """Six packs; one needs a package that is built for 50 seconds."""
    with _index(workshop, "build", None) as (index, environ):
        for name in ("etaplain", "etaother"):
            index.wheel(name, "1.0")
        index.sdist("etabuilt", "1.0", building="import time; time.sleep(50)")
        wants = ["etaplain\n", "etaother\n", "etabuilt\netaplain\n", None, "etaplain\netaother\n", None]
        sources = {
            f"build-{number}": PackSource(requirements=lines, payload_bytes=900_000 * (number + 1))
            for number, lines in enumerate(wants)
        }
        manifest = workshop.packs("build", sources)
        with workshop.instance("build", "caches-build", environ) as standin:
            return workshop.run(standin, manifest)


def install_scripts(workshop: Workshop) -> bytes:
    """Ten packs, of which seven have an install.py that takes 3 to 15 seconds."""
    takes = [3, 6, 0, 15, 4, 0, 8, 5, 0, 7]
    sources = {
        f"script-{number}": PackSource(
            requirements="colorama\n" if number % 2 else None,
            install_py=f"import time\nprint('working', flush=True)\ntime.sleep({seconds})\n" if seconds else None,
            payload_bytes=400_000,
        )
        for number, seconds in enumerate(takes)
    }
    manifest = workshop.packs("script", sources)
    with workshop.instance("scripts", "caches-scripts") as standin:
        return workshop.run(standin, manifest)


def retried_run(workshop: Workshop) -> bytes:
    """The retry of a run in which eight of twelve packs could not be downloaded."""
    needs: Sequence[str | None] = ("rich\n", None, "GitPython\n", "matplotlib\n", None, "scipy\n", "lark\n", None)
    sources = {
        f"again-{number}": PackSource(payload_bytes=1_500_000 * (number + 1), requirements=needs[number % 8])
        for number in range(12)
    }
    manifest = workshop.packs("again", sources)
    broken = [f"again/again-{number}" for number in range(12) if number % 3]
    for repo in broken:
        workshop.git.set_rule(repo, RepoRule(cut_after_bytes=100_000))
    with workshop.instance("again", "caches-again") as standin:
        first = workshop.service.install(standin, manifest=manifest)
        workshop.service.ended(first, RUN_SECONDS)
        for repo in broken:
            workshop.slow_down(repo, 600_000)
        answer = workshop.service.post(f"/tasks/{first}/retry", {})
        return workshop.journal(standin, str(answer.json()["task_id"]))


Play = Callable[[Workshop], bytes]
KNOWN: tuple[Play, ...] = (
    nine_packs,
    many_packs,
    slow_repositories,
    kept_packs,
    stalled_downloads,
    slow_index,
    install_scripts,
)
"""Seen before the constants of the estimate were fixed."""
HELD_OUT: tuple[Play, ...] = (warm_caches, long_build, retried_run)
"""Recorded after they were."""
