"""Fresh instances to install on: with uv, with what ComfyUI brought along, caches as the run wants them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.standin.instance import StandIn
from bench.engine.packs import BASE

_UV_PLACE = Path(".local/bin/uv")


@dataclass(frozen=True, slots=True)
class Shop:
    """What all instances of one bench share. `folder` is the bench's own; `uv` a program."""

    folder: Path
    uv: Path
    with_uv: bool = True
    """Images have one (vast.ai's do); without, Nodeferry fetches one within its time."""

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
            environ={**os.environ, **cached, **(environ or {})},
            with_pip=True,
            system_site_packages=system_site,
            venv_cache=self.folder / "venvs",
            keep=True,
        )
        with standin:
            self._furnish(standin, system_site=system_site)
            yield standin

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
        run([str(self.uv), "pip", "install", "-q", "--link-mode", "copy", "--cache-dir", cache, *target, *BASE])


def get_uv(folder: Path) -> Path:
    """The uv on PATH, or one installed into `folder`."""
    found = shutil.which("uv")
    if found:
        return Path(found)
    run([sys.executable, "-m", "venv", str(folder)])
    run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "uv>=0.9,<1"])
    return folder / "bin" / "uv"


def run(argv: list[str]) -> None:
    """Runs a program that prepares the bench. Raises CalledProcessError with what it said."""
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=600)
    except subprocess.CalledProcessError as exc:
        print(exc.stdout[-2000:], exc.stderr[-2000:], file=sys.stderr)
        raise
