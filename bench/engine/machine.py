"""Fresh instances to install on: with uv, with what ComfyUI brought along, caches as the run wants them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.runner.resolve.fetched_tools import UV
from app.standin.instance import StandIn

SMALL_BASE = ("numpy>=2", "pillow", "pyyaml", "tqdm>=4.67", "einops", "safetensors", "psutil", "requests", "filelock")
"""What ComfyUI itself brought along, in the small form."""
_AFTER = "from typing import Any, TextIO\n"
_SLOW_START = """
import threading

threading.Event().wait({half})
while time.process_time() < {half}:
    sum(range(10_000))
"""
_UV_PLACE = Path(".local/bin/uv")


@dataclass(frozen=True, slots=True)
class Shop:
    """What all instances of one bench share. `folder` is the bench's own; `uv` a program."""

    folder: Path
    uv: Path
    with_uv: bool = True
    """Images have one (vast.ai's do); without, Nodeferry fetches one within its time."""
    base: Sequence[str] = SMALL_BASE
    """What ComfyUI brought along."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """What pip and uv are told."""
    latencies: Sequence[Callable[[float], None]] = ()
    """Of the git server and the package index, to be called with seconds."""
    start_seconds: float = 0.0
    """How much longer ComfyUI takes to start: half of it at work, half waiting."""

    @contextmanager
    def instance(
        self, name: str, caches: Path, *, system_site: bool, environ: Mapping[str, str] | None = None
    ) -> Iterator[StandIn]:
        """An instance on which nothing of the manifest is; pip's and uv's caches are in `caches`, which stays. So does
        its folder: for minutes after thousands of files were deleted, ext4 makes new ones several times as slowly, and
        whoever is measured next would pay. `system_site`: torch and what ComfyUI brought along are the system's, the
        environment is on top of it. `environ`: what pip and uv on it are told besides."""
        cached = {"UV_CACHE_DIR": str(caches / "uv"), "PIP_CACHE_DIR": str(caches / "pip")}
        standin = StandIn(
            self.folder / name,
            name=name,
            environ={**self.environ, **cached, **(environ or {})},
            with_pip=True,
            system_site_packages=system_site,
            venv_cache=self.folder / "venvs",
            keep=True,
        )
        with standin:
            self._furnish(standin, system_site=system_site)
            yield standin

    def set_latency(self, seconds: float) -> None:
        """So long before every answer of git and the package index."""
        for set_one in self.latencies:
            set_one(seconds)

    def _furnish(self, standin: StandIn, *, system_site: bool) -> None:
        if self.with_uv:
            place = standin.home / _UV_PLACE
            place.parent.mkdir(parents=True)
            place.symlink_to(self.uv)
        target = (
            ["--target", str(standin.root / "system" / "dist-packages")]
            if system_site
            else ["--python", str(standin.python)]
        )
        cache = str(self.folder / "base-cache")
        install = [str(self.uv), "pip", "install", "-q", "--link-mode", "copy", "--cache-dir", cache]
        run([*install, *target, *self.base], self.environ)
        if self.start_seconds:
            main = standin.ui_home / "main.py"
            slow = _SLOW_START.format(half=self.start_seconds / 2)
            main.write_text(main.read_text("utf-8").replace(_AFTER, _AFTER + slow, 1), "utf-8")


def environ_for(index_url: str) -> dict[str, str]:
    """This process's environment, but pip and uv know this index alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    own = {"PIP_INDEX_URL": index_url, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**kept, **own, "UV_DEFAULT_INDEX": index_url, "UV_NO_CONFIG": "1"}


def get_uv(folder: Path) -> Path:
    """The uv on PATH, or one installed into `folder`."""
    found = shutil.which("uv")
    if found:
        return Path(found)
    if (folder / "bin" / "uv").exists():
        return folder / "bin" / "uv"
    run([sys.executable, "-m", "venv", str(folder)])
    run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *UV.arguments(folder)])
    return folder / "bin" / "uv"


def run(argv: list[str], environ: Mapping[str, str] | None = None) -> None:
    """Runs a program that prepares the bench. Raises CalledProcessError with what it said."""
    try:
        subprocess.run(argv, env=environ, check=True, capture_output=True, text=True, timeout=600)
    except subprocess.CalledProcessError as exc:
        print(exc.stdout[-2000:], exc.stderr[-2000:], file=sys.stderr)
        raise
